/**
 * How does a bench go from its first connection to its result? Connect, warm up, measure, wait for
 * what is under way, and leave nothing behind at the server.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { eventloop, publish, run } from '../../index.ts'
import { reportFailure } from '../fail.ts'
import { Interrupt } from '../interrupt.ts'
import { BenchClient } from './bench-client.ts'
import { Feed } from './feed.ts'
import { latencyMaker } from './latencies.ts'
import { LiveLine } from './live-line.ts'
import { checkMachine } from './machine-limits.ts'
import { Meter } from './meter.ts'
import { type Plan, topicFor } from './plan.ts'
import { Receiver } from './receiver.ts'
import { type BenchResult, statusOfResult } from './result.ts'
import { evenly, pairs, type Schedule } from './schedule.ts'
import { clockNow } from './stamp.ts'
import { Tally } from './tally.ts'

/** Without a rate, so many connections are begun at the same time. */
const CONNECTING_MAX = 100
/** How often is looked whether a phase is over, in ms. */
const LOOK_EVERY_MS = 5

interface Conducted {
  readonly result: BenchResult
  readonly status: number
}

/** @param say writes a warning, unless the user wants none. */
export async function conduct(
  plan: Plan,
  isQuiet: boolean,
  say: (text: string) => void,
): Promise<Conducted> {
  const addresses = Math.max(1, plan.localAddresses.length)
  const total = plan.publishers + plan.subscribers + plan.idlers
  const warning = checkMachine(total, addresses)
  if (warning !== null) say(warning)
  const make = await latencyMaker()
  const bench = new Bench(plan, new Meter(plan, new Tally(make)), new LiveLine(!isQuiet))
  const interrupt = new Interrupt(() => bench.halt('interrupted'))
  try {
    return await bench.run(() => interrupt.status)
  } finally {
    interrupt.close()
  }
}

class Bench {
  readonly #plan: Plan
  readonly #meter: Meter
  readonly #tally: Tally
  readonly #line: LiveLine
  readonly #clients: readonly BenchClient[]
  #ended: BenchResult['ended'] = 'done'
  #isHalted = false
  #seconds: NodeJS.Timeout | undefined

  constructor(plan: Plan, meter: Meter, line: LiveLine) {
    this.#plan = plan
    this.#meter = meter
    this.#tally = meter.tally
    this.#line = line
    this.#clients = clientsOf(plan, meter.tally)
  }

