/**
 * Events of one process, which a listener of another handles: two buses here. Each event is fired at
 * QoS 1, validated by both sides, acknowledged after its handler, and handled once. bus-events PORT COUNT
 */
import { createBus } from '../../src/bus/index.ts'
import { MESSAGE, typed } from './bus-apis.ts'
import { EventsReport } from './bus-events-report.ts'

const [port, count] = process.argv.slice(2)
const client = { url: `mqtt://127.0.0.1:${port}` }
const sender = createBus({ client, service: 'server', process: 'one' })
sender.serve(typed, { ask: (input) => input })
void sender.run()
const report = new EventsReport(Number(count))
// What is left in the session of a process that was killed comes to the next one of its name.
const hearer = createBus({ client, service: 'hearer', process: `run-${process.pid}` })
const { happened } = hearer.api(typed)
const listener = happened.listen('count', { sessionExpiryInterval: 1 }, () => report.handled())
void hearer.run()
await listener.granted
await report.measure(() => sender.fire(typed, 'happened', MESSAGE))
