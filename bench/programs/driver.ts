/**
 * it-mqtt at the work of ../peers/floor.mjs and ../peers/mqttjs.mjs: publish COUNT messages, or receive them, against the raw
 * server, count, and print one line of JSON.
 *
 *   driver PORT pub|sub QOS COUNT SIZE [4|5] [one|plain|batch]
 *
 * `one`: an async generator, one request per `next()`. `plain`: a plain generator. `batch`: arrays of 250.
 */
import { eventloop, publish, type QoS, type Request, subscribe } from '../../src/index.ts'

const [port, mode, qosText, countText, sizeText, version = '4', style = 'one'] =
  process.argv.slice(2)
const qos = Number(qosText) as QoS
const count = Number(countText)
const size = Number(sizeText)
const payload = Buffer.alloc(size, 65)
const BATCH = 250

function make(): Request {
  return { cmd: 'publish', topic: 'sensors/room/1/temp', payload, qos }
}

function* plain(): Generator<Request> {
  for (let i = 0; i < count; i++) yield make()
  if (qos === 0) yield publish('eoj', 'x')
}

async function* one(): AsyncGenerator<Request> {
  for (let i = 0; i < count; i++) yield make()
  if (qos === 0) yield publish('eoj', 'x')
}

function* batch(): Generator<Request[]> {
  for (let i = 0; i < count; ) {
    const requests = new Array<Request>(Math.min(BATCH, count - i))
    for (let n = 0; n < requests.length; n++) requests[n] = make()
    i += requests.length
    yield requests
  }
  if (qos === 0) yield [publish('eoj', 'x')]
}

const styles = { one, plain, batch } as const

function report(started: bigint, counted: number): never {
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const { user, system } = process.cpuUsage()
  if (counted !== count) {
    console.error(`counted ${counted} of ${count}`)
    process.exit(1)
  }
  console.log(
    JSON.stringify({
      peer: 'it-mqtt',
      style: mode === 'sub' ? 'next' : style,
      mode,
      qos,
      count,
      size,
      version: Number(version),
      rate: Math.round(count / seconds),
      cpuMicrosPerMessage: Number(((user + system) / count).toFixed(2)),
      rssMB: Math.round(process.memoryUsage().rss / 1e6),
    }),
  )
  process.exit(0)
}

const requests =
  mode === 'sub'
    ? [subscribe(`blast/${qos}/${count}/${size}`, { qos })]
    : styles[style as keyof typeof styles]()
const loop = eventloop(
  {
    url: `mqtt://127.0.0.1:${port}`,
    clientId: 'bench',
    protocolVersion: Number(version) as 4 | 5,
    until: 'closed',
    // As all peers have it. The default is 20 for QoS 2 on MQTT 3.1.1.
    maxInflight: 1000,
  },
  requests,
)
let started = 0n
let counted = 0
for await (const packet of loop) {
  switch (packet.cmd) {
    case 'connack':
      started = process.hrtime.bigint()
      break
    case 'puback':
    case 'pubcomp':
      if (++counted === count) report(started, counted)
      break
    case 'publish':
      if (packet.topic !== 'done') counted++
      else report(started, mode === 'pub' ? Number(packet.payload.toString()) : counted)
      break
    default:
  }
}