  /** Ends the bench early. */
  halt(reason: 'interrupted' | 'timed-out'): void {
    if (!this.#isHalted) this.#ended = reason
    this.#isHalted = true
  }

  async run(signalStatus: () => number): Promise<Conducted> {
    const { timeoutMs, kind } = this.#plan
    const limit =
      timeoutMs === null ? undefined : setTimeout(() => this.halt('timed-out'), timeoutMs)
    this.#restartSeconds()
    try {
      if (kind === 'conn') this.#meter.begin(clockNow())
      await this.#connect()
      if (kind === 'conn') this.#meter.end(clockNow(), this.#clients)
      if (this.#isAnyAlive && !this.#isHalted) await this.#work()
    } finally {
      clearTimeout(limit)
      clearInterval(this.#seconds)
      this.#line.clear()
    }
    const version = this.#clients.find(({ isAlive }) => isAlive)?.protocolVersion ?? null
    await Promise.all(this.#clients.map((client) => client.stop()))
    await this.#cleanUp()
    const result = this.#meter.result(this.#clients, this.#ended, version)
    const { firstError } = this.#tally
    if (this.#tally.connected === 0 && firstError !== undefined && !this.#isHalted) {
      return { result, status: reportFailure(firstError) }
    }
    return { result, status: statusOfResult(result, firstError, signalStatus()) }
  }

  /** Shows and counts each second from now on. */
  #restartSeconds(): void {
    clearInterval(this.#seconds)
    this.#seconds = setInterval(() => this.#line.show(this.#meter.second(this.#clients)), 1000)
  }

  get #isAnyAlive(): boolean {
    return this.#clients.some(({ isAlive }) => isAlive)
  }

  /** Resolves once a condition holds, the bench is halted, or no client is left. */
  async #until(condition: () => boolean): Promise<void> {
    while (!this.#isHalted && !condition() && this.#isAnyAlive) await sleep(LOOK_EVERY_MS)
  }

  // ------------------------------------------------------------------------------------ connecting

  async #connect(): Promise<void> {
    const { connectRate } = this.#plan
    if (connectRate === null) await this.#connectSome()
    else await this.#connectBy(evenly(connectRate, clockNow(), this.#clients.length))
  }

  /** Connects some at a time. The latency of each counts from its own beginning. */
  async #connectSome(): Promise<void> {
    const waiting = this.#clients.values()
    const one = async () => {
      for (const client of waiting) {
        if (this.#isHalted) return
        await this.#ready(client.start(clockNow()))
      }
    }
    await Promise.all(Array.from({ length: CONNECTING_MAX }, one))
  }

  /** Connects by a schedule. The latency of each counts from the time at which it was due. */
  async #connectBy(schedule: Schedule): Promise<void> {
    const ready: Promise<void>[] = []
    while (ready.length < this.#clients.length && !this.#isHalted) {
      const due = schedule.dueBy(clockNow())
      while (ready.length < due) {
        ready.push(this.#clients[ready.length]!.start(schedule.timeOf(ready.length)))
      }
      await sleep(1)
    }
    await this.#ready(Promise.all(ready))
  }

  /** Resolves with the promise, or when the bench is halted. */
  async #ready(promise: Promise<unknown>): Promise<void> {
    let isReady = false
    const noted = promise.then(() => {
      isReady = true
    })
    while (!isReady && !this.#isHalted) await Promise.race([noted, sleep(LOOK_EVERY_MS)])
  }

  // --------------------------------------------------------------------------------------- working

  async #work(): Promise<void> {
    const { kind, durationMs, warmUpMs, messages } = this.#plan
    const startAt = clockNow()
    if (kind === 'conn') {
      await this.#until(() => clockNow() >= startAt + (durationMs ?? 0))
      return
    }
    const measureAt = startAt + warmUpMs
    this.#tally.measureAt = measureAt
    const feeds = this.#feeds()
    if (feeds.length > 0) this.#send(startAt)
    await this.#until(() => clockNow() >= measureAt)
    if (this.#isHalted) return
    this.#meter.begin(measureAt)
    this.#restartSeconds()
    const endAt = durationMs === null ? Number.POSITIVE_INFINITY : measureAt + durationMs
    const isSent = feeds.length > 0 && messages !== null ? () => this.#isDone(feeds) : () => false
    const isReceived = () => kind === 'sub' && messages !== null && this.#tally.received >= messages
    await this.#until(() => clockNow() >= endAt || isSent() || isReceived())
    const now = this.#endOfSending(endAt)
    const all = this.#clients.flatMap(({ feed }) => feed ?? [])
    // What became due in the last moment was not late.
    for (const feed of all) feed.wake()
    const unsent = all.reduce((sum, feed) => sum + feed.backlog(now), 0)
    for (const feed of all) feed.stop()
    this.#meter.end(now, this.#clients, unsent)
    await this.#drain(feeds)
  }

  /** @returns the instant up to which is measured. */
  #endOfSending(endAt: number): number {
    const { rate, messages } = this.#plan
    const { settledAt } = this.#tally
    if (messages !== null && settledAt > 0 && !this.#isHalted) return settledAt
    const now = clockNow()
    return rate !== null && now > endAt ? endAt : now
  }

  #feeds(): readonly Feed[] {
    return this.#clients.flatMap(({ feed, isAlive }) => (feed !== null && isAlive ? [feed] : []))
  }

  #isDone(feeds: readonly Feed[]): boolean {
    return clockNow() >= this.#tally.measureAt && feeds.every(({ isDone }) => isDone)
  }

  /** Begins to send, and in the open model wakes the publishers whose messages are due. */
  #send(startAt: number): void {
    const { rate, publishers } = this.#plan
    const all = this.#clients.flatMap(({ feed }) => feed ?? [])
    if (rate === null) {
      for (const feed of all) feed.begin(null)
      return
    }
    const count = this.#meter.scheduledCount(rate)
    const schedule = evenly(rate, startAt, count)
    for (const feed of all) feed.begin(schedule)
    let woken = 0
    const wake = () => {
      const now = clockNow()
      const due = schedule.dueBy(now)
      if (due - woken >= publishers) for (const feed of all) feed.wake()
      else for (let at = woken; at < due; at++) all[at % publishers]!.wake()
      woken = due
      if (due >= count || this.#isHalted) return
      setTimeout(wake, Math.max(1, schedule.timeOf(due) - now))
    }
    wake()
  }

