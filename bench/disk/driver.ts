/**
 * One process of the disk benchmark: prints one line of JSON.
 *
 *   driver durable PORT COUNT FOLDER        push, fsync, publish at QoS 1, acknowledge, remove
 *   driver depth PORT DEPTH FOLDER [fill]   `fill` makes the queue; without it COUNT messages pass through one of that depth
 *   driver stream PORT COUNT none|spill     one request at a time from a producer, through it-pushable or through a spool
 *   driver session PORT COUNT FOLDER QOS    a session on disk under plain requests
 */
import { randomBytes } from 'node:crypto'
import { pushable } from 'it-pushable'
import { openSession, spool } from '../../src/disk/index.ts'
import { type Eventloop, type EventloopOptions, eventloop, type Request } from '../../src/index.ts'
import type { SentRequest } from '../../src/requests/vocabulary.ts'

const [mode = '', port = '', amount = '', ...rest] = process.argv.slice(2)
const count = Number(amount)
/** Of which a database can make nothing smaller. */
const payloads = Array.from({ length: 4096 }, () => randomBytes(64))
let made = 0
const BURST = 500
const PRODUCERS = 4
/** Through a queue of any depth. */
const PASSING = 200_000

const request = (): SentRequest => ({
  cmd: 'publish',
  topic: 'sensors/room/1/temp',
  payload: payloads[made++ & 4095]!,
  qos: 1,
})
const burst = (size = BURST) => Array.from({ length: size }, request)
const options: EventloopOptions = {
  url: `mqtt://127.0.0.1:${port}`,
  clientId: 'bench',
  protocolVersion: 5,
  until: 'closed',
}

function report(startedAt: number, cpu: NodeJS.CpuUsage, messages: number, more = {}): never {
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - startedAt) / 1000
  const figures = {
    mode,
    rate: Math.round(messages / seconds),
    cpuMicrosPerMessage: Number(((user + system) / messages).toFixed(2)),
    nsPerMessage: Math.round((seconds / messages) * 1e9),
    rssMB: Math.round(process.memoryUsage().rss / 1e6),
    ...more,
  }
  console.log(JSON.stringify(figures))
  process.exit(0)
}

let seen = 0
/** The network keeps up with the producer as long as no more than this is on its way. */
const AHEAD = 2000

/** Resolves after so many acknowledgements. */
async function acknowledged(loop: Eventloop, messages: number): Promise<void> {
  for await (const { cmd } of loop)
    if ((cmd === 'puback' || cmd === 'pubcomp') && ++seen === messages) return
}

async function durable(): Promise<never> {
  const queue = await spool(rest[0]!)
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  const producing = Array.from({ length: PRODUCERS }, async () => {
    for (let i = 0; i < count / PRODUCERS; i += BURST) await queue.push(burst())
  })
  let gone = () => {}
  const empty = new Promise<void>((resolve) => {
    gone = resolve
  })
  const settle = queue.settled.bind(queue)
  let removed = 0
  queue.settled = async (...outcome) => {
    await settle(...outcome)
    if (++removed === count) gone()
  }
  const loop = eventloop(options, queue)
  await acknowledged(loop, count)
  await Promise.all([empty, ...producing])
  report(startedAt, cpu, count, { left: queue.size })
}

async function depth(): Promise<never> {
  const queue = await spool(rest[0]!)
  if (rest[1] === 'fill') {
    while (queue.size < count) await Promise.all([1, 2, 3, 4].map(() => queue.push(burst(2500))))
    await queue.close()
    process.exit(0)
  }
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  const producing = (async () => {
    for (let i = 0; i < PASSING; i += BURST) await queue.push(burst())
  })()
  await acknowledged(eventloop(options, queue), PASSING)
  await producing
  const done: [number, NodeJS.CpuUsage] = [startedAt, cpu]
  report(...done, PASSING, { size: queue.size })
}

async function stream(): Promise<never> {
  const queue = rest[0] === 'spill' ? await spool(rest[1]!, { mode: 'spill' }) : null
  const plain = pushable<Request>({ objectMode: true })
  const push =
    queue === null ? (one: SentRequest) => plain.push(one) : (one: SentRequest) => queue.push(one)
  const loop = eventloop(options, queue ?? plain)
  await loop.next()
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  const producing = (async () => {
    for (let i = 0; i < count; i++) {
      push(request())
      // As a producer that has other things to do: a hundred, and then everybody else.
      while (i % 100 === 99 && i - seen > AHEAD)
        await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  await acknowledged(loop, count)
  await producing
  report(startedAt, cpu, count)
}

async function session(): Promise<never> {
  const qos = Number(rest[1] ?? 1) as 1 | 2
  const store = await openSession(rest[0]!)
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  function* requests(): Generator<SentRequest[]> {
    for (let i = 0; i < count; i += BURST)
      yield burst().map((one) => ({ ...one, qos }) as SentRequest)
  }
  await acknowledged(
    eventloop({ ...options, cleanStart: false, session: store }, requests()),
    count,
  )
  report(startedAt, cpu, count)
}

const modes: Record<string, () => Promise<never>> = { durable, depth, stream, session }
await modes[mode]?.()
