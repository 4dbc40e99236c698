// From the start of the process to the CONNACK, in ms, and what importing took of it. With
// IDLE_SECONDS, the resident memory so long after the CONNACK. It is copied beside the packages as
// npm installed them: no bundle. start.mjs PORT it-mqtt|mqtt|floor [4|5] [IDLE_SECONDS]
import { setTimeout } from 'node:timers/promises'

const [port, name, version = '5', idleSeconds = '0'] = process.argv.slice(2)
const began = performance.now()
const library = await import(name === 'floor' ? 'node:net' : name)
const importMs = performance.now() - began
const protocolVersion = Number(version)
if (name === 'mqtt') {
  const client = library.default.connect({ host: '127.0.0.1', port: Number(port), protocolVersion })
  await new Promise((resolve) => client.once('connect', resolve))
} else if (name === 'floor') {
  const socket = library.connect(Number(port), '127.0.0.1')
  // CONNECT with the client identifier `x`; MQTT 5 has the length of its properties before it.
  const rest = protocolVersion === 5 ? [0, 0, 1, 120] : [0, 1, 120]
  const body = [0, 4, 77, 81, 84, 84, protocolVersion, 2, 0, 60, ...rest]
  socket.write(Buffer.from([0x10, body.length, ...body]))
  await new Promise((resolve) => socket.once('data', resolve))
} else {
  const url = `mqtt://127.0.0.1:${port}`
  const loop = library.eventloop({ url, protocolVersion, until: 'closed' })
  const { value } = await loop.next()
  if (value.cmd !== 'connack') throw new Error(`${value.cmd} came first`)
  void loop.next()
}
const ms = performance.now()
await setTimeout(Number(idleSeconds) * 1000)
console.log(JSON.stringify({ ms, importMs, rssMB: process.memoryUsage.rss() / 1e6 }))
process.exit(0)
