import { eventloop, publish } from 'it-mqtt'
import { spool } from 'it-mqtt/disk'

const day = await spool('queue', { maxMessages: 100_000, overflow: 'dropOldest' })
await day.push([publish('plant/7', '21.5', { qos: 1 }), publish('plant/7', '21.7', { qos: 1 })])
await day.close() // or the power is cut

const queue = await spool('queue')
console.log(queue.size, 'wait')
queue.end() // no more comes: the loop ends when all is delivered
for await (const packet of eventloop('mqtt://localhost', queue)) {
  if (packet.cmd === 'puback') console.log('delivered', packet.messageId)
}
console.log(queue.size, 'wait')
await queue.close()
