import { eventloop, publish } from 'it-mqtt'
import { openSession, spool } from 'it-mqtt/disk'

const queue = await spool('queue')
await queue.push(publish('plant/7/total', '4711', { qos: 2 }))
queue.end()

const session = await openSession('session')
const loop = eventloop({ url: 'mqtt://localhost', clientId: 'guide-total', session }, queue)
for await (const packet of loop) {
  if (packet.cmd === 'pubcomp') console.log('exactly once')
}
await queue.close()
