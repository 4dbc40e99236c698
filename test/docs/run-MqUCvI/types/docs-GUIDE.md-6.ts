import { eventloop, publish, subscribe } from 'it-mqtt'

const topic = 'plant/7/serial-number'
const store = [publish(topic, 'A-4711', { qos: 1, retain: true })]
for await (const _ of eventloop('mqtt://localhost', store));

for await (const packet of eventloop('mqtt://localhost', [subscribe(topic, { qos: 1 })])) {
  if (packet.cmd !== 'publish') continue
  console.log(packet.payload.toString(), 'retained:', packet.retain)
  break
}

const remove = [publish(topic, '', { qos: 1, retain: true })]
for await (const _ of eventloop('mqtt://localhost', remove));
