/**
 * The floor of bus-events.ts: the same payloads, published by one client and received by the
 * subscription of another, with nothing of a bus. bus-events-client PORT COUNT
 */
import { createClient } from '../../src/client/index.ts'
import { MESSAGE } from './bus-apis.ts'
import { EventsReport } from './bus-events-report.ts'

const [port, count] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
const report = new EventsReport(Number(count))
const hearer = createClient({ url })
const subscription = hearer.subscribe('bench/happened', { qos: 1 })
void subscription.forEach(({ payload }) => {
  JSON.parse(Buffer.from(payload).toString())
  report.handled()
})
await subscription.granted
const sender = createClient({ url })
void sender.run()
await report.measure(() => sender.publish('bench/happened', JSON.stringify(MESSAGE), { qos: 1 }))
