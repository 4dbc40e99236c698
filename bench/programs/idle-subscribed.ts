/**
 * it-mqtt: COUNT loops, each with the subscription of client-idle.ts, that do nothing. Requests
 * come through it-pushable, as those of a client do. idle-subscribed PORT COUNT [4|5]
 */
import { pushableV } from 'it-pushable'
import { eventloop, type Request, subscribe } from '../../src/index.ts'
import { measureIdle } from './heap.ts'

const [port, count, version = '5'] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
await measureIdle(Number(count), async (i) => {
  const protocolVersion = Number(version) as 4 | 5
  const requests = pushableV<Request>({ objectMode: true })
  requests.push(subscribe('plant/line/temp', { qos: 1 }))
  const options = { url, clientId: `idle-${i}`, protocolVersion, until: 'closed' } as const
  const loop = eventloop(options, requests)
  for (let done = false; !done; ) {
    const { value } = await loop.next()
    done = value?.cmd === 'suback'
  }
  void loop.next()
  return [loop, requests]
})
