import { setTimeout as sleep } from 'node:timers/promises'
import { eventloop, type IncomingPublish, publish, run, subscribe } from 'it-mqtt'

const CONCURRENCY = 10

async function work({ payload }: IncomingPublish) {
  await sleep(payload.toString() === '0' ? 200 : 10) // the first job is slow
  console.log('job', payload.toString(), 'is done')
}

const loop = eventloop(
  {
    url: 'mqtt://localhost',
    acks: 'manual',
    receiveMaximum: 4 * CONCURRENCY, // the server gives us no more, and the rest to others
    sessionExpiryInterval: 0, // the session ends with the connection: others may get its jobs
  },
  [subscribe('$share/workers/jobs/#', { qos: 1 })],
)

const running = new Set<Promise<void>>()
let done = 0
for await (const packet of loop) {
  if (packet.cmd === 'suback') {
    const jobs = ['0', '1', '2'].map((job) => publish(`jobs/${job}`, job, { qos: 1 }))
    await run('mqtt://localhost', jobs)
  }
  if (packet.cmd !== 'publish') continue
  const job = work(packet).then(() => {
    loop.ack(packet)
    running.delete(job)
    if (++done === 3) loop.disconnect()
  })
  running.add(job)
  if (running.size >= CONCURRENCY) await Promise.race(running)
}
