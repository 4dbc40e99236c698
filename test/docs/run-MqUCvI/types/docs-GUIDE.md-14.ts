import { eventloop, publish, subscribe } from 'it-mqtt'

const options = { url: 'mqtt://localhost', clientId: 'guide-break', cleanStart: false } as const
const first = eventloop({ ...options, session: 'adopt' }, [
  subscribe('guide/break', { qos: 1 }),
  publish('guide/break', 'once more', { qos: 1 }),
])
for await (const packet of first) {
  if (packet.cmd === 'publish') break
}

for await (const packet of eventloop({ ...options, session: first.session })) {
  if (packet.cmd !== 'publish') continue
  console.log(packet.payload.toString())
  break
}
