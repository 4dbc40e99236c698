import { eventloop, publish, subscribe } from 'it-mqtt'

const loop = eventloop(process.argv[2], [
  subscribe('example', { qos: 1 }),
  publish('example', 'hello', { qos: 1 }),
])
for await (const packet of loop) {
  if (packet.cmd !== 'publish') continue
  console.log('received', packet.payload.toString())
  break
}
