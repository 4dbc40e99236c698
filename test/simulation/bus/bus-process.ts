/**
 * A process with one bus: a connection for calls, and one for each listener. When it is killed, its
 * clock stops and its sockets are gone; what its code goes on doing reaches nobody.
 */
import type { ClientOptions } from '../../../src/client/index.ts'
import type { Platform } from '../../../src/index.ts'
import type { VirtualClock } from '../../support/clock.ts'
import { NO_TAP } from '../client/client-link.ts'
import type { Connection, Network } from '../network.ts'
import { KeptIds, KeptOutbox } from './bus-keeping.ts'
import type { ReleaseName, ServiceSetup } from './bus-scenario.ts'

const STORED_MS_MAX = 20

/** What of a process outlives it. */
export class Seat {
  readonly name: string
  readonly setup: ServiceSetup
  readonly outbox = new KeptOutbox()
  /** What its own listeners remember, by name. */
  readonly ids = new Map<string, KeptIds>()
  network: Network
  /** What the next life is a release of. */
  release: ReleaseName = 'first'
  lives = 0
  /** When the next life begins, if none runs. */
  restartAt = 0
  life: Life | null = null

  constructor(name: string, setup: ServiceSetup, network: Network) {
    this.name = name
    this.setup = setup
    this.network = network
  }

  get who(): string {
    return `${this.setup.service}/${this.name}`
  }

  idsOf(listener: string): KeptIds {
    const known = this.ids.get(listener) ?? new KeptIds()
    this.ids.set(listener, known)
    return known
  }
}

export interface LifeHost {
  readonly clock: VirtualClock
  readonly random: () => number
  readonly protocolVersion: 4 | 5
  warned(life: Life, code: string, message: string): void
}

/** One life of a process. */
export class Life {
  readonly seat: Seat
  readonly number: number
  readonly beganAt: number
  readonly release: ReleaseName
  isDead = false
  /** It was asked to end. */
  isEnding = false
  /** How long `close()` may take; a disk that is slower than that is not waited for. */
  closeMs = 0
  /** It has ended, or was killed. */
  isOver = false
  /** The next `done` of a store fails. */
  storeFails = false
  /** A `done` has failed: an event is handled, and not acknowledged. */
  hasForgotten = false
  /** Handlers that run. */
  readonly handlers = new Set<{ readonly deadline: number }>()
  /** A listener has failed, so that `run()` is about to reject. */
  isFailing = false
  /** A connection of an earlier life, whose CONNECT was still under way, has come after its own. */
  isHaunted = false
  /** `run()` is pending. */
  isRunning = true
  /** When one of its connections was last begun or lost. */
  disturbedAt = 0
  readonly connections: Connection[] = []
  readonly platform: Platform
  readonly #host: LifeHost
  /** The timers of the bus, and those of its program. */
  readonly #timers = new Set<unknown>()
  readonly #others = new Set<unknown>()

  constructor(seat: Seat, host: LifeHost) {
    this.seat = seat
    this.number = ++seat.lives
    this.release = seat.release
    this.#host = host
    this.beganAt = host.clock.now()
    this.disturbedAt = this.beganAt
    const { clock } = host
    this.platform = {
      now: () => clock.now(),
      wallNow: () => clock.now(),
      random: () => clock.random(),
      setTimer: (callback, ms) => this.#setTimer(this.#timers, callback, ms),
      clearTimer: (timer) => {
        this.#timers.delete(timer)
        clock.clearTimer(timer)
      },
    }
  }

  get name(): string {
    return `${this.seat.who}.${this.number}`
  }

  /** How many timers the bus has. */
  get timers(): number {
    return this.#timers.size
  }

  get openConnections(): readonly Connection[] {
    return this.connections.filter(({ over, client }) => !over && !client.destroyed)
  }

  clientOptions(): ClientOptions {
    return {
      protocolVersion: this.#host.protocolVersion,
      ...{ keepAlive: 5, connectTimeout: 3000 },
      reconnect: { when: 'always', minMs: 50, maxMs: 500 },
      platform: this.platform,
      transport: (_, signal) => this.#dial(signal),
      onWarning: ({ code, message }) => this.#host.warned(this, code, message),
    }
  }

  kill(): void {
    this.isDead = true
    this.isOver = true
    for (const timers of [this.#timers, this.#others]) {
      for (const timer of timers) this.#host.clock.clearTimer(timer)
      timers.clear()
    }
    for (const { client } of this.openConnections) client.destroy()
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#setTimer(this.#others, resolve, ms))
  }

  write(): Promise<void> {
    const { clock, random } = this.#host
    return new Promise((resolve) =>
      clock.setTimer(() => {
        if (this.isDead && (this.seat.life !== this || random() < 0.5)) return
        resolve()
      }, random() * STORED_MS_MAX),
    )
  }

  touch(): void {
    this.#host.clock.touch()
  }

  #setTimer(timers: Set<unknown>, callback: () => void, ms: number): unknown {
    if (this.isDead) return null
    const timer = this.#host.clock.setTimer(() => {
      timers.delete(timer)
      callback()
    }, ms)
    timers.add(timer)
    return timer
  }

  async #dial(signal: AbortSignal) {
    if (this.isDead) return new Promise<never>(() => {})
    const stream = await this.seat.network.dial(NO_TAP, signal)
    if (!this.isDead) return stream
    stream.destroy()
    return new Promise<never>(() => {})
  }
}
