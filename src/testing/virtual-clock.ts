/**
 * How does time pass in a test? Only when the test says so.
 *
 * Between two timers everything happens that takes no time: promise callbacks, next ticks, bytes in
 * memory. The clock takes it that everything has happened when nobody has asked it for the time,
 * set a timer or called `touch()` for a few turns of the runtime's event loop. So a slow machine
 * makes a test slower and never makes it fail.
 */

import { later } from '#runtime'
import { UsageError } from '../errors.ts'
import type { Platform } from '../platform/machine.ts'

/** Turns of the runtime's event loop without activity after which nothing more is expected. */
const QUIET_TURNS = 4
/** Turns after which a test is taken to run for ever. */
const TURNS_MAX = 200_000
/** Timers that may fire without time passing; beyond that somebody sets them again and again. */
const TIMERS_AT_ONCE_MAX = 1000

interface VirtualTimer {
  readonly due: number
  readonly order: number
  readonly callback: () => void
}

/** The options of `virtualClock()`. */
export interface VirtualClockOptions {
  /** What `now()` returns at first, in ms. Default 1,000,000. */
  readonly startAt?: number
  /** What `wallNow()` returns at first, in ms since 1970. Default 2026-01-01T00:00:00Z. */
  readonly wallAt?: number
  /** The seed of `random()`: the same seed gives the same numbers. Default 1. */
  readonly seed?: number
}

/**
 * A clock on which time passes only when the test says so. It is a `Platform`: give it to
 * `eventloop()` or `connect()` as the option `platform`, and to `createBroker()` as `clock`.
 */
export class VirtualClock implements Platform {
  /**
   * The random numbers of the loop and the broker, from the option `seed`. Replace the function to
   * choose them.
   */
  random: () => number
  /** What `now()` returned at first, in ms. */
  readonly startedAt: number
  readonly #wallAt: number
  #now: number
  #order = 0
  #activity = 0
  readonly #timers = new Set<VirtualTimer>()

  constructor({ startAt = 1_000_000, wallAt, seed = 1 }: VirtualClockOptions = {}) {
    this.startedAt = startAt
    this.#now = startAt
    this.#wallAt = wallAt ?? Date.UTC(2026, 0, 1)
    this.random = seededRandom(seed)
  }

  /** @returns the instant of this clock, in ms. */
  now(): number {
    this.#activity++
    return this.#now
  }

  /** @returns milliseconds since 1970: `wallAt`, and what has passed since. */
  wallNow(): number {
    this.#activity++
    return this.#wallAt + this.elapsed
  }

  /** Milliseconds since the clock was made. */
  get elapsed(): number {
    return this.#now - this.startedAt
  }

  /**
   * Calls `callback` when `ms` milliseconds have passed on this clock.
   * @returns what `clearTimer` takes.
   */
  setTimer(callback: () => void, ms: number): unknown {
    this.#activity++
    const timer = { due: this.#now + Math.max(0, ms), order: this.#order++, callback }
    this.#timers.add(timer)
    return timer
  }

  /** Prevents the call of a timer that has not fired. */
  clearTimer(timer: unknown): void {
    this.#activity++
    this.#timers.delete(timer as VirtualTimer)
  }

  /** How many timers are set. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** When the next timer is due, or Infinity if there is none. */
  get nextDue(): number {
    return this.#next()?.due ?? Number.POSITIVE_INFINITY
  }

  /**
   * Says that something has happened that does not ask for the time, so that `settle()` waits for
   * what follows from it. A test needs it only for work of its own over many turns.
   */
  touch(): void {
    this.#activity++
  }

  /** Lets everything happen that takes no time. No timer fires. */
  async settle(): Promise<void> {
    let quiet = 0
    for (let turn = 0; quiet < QUIET_TURNS; turn++) {
      if (turn > TURNS_MAX) throw new UsageError('clock: what it lets happen never comes to rest')
      const before = this.#activity
      await new Promise<void>((resolve) => later(resolve))
      quiet = this.#activity === before ? quiet + 1 : 0
    }
  }

  /**
   * Lets `ms` milliseconds pass. Timers that are due fire in order, each at its own instant, and
   * between them everything happens that takes no time.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    await this.settle()
    let atOnce = 0
    for (let next = this.#next(); next !== undefined && next.due <= until; next = this.#next()) {
      atOnce = next.due > this.#now ? 0 : atOnce + 1
      await this.#fire(next, atOnce)
    }
    this.#now = until
    await this.settle()
  }

  /**
   * Lets time pass until `promise` is settled: from timer to timer, and no further than needed.
   * @param withinMs how much time may pass, in ms. Default one hour.
   * @returns what the promise resolves with.
   * @throws what the promise rejects with; UsageError if it stays pending after `withinMs`, or
   * although no timer is set.
   */
  async until<T>(promise: Promise<T>, withinMs = 3_600_000): Promise<T> {
    let settled = false
    const settle = (): void => {
      settled = true
      this.touch()
    }
    promise.then(settle, settle)
    const limit = this.#now + withinMs
    await this.settle()
    let atOnce = 0
    while (!settled) {
      const next = this.#next()
      if (next === undefined || next.due > limit) {
        const why = next === undefined ? 'no timer is set' : `${withinMs} ms have passed`
        throw new UsageError(`clock.until: the promise is still pending, and ${why}`)
      }
      atOnce = next.due > this.#now ? 0 : atOnce + 1
      await this.#fire(next, atOnce)
    }
    return promise
  }

  /**
   * Calls `callback` every `ms` milliseconds, the first time after `ms`. It counts as a timer that
   * is set.
   * @returns a function that stops it.
   */
  every(ms: number, callback: () => void): () => void {
    let timer: unknown
    const arm = (): void => {
      timer = this.setTimer(() => {
        arm()
        callback()
      }, ms)
    }
    arm()
    return () => this.clearTimer(timer)
  }

  /**
   * Wakes a machine that was suspended: `ms` milliseconds have passed and no timer fired meanwhile.
   * All that are overdue fire now.
   */
  async jump(ms: number): Promise<void> {
    await this.settle()
    this.#now += ms
    await this.advance(0)
  }

  async #fire(timer: VirtualTimer, atOnce: number): Promise<void> {
    if (atOnce > TIMERS_AT_ONCE_MAX) {
      throw new UsageError('clock: a timer is set again and again without time passing')
    }
    this.#now = Math.max(this.#now, timer.due)
    this.#timers.delete(timer)
    timer.callback()
    await this.settle()
  }

  #next(): VirtualTimer | undefined {
    let first: VirtualTimer | undefined
    for (const timer of this.#timers) {
      if (first === undefined || timer.due < first.due) first = timer
      else if (timer.due === first.due && timer.order < first.order) first = timer
    }
    return first
  }
}

/** Makes a clock on which time passes only when the test says so. */
export function virtualClock(options: VirtualClockOptions = {}): VirtualClock {
  return new VirtualClock(options)
}

/** @returns a source of numbers r with 0 ≤ r < 1, the same for the same seed (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
