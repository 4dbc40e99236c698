import { setTimeout as sleep } from 'node:timers/promises'
import { eventloop, publish, subscribe } from 'it-mqtt'

const loop = eventloop('mqtt://localhost', [
  subscribe('migrating/slow', { qos: 1 }),
  publish('migrating/slow', '1', { qos: 1 }),
])
for await (const packet of loop) {
  if (packet.cmd !== 'publish') continue
  await sleep(50)
  console.log('handled', packet.payload.toString())
  loop.ack(packet) // asking for the next packet would do it as well
  break
}
