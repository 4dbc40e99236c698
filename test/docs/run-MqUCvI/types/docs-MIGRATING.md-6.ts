import { eventloop, publish, run } from 'it-mqtt'

// The acknowledgement is a packet of the loop and names its request.
const requests = [publish('migrating/publish', 'one', { qos: 1, key: 'first' })]
for await (const packet of eventloop('mqtt://localhost', requests)) {
  if (packet.cmd === 'puback') console.log('delivered', packet.request.key)
}

// To send something and be done:
const { failed } = await run('mqtt://localhost', [publish('migrating/publish', 'two', { qos: 1 })])
console.log(failed.length === 0 ? 'delivered' : failed)