  /** Waits for acknowledgements, and then for messages that the subscribers have not received. */
  async #drain(feeds: readonly Feed[]): Promise<void> {
    const { ackTimeoutMs, interruptedMs } = this.#plan
    const wasHalted = this.#isHalted
    const limit = clockNow() + (wasHalted ? Math.min(interruptedMs, ackTimeoutMs) : ackTimeoutMs)
    const wait = async (isOver: () => boolean) => {
      while (clockNow() < limit && this.#isAnyAlive && !isOver()) {
        if (this.#isHalted && !wasHalted) return
        await sleep(LOOK_EVERY_MS)
      }
    }
    await wait(() => feeds.every(({ inFlight }) => inFlight === 0))
    const expected = this.#meter.expectedCount(this.#clients)
    await wait(() => this.#tally.received - this.#tally.duplicates >= expected)
  }

  // --------------------------------------------------------------------------------- cleaning up

  /** Removes retained messages, and ends the sessions of durable clients. */
  async #cleanUp(): Promise<void> {
    const { retain, durable } = this.#plan
    try {
      if (retain) await this.#removeRetained()
      if (durable) await this.#endSessions()
    } catch (error) {
      this.#tally.addError('clean-up', error)
    }
  }

  async #removeRetained(): Promise<void> {
    const { optionsOf, qos, ackTimeoutMs } = this.#plan
    const topics = new Set(
      this.#clients.flatMap(({ feed }) =>
        feed === null ? [] : feed.topics.filter((_, at) => feed.sequences[at]! > 0),
      ),
    )
    if (topics.size === 0) return
    const first = optionsOf(0)
    const { failed, unsettled } = await run(
      { ...first, clientId: `${first.clientId}-end`, onWarning: () => {} },
      [...topics].map((topic) => publish(topic, '', { retain: true, qos: qos > 0 ? 1 : 0 })),
      { timeout: ackTimeoutMs },
    )
    const count = failed.length + unsettled.length
    if (count === 0) return
    const message = `retained messages of ${count} topics were not removed`
    this.#tally.addErrors('clean-up', 'RETAINED', count, message)
  }

  async #endSessions(): Promise<void> {
    const { optionsOf } = this.#plan
    const waiting = this.#clients.keys()
    const one = async () => {
      for (const client of waiting) {
        const options = {
          ...optionsOf(client),
          sessionExpiryInterval: 0,
          reconnect: 'never',
        } as const
        const ending = eventloop({ ...options, cleanStart: 'always', until: 'closed' })
        for await (const packet of ending) if (packet.cmd === 'connack') break
      }
    }
    await Promise.all(Array.from({ length: CONNECTING_MAX }, one))
  }
}

/** @returns the clients in the order in which they connect: subscribers first. */
function clientsOf(plan: Plan, tally: Tally): readonly BenchClient[] {
  const { publishers, subscribers, idlers, topics, optionsOf, kind } = plan
  const isOpen = plan.rate !== null
  const named = (client: number) => {
    const { clientId, username } = optionsOf(client)
    return topics.map((one) => topicFor(one, plan.startNumber + client, clientId, username))
  }
  const setup = (client: number) => ({ options: optionsOf(client), tally, plan })
  const feeds = Array.from(
    { length: publishers },
    (_, at) => new Feed({ plan, tally, publisher: at, topics: named(at) }),
  )
  const sources = kind === 'pub-sub' ? pairs(publishers, subscribers) : []
  const receiving = Array.from({ length: subscribers }, (_, at) => {
    const filters = kind === 'sub' ? named(at) : sources[at]!.flatMap((from) => feeds[from]!.topics)
    const receiver = new Receiver(tally, kind === 'sub' ? null : plan.run, isOpen || kind === 'sub')
    const client = {
      ...setup(publishers + at),
      feed: null,
      receiver,
      filters: [...new Set(filters)],
    }
    return new BenchClient(client)
  })
  const silent = { receiver: null, filters: [] }
  return [
    ...receiving,
    ...feeds.map((feed, at) => new BenchClient({ ...setup(at), ...silent, feed })),
    ...Array.from({ length: idlers }, (_, at) => {
      return new BenchClient({ ...setup(at), ...silent, feed: null })
    }),
  ]
}
