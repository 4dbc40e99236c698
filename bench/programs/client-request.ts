/**
 * Requests that are answered by another client of the same process through a broker: AT_ONCE open,
 * COUNT in all. So a request is two publishes and two messages received. client-request PORT COUNT AT_ONCE
 */
import { createClient } from '../../src/client/index.ts'
import { reportRequests } from './request-report.ts'

const [port, count, atOnce] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
const server = createClient({ url })
// Each request is remembered for its 5 s, and the default is room for 65,536.
const dedupe = { maxEntries: 1_000_000, maxBytes: 1_000_000_000 }
const options = { concurrency: 1000, dedupe }
const responder = server.respond('bench/ask', ({ payload }) => payload, options)
void server.run()
await server.ready()
const client = createClient({ url })
await client.ready()
const payload = Buffer.alloc(64, 65)
await reportRequests(Number(count), Number(atOnce), async () => {
  await client.request('bench/ask', payload, { qos: 0 })
})
await responder[Symbol.asyncDispose]()
