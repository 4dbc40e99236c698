import { eventloop, publish } from 'it-mqtt'
import { openSession, spool } from 'it-mqtt/disk'

const queue = await spool('queue') // what is not sent yet
await queue.push(publish('migrating/total', '4711', { qos: 2 }))
queue.end()

const session = await openSession('session') // what is in flight, both ways
const loop = eventloop({ url: 'mqtt://localhost', clientId: 'migrating-disk', session }, queue)
for await (const packet of loop) if (packet.cmd === 'pubcomp') console.log('exactly once')
await queue.close()
