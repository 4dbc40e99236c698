/**
 * The floor of bus-call.ts: the same values over the same kind of subscription at the same QoS, by
 * request() and respond() of two clients. bus-call-client PORT COUNT AT_ONCE
 */
import { createClient, json } from '../../src/client/index.ts'
import { MESSAGE } from './bus-apis.ts'
import { reportRequests } from './request-report.ts'

const [port, count, atOnce] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
// A process that was killed leaves its session, which would get calls: each run takes over the last one.
const server = createClient({ url, clientId: 'server' })
const options = { share: 'server', qos: 1, codec: json, concurrency: 16, maxPending: 1024 } as const
const responder = server.respond('bench/ask', ({ value }) => value, options)
void server.run()
await responder.granted
const client = createClient({ url })
void client.run()
await client.ready()
await reportRequests(Number(count), Number(atOnce), async () => {
  const { value } = await client.request('bench/ask', MESSAGE, { qos: 1, codec: json })
  if ((value as typeof MESSAGE).text !== MESSAGE.text) throw new Error('the answer is another one')
})
