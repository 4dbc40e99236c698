/**
 * One scenario of bench/scale in a process of its own: prints one line of JSON. driver PORT SCENARIO SIZE
 */
import { type Eventloop, type EventloopOptions, eventloop, type Request } from '../../src/index.ts'

const [port, scenario, sizeText] = process.argv.slice(2)
const size = Number(sizeText)
const url = `mqtt://127.0.0.1:${port}`
const payload = Buffer.alloc(64, 65)
const WARM_UP = 200_000
const MEASURED = 500_000
const WINDOW = 400

function report(figures: object): never {
  console.log(JSON.stringify(figures))
  process.exit(0)
}

function message(topic = 'sensors/room/1/temp'): Request {
  return { cmd: 'publish', topic, payload, qos: 1 }
}

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** Time and CPU time of `messages` from now on. */
function stopwatch(): (messages: number) => { nsPerMessage: number; cpuNsPerMessage: number } {
  const began = process.hrtime.bigint()
  const cpu = process.cpuUsage()
  return (messages) => {
    const { user, system } = process.cpuUsage(cpu)
    const nsPerMessage = Number(process.hrtime.bigint() - began) / messages
    return { nsPerMessage, cpuNsPerMessage: ((user + system) * 1000) / messages }
  }
}

/** `size` publishes that are never acknowledged, and beside them a window of 400. */
async function inFlight(): Promise<never> {
  function* requests(): Generator<Request> {
    for (let i = 0; i < size; i++) yield message('hold/x')
    for (let i = 0; i < WARM_UP + MEASURED; i++) yield message()
  }
  const options: EventloopOptions = { url, maxInflight: size + WINDOW, until: 'closed' }
  let acknowledged = 0
  let stop = stopwatch()
  const loop = eventloop(options, requests())
  for await (const packet of loop) {
    if (packet.cmd !== 'puback') continue
    if (++acknowledged === WARM_UP) stop = stopwatch()
    if (acknowledged === WARM_UP + MEASURED) break
  }
  const figures = stop(MEASURED)
  const { held } = loop.state.counters
  if (held !== size) throw new Error(`${held} are held, not ${size}`)
  return report(figures)
}

/** `size` subscriptions, and messages received beside them. */
async function subscriptions(): Promise<never> {
  const PER_PACKET = 1000
  async function* requests(): AsyncGenerator<Request> {
    for (let at = 0; at < size; at += PER_PACKET) {
      const some = Math.min(PER_PACKET, size - at)
      const filters = Array.from({ length: some }, (_, i) => `plant/${at + i}/temperature`)
      yield { cmd: 'subscribe', subscriptions: filters.map((topic) => ({ topic, qos: 0 })) }
    }
    yield { cmd: 'subscribe', subscriptions: [{ topic: `blast/${WARM_UP}/64`, qos: 0 }] }
    await warm
    yield { cmd: 'subscribe', subscriptions: [{ topic: `blast/${MEASURED * 2}/64`, qos: 0 }] }
  }
  const { promise: warm, resolve: begin } = gate()
  let done = 0
  let received = 0
  let stop = stopwatch()
  const loop = eventloop({ url, until: 'closed' }, requests())
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    if (packet.topic !== 'done') received++
    else if (++done === 2) break
    else {
      stop = stopwatch()
      received = 0
      begin()
    }
  }
  if (received !== MEASURED * 2) throw new Error(`counted ${received}`)
  const figures = stop(MEASURED * 2)
  if (loop.state.subscriptions.length !== size + 2) throw new Error('subscriptions are missing')
  return report(figures)
}

/**
 * The same bursts over `size` connections: 100 messages each, one after the other, from one connection to the next. One at a
 * time, because bursts that meet on one connection share a write and a read: that is a question of its own.
 */
async function connections(): Promise<never> {
  const BURST = 100
  const TOTAL = WARM_UP + 2 * MEASURED
  /** By connection: bursts that it is to send, and how it is woken. */
  const due = new Array<number>(size).fill(0)
  const wake = new Array<() => void>(size).fill(() => {})
  let bursts = 0
  let acknowledged = 0
  let stop = stopwatch()
  const dispatch = () => {
    const i = bursts++ % size
    due[i]!++
    wake[i]!()
  }
  async function* requests(i: number): AsyncGenerator<Request> {
    for (;;) {
      while (due[i] === 0) {
        await new Promise<void>((resolve) => {
          wake[i] = resolve
        })
      }
      due[i]!--
      for (let n = 0; n < BURST; n++) yield message()
    }
  }
  const one = async (i: number, ready: () => void) => {
    const options = { url, clientId: `c${i}`, until: 'closed' } as const
    let own = 0
    for await (const packet of eventloop(options, requests(i))) {
      if (packet.cmd === 'connack') ready()
      if (packet.cmd !== 'puback') continue
      if (++acknowledged === WARM_UP) stop = stopwatch()
      if (acknowledged === TOTAL) report(stop(TOTAL - WARM_UP))
      if (++own % BURST === 0) dispatch()
    }
  }
  for (let i = 0; i < size; i++) {
    // One after the other: what is measured is not a queue of connections.
    await new Promise<void>((resolve) => void one(i, resolve))
  }
  dispatch()
  return new Promise<never>(() => {})
}

