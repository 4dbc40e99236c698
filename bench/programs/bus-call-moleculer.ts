/**
 * The work of bus-call.ts by two nodes of Moleculer. The answering side validates the parameters
 * with Moleculer's own validator; answers are not validated. bus-call-moleculer PORT COUNT AT_ONCE QOS
 */
import type { Context } from 'moleculer'
import { MESSAGE } from './bus-apis.ts'
import { moleculerNode } from './moleculer-nodes.ts'
import { reportRequests } from './request-report.ts'

const [portText, count, atOnce, qosText] = process.argv.slice(2)
const port = Number(portText)
const qos = Number(qosText) as 0 | 1
await moleculerNode(port, 'server', qos, {
  name: 'bench',
  actions: {
    ask: { params: { text: 'string' }, handler: ({ params }: Context) => params },
  },
})
const client = await moleculerNode(port, 'client', qos)
await client.waitForServices('bench')
await reportRequests(Number(count), Number(atOnce), async () => {
  const { text } = await client.call<typeof MESSAGE, typeof MESSAGE>('bench.ask', MESSAGE)
  if (text !== MESSAGE.text) throw new Error('the answer is another one')
})
