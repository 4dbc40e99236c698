/** MQTT.js at the work of client-work.ts: `publishAsync`, and the `message` event. */
import mqtt from 'mqtt'
import { AT_ONCE, reportWork, TOPIC } from './client-report.ts'

const [port, mode, qosText, countText, sizeText, version = '5'] = process.argv.slice(2)
const qos = Number(qosText) as 0 | 1 | 2
const count = Number(countText)
const payload = Buffer.alloc(Number(sizeText), 65)
const client = await mqtt.connectAsync({
  host: '127.0.0.1',
  port: Number(port),
  protocolVersion: Number(version) as 4 | 5,
  clientId: 'bench',
})
;(client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true)
const started = process.hrtime.bigint()
if (mode === 'sub') {
  let counted = 0
  client.on('message', (topic) => {
    if (topic === 'done') reportWork(started, counted, count)
    counted++
  })
  await client.subscribeAsync(`blast/${qos}/${count}/${sizeText}`, { qos })
  await new Promise(() => {})
}
for (let at = 0; at < count; at += AT_ONCE) {
  const some = Math.min(AT_ONCE, count - at)
  await Promise.all(
    Array.from({ length: some }, () => client.publishAsync(TOPIC, payload, { qos })),
  )
}
reportWork(started, count, count)