/** The most that the process held in buffers beyond what it held before, in bytes. */
function watchMemory(): () => number {
  globalThis.gc?.()
  const before = process.memoryUsage().arrayBuffers
  let peak = 0
  const look = () => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
  }
  const timer = setInterval(look, 1)
  return () => {
    clearInterval(timer)
    look()
    return peak
  }
}

/** A payload of `size` bytes, sent; what is held beside the payload itself counts. */
async function publishLarge(): Promise<never> {
  const large = Buffer.alloc(size, 65)
  const requests: Request[] = [{ cmd: 'publish', topic: 't', payload: large, qos: 1 }]
  const memory = watchMemory()
  const began = performance.now()
  for await (const packet of eventloop({ url, until: 'settled' }, requests)) {
    if (packet.cmd === 'puback' && packet.request?.cmd !== 'publish') throw new Error('lost')
  }
  const ms = performance.now() - began
  return report({ msPerMB: ms / (size / 1e6), memoryPerByte: 1 + memory() / size })
}

async function receiveLarge(): Promise<never> {
  const memory = watchMemory()
  const requests: Request[] = [
    { cmd: 'subscribe', subscriptions: [{ topic: `blast/1/${size}`, qos: 0 }] },
  ]
  let began = 0
  let bytes = 0
  for await (const packet of eventloop({ url, until: 'closed' }, requests)) {
    if (packet.cmd === 'suback') began = performance.now()
    if (packet.cmd !== 'publish') continue
    if (packet.topic === 'done') break
    bytes = packet.payload.length
  }
  if (bytes !== size) throw new Error(`${bytes} of ${size}`)
  const ms = performance.now() - began
  return report({ msPerMB: ms / (size / 1e6), memoryPerByte: memory() / size })
}

/** From the CONNACK to the last of `size` publishes that were in flight. */
async function replay(): Promise<never> {
  function* requests(): Generator<Request> {
    for (let i = 0; i < size; i++) yield message('hold/x')
    yield { cmd: 'publish', topic: 'cut', payload: '', qos: 0 }
  }
  const options: EventloopOptions = {
    url,
    clientId: 'replay',
    cleanStart: false,
    session: 'adopt',
    maxInflight: 65_000,
    until: 'closed',
  }
  let connected = 0
  const loop: Eventloop = eventloop(options, requests())
  for await (const packet of loop) {
    if (packet.cmd === 'connack') connected = performance.now()
    if (packet.cmd === 'publish' && packet.topic === 'done') {
      return report({ ms: performance.now() - connected })
    }
  }
  throw new Error('the loop ended before it was done')
}

/** `size` messages through one loop: memory at a tenth of the way and at the end. */
async function soak(): Promise<never> {
  async function* requests(): AsyncGenerator<Request> {
    for (let i = 0; i < size; i++) {
      yield { cmd: 'publish', topic: 't', payload, qos: i % 2 === 0 ? 0 : 1 }
    }
  }
  const early = size / 20
  let acknowledged = 0
  let began = { heap: 0, rss: 0 }
  const memory = () => {
    globalThis.gc?.()
    const { heapUsed, rss } = process.memoryUsage()
    return { heap: heapUsed / 1e6, rss: rss / 1e6 }
  }
  const stop = stopwatch()
  for await (const packet of eventloop({ url, until: 'settled' }, requests())) {
    if (packet.cmd !== 'puback') continue
    if (++acknowledged === early) began = memory()
  }
  if (acknowledged !== size / 2) throw new Error(`${acknowledged} of ${size / 2}`)
  const { heap, rss } = memory()
  return report({ ...stop(size), earlyHeap: began.heap, heap, earlyRss: began.rss, rss })
}

const scenarios: Readonly<Record<string, () => Promise<never>>> = {
  inFlight,
  subscriptions,
  connections,
  publishLarge,
  receiveLarge,
  replay,
  soak,
}
await scenarios[scenario!]!()
