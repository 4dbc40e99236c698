import { eventloop } from 'it-mqtt'

const loop = eventloop({
  url: 'mqtt://localhost',
  clientId: 'guide-reconnect',
  until: 'closed',
  reconnect: {
    when: 'always',
    minMs: 10, // the shortest delay; default 100
    maxMs: 1000, // its random part grows up to this; default 30,000
    retryable: ({ code, retryable }) => retryable || code === 'NOT_AUTHORIZED',
  },
})
let connections = 0
for await (const packet of loop) {
  if (packet.cmd !== 'connack') continue
  connections++
  console.log('connection', connections)
  if (connections === 2) break
  loop.reconnect() // drops the connection, as a bad link would
}
