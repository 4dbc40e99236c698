import { eventloop, publish, subscribe } from 'it-mqtt'

const loop = eventloop('mqtt://localhost', [
  subscribe('migrating/events', { qos: 1 }),
  publish('migrating/events', 'hello', { qos: 1 }),
])
for await (const packet of loop) {
  if (packet.cmd === 'connack') console.log('connected')
  if (packet.cmd !== 'publish') continue
  console.log(packet.topic, packet.payload.toString())
  break
}
