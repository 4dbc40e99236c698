/**
 * The floor: the loop subscribes to the same retained messages, and only counts them.
 * presence-retained PORT MEMBERS CONNECTIONS
 */
import { eventloop, type Request, subscribe } from '../../src/index.ts'

const [port, members, connections] = process.argv.slice(2)
const expected = Number(members) + Number(connections)
let begin = (_: Request) => {}

async function* requests(): AsyncGenerator<Request> {
  yield await new Promise<Request>((resolve) => {
    begin = resolve
  })
  await new Promise(() => {})
}

const url = `mqtt://127.0.0.1:${port}`
const loop = eventloop({ url, receiveMaximum: 1024 }, requests())
let count = 0
let cpu = process.cpuUsage()
let began = 0
for await (const packet of loop) {
  if (packet.cmd === 'connack') {
    cpu = process.cpuUsage()
    began = performance.now()
    begin(subscribe(['presence/s/bench/+/+', 'presence/c/+'], { qos: 1 }))
  }
  if (packet.cmd === 'publish' && ++count === expected) break
}
const ms = performance.now() - began
const { user, system } = process.cpuUsage(cpu)
console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1000 }))
process.exit(0)
