/**
 * Calls over the bus from one process of a service to another, which are two buses here: AT_ONCE
 * open, COUNT in all. Without schemas nothing is validated. bus-call PORT COUNT AT_ONCE zod|none
 */
import { createBus } from '../../src/bus/index.ts'
import { MESSAGE, typed, untyped } from './bus-apis.ts'
import { reportRequests } from './request-report.ts'

const [port, count, atOnce, schemas] = process.argv.slice(2)
const validates = schemas === 'zod'
const common = {
  client: { url: `mqtt://127.0.0.1:${port}` },
  validate: { outgoing: validates, incoming: validates },
}
const server = createBus({ ...common, service: 'server', process: 'one' })
const api = validates ? typed : untyped
const served = server.serve(api as typeof typed, { ask: (input) => input })
void server.run()
await served.granted
const client = createBus({ ...common, service: 'client', process: 'one' })
void client.run()
const { ask } = client.api(api as typeof typed)
await reportRequests(Number(count), Number(atOnce), async () => {
  const { text } = await ask(MESSAGE)
  if (text !== MESSAGE.text) throw new Error('the answer is another one')
})
