/** A client that comes: from its CONNACK until it knows all. presence-sync PORT MEMBERS CONNECTIONS */
import { createClient } from '../../src/client/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'

const [port, members] = process.argv.slice(2)
const client = createClient(withPresence({ url: `mqtt://127.0.0.1:${port}` }))
await client.ready()
const cpu = process.cpuUsage()
const began = performance.now()
const found = await presence(client, 'bench').get()
const ms = performance.now() - began
const { user, system } = process.cpuUsage(cpu)
if (found.length !== Number(members)) throw new Error(`found ${found.length} of ${members}`)
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1000 }))
process.exit(0)
