/** The floor of bus-idle.ts: a client with a responder. bus-idle-client PORT SECONDS */
import { createClient } from '../../src/client/index.ts'
import { reportIdle } from './bus-idle-report.ts'

const [port, seconds] = process.argv.slice(2)
await reportIdle(Number(seconds), async () => {
  const client = createClient({ url: `mqtt://127.0.0.1:${port}` })
  const responder = client.respond('bench/ask', ({ payload }) => payload)
  void client.run()
  await responder.granted
  return [client, responder]
})
