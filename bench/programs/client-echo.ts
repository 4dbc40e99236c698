/** The promise client at the work of roundtrip.ts: one await at a time. client-echo PORT COUNT SIZE [4|5] */
import { createClient } from '../../src/client/index.ts'
import { reportTimes, WARM_UP } from './times.ts'

const [port, countText, sizeText, version = '5'] = process.argv.slice(2)
const total = Number(countText) + WARM_UP
const payload = Buffer.alloc(Number(sizeText), 65)
const client = createClient({
  url: `mqtt://127.0.0.1:${port}`,
  protocolVersion: Number(version) as 4 | 5,
  qos: 0,
  dispatch: 'filter',
})
const echoes = client.subscribe('echo/x')
await echoes.granted
const times: number[] = []
for (let i = 0; i < total; i++) {
  const sentAt = performance.now()
  void client.publish('echo/x', payload)
  await echoes.next()
  times.push(performance.now() - sentAt)
}
reportTimes(times, total)
