// A queue on disk, as the package is installed.
import { eventloop, publish } from 'it-mqtt'
import { openSession, spool } from 'it-mqtt/disk'

try {
  const queue = await spool('./queue')
  await queue.push([publish('disk', 'one', { qos: 1 }), publish('disk', 'two', { qos: 1 })])
  queue.end()
  const session = await openSession('./session')
  let delivered = 0
  for await (const packet of eventloop(
    { url: process.argv[2], clientId: 'disk', session },
    queue,
  )) {
    if (packet.cmd === 'puback') delivered++
  }
  await queue.close()
  console.log(`delivered ${delivered}, ${queue.size} left`)
} catch (error) {
  console.log(error.code)
}
