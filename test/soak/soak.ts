/**
 * Question: does anything get lost, doubled at QoS 2 or reordered, and do memory or handles grow,
 * while transports break every few seconds for as long as it is asked?
 *
 * Method: pairs of loops (MQTT 5 and 3.1.1) and mosquitto; each loop has a relay of its own that is
 * reset, ended within a packet, stalled, slowed down, made to lose one direction or both, or closed.
 * With slow consumers there are more pairs, one for each Receive Maximum, and no connection may be
 * lost but by such a fault.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Mosquitto } from '../support/mosquitto.ts'
import { until } from '../support/process.ts'
import { randomOf } from '../support/random.ts'
import { Relay } from '../support/relay.ts'
import { FAULTS, type Fault, type LossCounts, Losses } from './losses.ts'
import { type Counts, type Pace, Traffic } from './traffic.ts'

const NAMES = Object.keys(FAULTS) as Fault[]
const SAMPLES_MAX = 600
/** If nothing arrives for this long once all faults are over, what is missing does not come. In ms. */
const QUIET_MS = 60_000

export interface Plan {
  readonly ms: number
  /**
   * The number of QoS 2 messages of each pair that must have arrived before it ends: how many do in
   * a time is luck. Default 0.
   */
  readonly messages?: number
  readonly seed: number
  /** Mean time from the end of a fault to the next one of the same relay, in ms. */
  readonly faultEveryMs: number
  readonly pace: Pace
  /** How long the consumer takes for each message, in ms. Default: it takes no time. */
  readonly consumerMs?: number
  readonly say: (line: string) => void
  /** What the loops recorded, if a promise was broken. */
  readonly record?: (name: string, recording: string) => void
}

export interface Figures {
  readonly problems: readonly string[]
  readonly traffic: { readonly [name: string]: Counts }
  readonly faults: { readonly [name: string]: number }
  readonly reconnections: { readonly [code: string]: number }
  /** Connections that were lost, by the fault that explains it and the code of the failure. */
  readonly losses: LossCounts
  /** Messages at QoS 1 and 2 that were accepted and did not arrive, by the name of the pair. */
  readonly lost: { readonly [name: string]: number }
  /** How often the warnings came, by code. */
  readonly warnings: { readonly [code: string]: number }
  /** Rules that the broker was found to have broken. */
  readonly violations: readonly string[]
  /** MB of heap after a full collection: the median of the first and of the last third. */
  readonly heap: readonly [early: number, late: number]
  readonly rss: readonly [early: number, late: number]
  /** Handles that keep the process alive, before the loops began and after they ended. */
  readonly handles: readonly [before: number, after: number]
}

