import { setTimeout as sleep } from 'node:timers/promises'
import { eventloop, type IncomingPublish, publish, subscribe } from 'it-mqtt'

const loop = eventloop({ url: 'mqtt://localhost', acks: 'manual' }, [
  subscribe('orders', { qos: 1 }),
  publish('orders', 'order 4711', { qos: 1 }),
])
const running = new Set<Promise<void>>()
let ending = false

async function handle(packet: IncomingPublish) {
  await sleep(100)
  console.log(packet.payload.toString(), 'is handled,', loop.ack(packet))
}

async function end() {
  ending = true
  loop.pause() // takes no more requests, reads no more messages, keeps the connection
  await Promise.allSettled(running)
  loop.disconnect(5000)
}

process.once('SIGTERM', () => void end())

for await (const packet of loop) {
  // What was received before the pause still comes: unacknowledged, it is delivered again later.
  if (packet.cmd !== 'publish' || ending) continue
  const handling = handle(packet).finally(() => running.delete(handling))
  running.add(handling)
  process.kill(process.pid, 'SIGTERM')
}
console.log('ended')
