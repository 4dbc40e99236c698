/** The floor: a client publishes retained, and another one of the same process receives it. presence-echo PORT MEMBERS COUNT */
import { createClient } from '../../src/client/index.ts'
import { reportRequests } from './request-report.ts'

const [port, , count] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
const reader = createClient({ url })
const writer = createClient({ url })
const messages = reader.subscribe('bench/echo', { qos: 1 })
await messages.granted
await writer.ready()
let wake = () => {}
void (async () => {
  for await (const _ of messages) wake()
})()
let number = 0
await reportRequests(Number(count), 1, async () => {
  const change = new Promise<void>((resolve) => {
    wake = resolve
  })
  const payload = JSON.stringify({ v: 1, epoch: 1, seq: number, data: { number: number++ } })
  await Promise.all([writer.publish('bench/echo', payload, { qos: 1, retain: true }), change])
})
