/** A bus that serves one API, and that nobody calls. bus-idle PORT SECONDS */
import { createBus } from '../../src/bus/index.ts'
import { typed } from './bus-apis.ts'
import { reportIdle } from './bus-idle-report.ts'

const [port, seconds] = process.argv.slice(2)
await reportIdle(Number(seconds), async () => {
  const client = { url: `mqtt://127.0.0.1:${port}` }
  const bus = createBus({ client, service: 'server', process: 'one' })
  const served = bus.serve(typed, { ask: (input) => input })
  void bus.run()
  await served.granted
  return [bus, served]
})
