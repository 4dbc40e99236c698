/**
 * The promise client at the work of driver.ts: `await Promise.all` of 1,000 publishes at a time, or
 * one subscription that is iterated. client-work PORT pub|sub QOS COUNT SIZE [4|5]
 */
import { createClient } from '../../src/client/index.ts'
import type { QoS } from '../../src/index.ts'
import { AT_ONCE, reportWork, TOPIC } from './client-report.ts'

const [port, mode, qosText, countText, sizeText, version = '5'] = process.argv.slice(2)
const qos = Number(qosText) as QoS
const count = Number(countText)
const payload = Buffer.alloc(Number(sizeText), 65)
const client = createClient({
  url: `mqtt://127.0.0.1:${port}`,
  clientId: 'bench',
  protocolVersion: Number(version) as 4 | 5,
  // The raw server sends no identifiers, and answers no measurement.
  dispatch: 'filter',
  qos,
})
await client.ready()
const started = process.hrtime.bigint()
if (mode === 'sub') {
  let counted = 0
  for await (const { topic } of client.subscribe(['#', `blast/${qos}/${count}/${sizeText}`])) {
    if (topic === 'done') break
    counted++
  }
  reportWork(started, counted, count)
}
for (let at = 0; at < count; at += AT_ONCE) {
  const some = Math.min(AT_ONCE, count - at)
  await Promise.all(Array.from({ length: some }, () => client.publish(TOPIC, payload)))
}
reportWork(started, count, count)
