/** it-mqtt: COUNT connections that do nothing. idle PORT COUNT [4|5] */
import { eventloop } from '../../src/index.ts'
import { measureIdle } from './heap.ts'

const [port, count, version = '5'] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
await measureIdle(Number(count), async (i) => {
  const protocolVersion = Number(version) as 4 | 5
  const loop = eventloop({ url, clientId: `idle-${i}`, protocolVersion, until: 'closed' })
  await loop.next()
  void loop.next()
  return loop
})
