import { eventloop, publish, run } from 'it-mqtt'

await run('mqtt://localhost', [publish('migrating/session', 'collected', { qos: 1 })])

const loop = eventloop({
  url: 'mqtt://localhost',
  clientId: 'migrating-session',
  cleanStart: false,
  session: 'adopt',
  sessionExpiryInterval: 86_400,
})
for await (const packet of loop) {
  if (packet.cmd !== 'publish') continue
  console.log(packet.payload.toString())
  break
}
