/** The work of bus-idle.ts by a node of Moleculer. bus-idle-moleculer PORT SECONDS */
import type { Context } from 'moleculer'
import { reportIdle } from './bus-idle-report.ts'
import { moleculerNode } from './moleculer-nodes.ts'

const [port, seconds] = process.argv.slice(2)
await reportIdle(Number(seconds), () =>
  moleculerNode(Number(port), 'server', 0, {
    name: 'bench',
    actions: { ask: { params: { text: 'string' }, handler: ({ params }: Context) => params } },
  }),
)
