/**
 * How does one client of a bench live? It connects when it is told, subscribes or publishes, counts
 * what happens to its connection, and ends.
 */
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type Outcome,
  type Request,
  type Requests,
  subscribe,
} from '../../index.ts'
import type { Feed } from './feed.ts'
import type { Plan } from './plan.ts'
import type { Receiver } from './receiver.ts'
import { clockNow } from './stamp.ts'
import type { Tally } from './tally.ts'

interface ClientSetup {
  readonly options: EventloopOptions
  readonly tally: Tally
  /** What the client publishes, or null. */
  readonly feed: Feed | null
  /** Takes the messages that the client receives, or null. */
  readonly receiver: Receiver | null
  /** What the client subscribes to; empty if to nothing. */
  readonly filters: readonly string[]
  readonly plan: Plan
}

/** A SUBSCRIBE has at most so many filters, because servers limit its size. */
const SUBSCRIBED_TOGETHER_MAX = 100

export class BenchClient {
  readonly feed: Feed | null
  readonly receiver: Receiver | null
  readonly filters: readonly string[]
  readonly #setup: ClientSetup
  #loop: Eventloop | null = null
  #driven: Promise<void> = Promise.resolve()
  /** How many good CONNACKs came. */
  #connects = 0
  #isStopped = false
  #isReady = false
  #becameReady: () => void = () => {}

  constructor(setup: ClientSetup) {
    this.#setup = setup
    this.feed = setup.feed
    this.receiver = setup.receiver
    this.filters = setup.filters
  }

  /** Whether the client is connected, or its loop tries to be. */
  get isAlive(): boolean {
    return this.#loop !== null && this.#isReady && !this.#isStopped
  }

  get isConnected(): boolean {
    return this.isAlive && this.#loop?.state.connection.kind === 'connected'
  }

  /** The version of MQTT that is in use. */
  get protocolVersion(): number | null {
    return this.#loop?.state.connection.protocolVersion ?? null
  }

  /**
   * Connects, and subscribes if that is its part.
   * @param dueAt from when the latency of connecting counts.
   * @returns a promise that resolves once the client can work, or has failed.
   */
  start(dueAt: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve()
    const { options, feed, filters, plan, tally } = this.#setup
    const { qos, properties } = plan
    const requests: Requests =
      feed ??
      (filters.length === 0 ? [] : [subscribe(filters, { qos, properties: properties.subscribe })])
    this.#loop = eventloop(
      {
        ...options,
        until: 'closed',
        acks: 'receipt',
        filtersPerSubscribe: SUBSCRIBED_TOGETHER_MAX,
        onSettled: (request, outcome) => this.#settled(request, outcome),
        onWarning: () => {},
      },
      requests,
    )
    const ready = new Promise<void>((resolve) => {
      this.#becameReady = resolve
    })
    this.#driven = this.#drive(this.#loop, dueAt).catch((error: unknown) => {
      tally.firstError ??= error
      if (this.#connects === 0) tally.failedToConnect++
      tally.addError(this.#connects === 0 ? 'connect' : 'connection', error)
      if (this.#connects > 0) tally.lostConnections++
      this.#isStopped = true
      this.#becameReady()
    })
    return ready
  }

  /** Disconnects. @returns a promise that resolves once the loop has ended. */
  async stop(): Promise<void> {
    const loop = this.#loop
    if (loop === null) {
      this.#isStopped = true
      return
    }
    if (!this.#isStopped) this.#countLosses(loop)
    this.#isStopped = true
    this.feed?.end()
    loop.shutdown()
    this.#becameReady()
    await this.#driven
  }

  async #drive(loop: Eventloop, dueAt: number): Promise<void> {
    const { tally, feed, receiver, filters } = this.#setup
    for await (const packet of loop) {
      if (packet.cmd === 'publish') receiver?.take(packet)
      else if (packet.cmd === 'connack') {
        if (feed !== null) this.#narrowWindow(loop, feed)
        if (this.#connects++ > 0) {
          tally.lostConnections++
          continue
        }
        tally.connect.record(clockNow() - dueAt)
        tally.connected++
        if (filters.length === 0 || feed !== null) this.#ready()
      }
    }
  }

  #narrowWindow(loop: Eventloop, feed: Feed): void {
    const { limits } = loop.state.connection
    if (limits !== null) feed.window = Math.min(feed.window, limits.receiveMaximum)
  }

  #ready(): void {
    this.#isReady = true
    this.#becameReady()
  }

  #settled(request: Request, outcome: Outcome): void {
    // The loop gives the outcomes of publishes to the feed, which is their stream.
    if (request.cmd !== 'subscribe') return
    if (outcome.ok) {
      this.#ready()
      return
    }
    const { tally } = this.#setup
    tally.firstError ??= outcome.error
    tally.addError('subscribe', outcome.error)
    this.#becameReady()
  }

  /** Why connections were lost stands in the counters of the loop. */
  #countLosses(loop: Eventloop): void {
    const { tally } = this.#setup
    const { connection, counters } = loop.state
    for (const [code, count] of Object.entries(counters.reconnections)) {
      const { reason } = connection
      const message = reason?.code === code ? reason.message : 'the loop connected again'
      tally.addErrors('connection', code, count, message)
    }
    if (this.#connects > 0 && connection.kind !== 'connected') tally.lostConnections++
  }
}