export async function soak(plan: Plan): Promise<Figures> {
  const random = randomOf(plan.seed)
  await using broker = await Mosquitto.start(['max_queued_messages 0', 'max_inflight_messages 200'])
  const closing: (() => void)[] = []
  const relays: Relay[] = []
  const pairs = pairsOf(plan)
  for (let i = 0; i < 2 * pairs.length; i++) {
    relays.push(await Relay.open({ onTestFinished: (done) => closing.push(done) }, broker.port))
  }
  const handlesBefore = handles()
  const { pace, consumerMs = 0 } = plan
  const traffics = pairs.map((pair, i) => {
    const urls = [relays[2 * i]!.url, relays[2 * i + 1]!.url] as const
    return new Traffic({
      ...pair,
      urls,
      pace,
      consumerMs,
      random,
      record: plan.record !== undefined,
    })
  })
  const losses: LossCounts = {}
  const unexplained: string[] = []
  const stopping = new AbortController()
  const faults = Object.fromEntries(NAMES.map((name) => [name, 0])) as Record<Fault, number>
  const spoilt: Promise<void>[] = []
  const runs = traffics.map((traffic, i) =>
    traffic.run(() => {
      for (const end of [0, 1] as const) {
        const spoil = () => spoilRelay(relays[2 * i + end]!, traffic.loops[end])
        if (spoilt.length < 2 * pairs.length) spoilt.push(spoil())
      }
    }),
  )

  async function spoilRelay(relay: Relay, loop: Traffic['loops'][number]): Promise<void> {
    const { signal } = stopping
    const lost = new Losses(losses, (what) => unexplained.push(what))
    lost.watch(loop).catch((error) => unexplained.push(String(error)))
    const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {})
    for (;;) {
      await pause(plan.faultEveryMs * 2 * random())
      if (signal.aborted) break
      const name = NAMES[Math.floor(random() * NAMES.length)]!
      faults[name]++
      const ms = FAULTS[name].ms * random()
      lost.began(name, ms)
      if (name === 'reset') relay.cut()
      else if (name === 'end within a packet') relay.endAfter(1 + Math.floor(random() * 300))
      else if (name === 'reconnect()') loop.reconnect()
      else if (name === 'pause()') loop.pause(ms)
      else relay.set(name === 'stall' ? 'held' : name)
      await pause(ms)
      relay.set('open')
    }
  }

  const samples: { readonly heap: number; readonly rss: number }[] = []
  const { ms, messages = 0 } = plan
  const startedAt = performance.now()
  const every = Math.max(250, ms / SAMPLES_MAX)
  let said = 0
  const failed = Promise.all(runs).then(
    () => {},
    (error: unknown) => traffics[0]!.problems.push(`a loop ended: ${String(error)}`),
  )
  const broken = () => traffics.some(({ problems }) => problems.length > 0)
  const few = () => traffics.some(({ counts }) => counts.arrived[2] < messages)
  while ((performance.now() - startedAt < ms || few()) && !broken()) {
    await sleep(every)
    samples.push(memory())
    const minute = Math.floor((performance.now() - startedAt) / 60_000)
    if (minute === said) continue
    said = minute
    const arrived = traffics.map(({ counts }) => counts.arrived.join(' + '))
    plan.say(`${minute} min: arrived ${arrived.join(' and ')}, heap ${samples.at(-1)!.heap} MB`)
  }
  if (broken()) {
    for (const { loops, name } of traffics) {
      plan.record?.(`${name}-sender`, loops[0].recording() ?? '')
      plan.record?.(`${name}-receiver`, loops[1].recording() ?? '')
    }
  }
  stopping.abort()
  await Promise.all(spoilt)
  for (const traffic of traffics) traffic.stop()
  for (const traffic of traffics) {
    const [sender, receiver] = traffic.loops
    // A receiver that was slower than the sender needs time for what waits at the broker.
    let [arrived, arrivedAt] = [-1, 0]
    const all = () => {
      const now = traffic.counts.arrived[1] + traffic.counts.arrived[2]
      if (now !== arrived) [arrived, arrivedAt] = [now, performance.now()]
      return traffic.complete || broken() || performance.now() - arrivedAt > QUIET_MS
    }
    await until(all, 'everything arrives', Number.MAX_SAFE_INTEGER)
    if (!traffic.complete && performance.now() - arrivedAt > QUIET_MS) {
      traffic.problems.push(`not everything arrived: ${JSON.stringify(traffic.counts)}`)
    }
    sender.shutdown()
    receiver.shutdown()
  }
  await failed
  const handlesAfter = await settledHandles(handlesBefore)
  for (const close of closing) close()
  const third = Math.max(1, Math.floor(samples.length / 3))
  const of = (part: typeof samples, name: 'heap' | 'rss') => median(part.map((one) => one[name]))
  const [early, late] = [samples.slice(0, third), samples.slice(-third)]
  return {
    // Without slow consumers, what the broker does against the standard may cost a connection.
    problems: [
      ...traffics.flatMap(({ problems }) => problems),
      ...(consumerMs > 0 ? unexplained : []),
    ],
    traffic: Object.fromEntries(traffics.map(({ name, counts }) => [name, counts])),
    faults,
    reconnections: reconnections(traffics),
    losses,
    lost: Object.fromEntries(traffics.map(({ name, lacking }) => [name, lacking])),
    warnings: sumOf(traffics.map(({ warnings }) => warnings)),
    violations: traffics.flatMap(({ violations }) => [...violations]),
    heap: [of(early, 'heap'), of(late, 'heap')],
    rss: [of(early, 'rss'), of(late, 'rss')],
    handles: [handlesBefore, handlesAfter],
  }
}

/** mosquitto may have 200 messages in flight (see `soak`), and loses those at QoS 2 beyond. */
const IN_FLIGHT_MAX = 200

function pairsOf({ consumerMs = 0 }: Plan) {
  const usual = [{ name: 'v5', version: 5 } as const, { name: 'v4', version: 4 } as const]
  if (consumerMs === 0) return usual
  const limited = [1, 5, 10].map((receiveMaximum) => {
    return { name: `v5-${receiveMaximum}`, version: 5, receiveMaximum } as const
  })
  return [...usual, ...limited].map((pair) => ({ ...pair, maxInflight: IN_FLIGHT_MAX }))
}

function reconnections(traffics: readonly Traffic[]): Record<string, number> {
  const loops = traffics.flatMap(({ loops: both }) => both)
  return sumOf(loops.map(({ state }) => state.counters.reconnections))
}

function sumOf(counts: readonly { readonly [code: string]: number }[]): Record<string, number> {
  const all: Record<string, number> = {}
  for (const [code, count] of counts.flatMap((one) => Object.entries(one))) {
    all[code] = (all[code] ?? 0) + count
  }
  return all
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function memory(): { heap: number; rss: number } {
  collect()
  const { heapUsed, rss } = process.memoryUsage()
  return { heap: Math.round(heapUsed / 1e5) / 10, rss: Math.round(rss / 1e5) / 10 }
}

function handles(): number {
  return process.getActiveResourcesInfo().length
}

/** The relays' ends of connections close a moment after ours. */
async function settledHandles(before: number): Promise<number> {
  // The timer of the wait is a handle itself.
  await until(() => handles() <= before + 1, 'nothing is left', 10_000).catch(() => {})
  await new Promise((resolve) => setImmediate(resolve))
  return handles()
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN
}
