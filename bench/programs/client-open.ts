/** What an open request holds: COUNT requests that nobody answers. client-open PORT COUNT */
import { createClient } from '../../src/client/index.ts'

const [port, countText] = process.argv.slice(2)
const count = Number(countText)
const client = createClient({ url: `mqtt://127.0.0.1:${port}`, maxQueued: count * 2 })
await client.ready()
// What the program itself holds for each request is not measured, as far as it can be avoided.
const ignore = () => {}
const ask = () => {
  client.request('nobody/there', 'x', { timeout: 3_600_000 }).catch(ignore)
}
for (let i = 0; i < 100; i++) ask()
await client.publish('other', '')
const before = heapUsed()
for (let i = 0; i < count; i++) ask()
// Behind the last request: all of them are acknowledged.
await client.publish('other', '')
console.log(JSON.stringify({ heapPerRequest: Math.round((heapUsed() - before) / count) }))
process.exit(0)

function heapUsed(): number {
  globalThis.gc!()
  globalThis.gc!()
  return process.memoryUsage().heapUsed
}
