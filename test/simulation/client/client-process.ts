/**
 * A process with one client. When it is killed, its clock stops, its sockets are gone, and of what
 * it was writing to its disk half is lost; what its code goes on doing reaches nobody.
 */
import type { Client, ClientOptions } from '../../../src/client/index.ts'
import type { Platform, Session, SessionStore } from '../../../src/index.ts'
import type { VirtualClock } from '../../support/clock.ts'
import type { Network } from '../network.ts'
import { NO_TAP } from './client-link.ts'
import type { Memory, PartySetup } from './client-scenario.ts'

/** The code under test. */
export interface ClientSubject {
  createClient(options: ClientOptions): Client
  encodeSession(session: Session): string
  decodeSession(text: string): Session
}

const STORED_MS_MAX = 20
/** Longer than any scenario, in seconds. */
const SESSION_S = 1_000_000

/** What of a party outlives its processes. */
export class Party {
  /** The session on the disk, as text. */
  text: string | null = null
  isDiskFull = false
  /** When the next process begins, if none runs. */
  restartAt = 0
  process: ClientProcess | null = null
  readonly who: string
  readonly setup: PartySetup
  readonly network: Network

  constructor(who: string, setup: PartySetup, network: Network) {
    this.who = who
    this.setup = setup
    this.network = network
  }
}

/** What a process uses of the world. */
export interface ProcessHost {
  readonly clock: VirtualClock
  readonly random: () => number
  readonly subject: ClientSubject
  readonly protocolVersion: 4 | 5
  problem(id: string, what: string): void
}

export class ClientProcess {
  isDead = false
  /** It was asked to end, or has ended. */
  isEnding = false
  /** Its client has ended. */
  isOver = false
  /** The last change of its session is not on the disk. */
  hasForgotten = false
  /** Publishes that the end of the client rejected, and whether it said that the session has them. */
  readonly unsettled = new Map<number, boolean>()
  readonly party: Party
  readonly client: Client
  readonly platform: Platform
  readonly abort = new AbortController()
  /** The timers of the client, and those of its program. */
  readonly #timers = new Set<unknown>()
  readonly #others = new Set<unknown>()
  readonly #host: ProcessHost
  /** What fell due while the process was suspended; null while it runs. */
  #overdue: { readonly timers: Set<unknown>; readonly timer: unknown; run(): void }[] | null = null

  constructor(party: Party, host: ProcessHost) {
    this.party = party
    this.#host = host
    this.platform = this.#platform()
    this.client = host.subject.createClient(this.#options())
  }

  /** How many timers the client has. */
  get timers(): number {
    return this.#timers.size
  }

  /** Whether a promise of this process is still of interest. */
  get isAlive(): boolean {
    return !this.isDead
  }

  /** Whether the client has ended by itself. */
  get hasFailed(): boolean {
    const { kind } = this.client.state.connection
    return kind === 'closed' || kind === 'failed'
  }

  get isSuspended(): boolean {
    return this.#overdue !== null
  }

  /** Nothing of the process runs until `resume()`, and it reads nothing. */
  suspend(): void {
    if (this.isOver || this.isSuspended) return
    this.#overdue = []
    this.party.network.latest?.hold(true)
  }

  /** Goes on: everything that fell due meanwhile happens now. */
  resume(): void {
    const overdue = this.#overdue ?? []
    this.#overdue = null
    for (const { timers, timer, run } of overdue) {
      if (timers.delete(timer)) run()
    }
    this.party.network.latest?.hold(false)
  }

  kill(): void {
    this.isDead = true
    this.isOver = true
    for (const timers of [this.#timers, this.#others]) {
      for (const timer of timers) this.#host.clock.clearTimer(timer)
      timers.clear()
    }
    const { latest } = this.party.network
    if (latest?.over === false) latest.client.destroy()
  }

  /** The client has ended in order: what it remembers is kept, where it is kept as text. */
  ended(): void {
    if (this.isOver) return
    this.isOver = true
    const { party } = this
    if (party.setup.memory !== 'text') return
    party.text = this.#host.subject.encodeSession(this.client.session)
  }

  /** Does something later, unless the process is killed before. */
  later(action: () => void, ms: number): void {
    this.#setTimer(this.#others, action, ms)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.later(resolve, ms))
  }

  #setTimer(timers: Set<unknown>, callback: () => void, ms: number): unknown {
    if (this.isDead) return null
    const timer = this.#host.clock.setTimer(() => {
      if (this.#overdue !== null) {
        this.#overdue.push({ timers, timer, run: callback })
        return
      }
      timers.delete(timer)
      callback()
    }, ms)
    timers.add(timer)
    return timer
  }

  #platform(): Platform {
    const { clock } = this.#host
    return {
      now: () => clock.now(),
      random: () => clock.random(),
      setTimer: (callback, ms) => this.#setTimer(this.#timers, callback, ms),
      clearTimer: (timer) => {
        this.#timers.delete(timer)
        clock.clearTimer(timer)
      },
    }
  }

  #options(): ClientOptions {
    const { party } = this
    const { setup, who } = party
    const { protocolVersion } = this.#host
    const isMqtt5 = protocolVersion === 5
    return {
      clientId: who,
      protocolVersion,
      ...this.#sessionOptions(setup.memory),
      ...(isMqtt5 ? { sessionExpiryInterval: SESSION_S } : {}),
      ...(isMqtt5 ? { receiveMaximum: setup.receiveMaximum } : {}),
      keepAlive: setup.keepAlive,
      maxInflight: setup.maxInflight,
      maxQueued: setup.maxQueued,
      ...(setup.ackTimeoutMs > 0
        ? { ackTimeout: { afterMs: setup.ackTimeoutMs, then: 'reconnect' } }
        : {}),
      connectTimeout: 3000,
      reconnect: { when: 'always', minMs: 50, maxMs: 500 },
      signal: this.abort.signal,
      onWarning: () => {},
      platform: this.platform,
      transport: (_, signal) => this.#dial(signal),
    }
  }

  #sessionOptions(memory: Memory): ClientOptions {
    if (memory === 'none') return { cleanStart: true }
    if (memory === 'store') return { session: this.#store() }
    const { text } = this.party
    // A process that is killed leaves no text: the server's session is that of somebody else then.
    this.party.text = null
    return text === null
      ? { cleanStart: true }
      : { session: this.#host.subject.decodeSession(text) }
  }

  #store(): SessionStore {
    const { party } = this
    const { clock, random, subject } = this.#host
    const work = () =>
      new Promise<void>((resolve) => clock.setTimer(resolve, random() * STORED_MS_MAX))
    return {
      load: async () => {
        await work()
        return party.text === null ? null : subject.decodeSession(party.text)
      },
      commit: async (session) => {
        if (this.isDead) return
        const text = subject.encodeSession(session)
        await work()
        if (this.isDead && (party.process !== this || random() < 0.5)) return
        if (party.isDiskFull) {
          party.isDiskFull = false
          this.hasForgotten = true
          throw new Error('no space is left')
        }
        party.text = text
      },
      close: () => work(),
    }
  }

  async #dial(signal: AbortSignal) {
    if (this.isDead) return new Promise<never>(() => {})
    const stream = await this.party.network.dial(NO_TAP, signal)
    if (this.isSuspended) this.party.network.latest?.hold(true)
    if (!this.isDead) return stream
    stream.destroy()
    return new Promise<never>(() => {})
  }
}
