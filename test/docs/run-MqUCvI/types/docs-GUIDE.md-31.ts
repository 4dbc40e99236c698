import { eventloop } from 'it-mqtt'

const loop = eventloop({
  url: 'mqtt://localhost:1', // nobody listens there
  reconnect: { when: 'always', minMs: 10, maxMs: 10 },
  onWarning: ({ code, message }) => console.error(code, message),
})

async function log() {
  let failures = 0
  for await (const { from, to, reason } of loop.transitions()) {
    console.log(`${from} → ${to}`, reason?.code ?? 'in order')
    if (to === 'disconnected' && ++failures === 2) loop.shutdown()
  }
}

const logging = log()
for await (const packet of loop) console.log(packet.cmd)
await logging
