/**
 * The work of bus-events.ts by two nodes of Moleculer: an event is validated by the listening node,
 * whose acknowledgement says nothing of the handler. bus-events-moleculer PORT COUNT QOS
 */
import { MESSAGE } from './bus-apis.ts'
import { EventsReport } from './bus-events-report.ts'
import { moleculerNode } from './moleculer-nodes.ts'

const [portText, count, qosText] = process.argv.slice(2)
const port = Number(portText)
const qos = Number(qosText) as 0 | 1
const report = new EventsReport(Number(count))
await moleculerNode(port, 'hearer', qos, {
  name: 'bench',
  events: {
    'bench.happened': { params: { text: 'string' }, handler: () => report.handled() },
  },
})
const sender = await moleculerNode(port, 'server', qos)
await sender.waitForServices('bench')
await report.measure(() => sender.emit('bench.happened', MESSAGE))
