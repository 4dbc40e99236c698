/**
 * A virtual clock: time passes only when a test says so. Between two timers everything that takes
 * no time happens: microtasks, next ticks, streams. The clock takes it that everything has happened
 * when nobody has asked it for the time or moved bytes for a few turns of Node's event loop, so
 * that a slow machine makes a test slower and never makes it fail.
 */
import type { Platform } from '../../src/platform/machine.ts'

/** Turns of Node's event loop without any activity after which nothing more is expected. */
const QUIET_TURNS = 4
/** Turns after which a test is taken to run for ever. */
const TURNS_MAX = 200_000
/** Timers that may fire without time passing; beyond that somebody arms them again and again. */
const TIMERS_AT_ONCE_MAX = 1000

interface Timer {
  readonly due: number
  readonly order: number
  readonly callback: () => void
}

export class VirtualClock implements Platform {
  /** The random numbers that the loop gets; replace it to script them. */
  random: () => number = () => 0.5
  readonly startedAt: number
  #now: number
  #order = 0
  #activity = 0
  readonly #timers = new Set<Timer>()

  constructor(startAt = 1_000_000) {
    this.startedAt = startAt
    this.#now = startAt
  }

  now(): number {
    this.#activity++
    return this.#now
  }

  /** Milliseconds since the clock was made. */
  get elapsed(): number {
    return this.#now - this.startedAt
  }

  setTimer(callback: () => void, ms: number): unknown {
    this.#activity++
    const timer = { due: this.#now + Math.max(0, ms), order: this.#order++, callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimer(timer: unknown): void {
    this.#activity++
    this.#timers.delete(timer as Timer)
  }

  get pendingTimers(): number {
    return this.#timers.size
  }

  /** When the next timer is due, or Infinity if there is none. */
  get nextDue(): number {
    return this.#next()?.due ?? Number.POSITIVE_INFINITY
  }

  /** Reports activity that does not ask for the time. */
  touch(): void {
    this.#activity++
  }

  /** Lets everything happen that takes no time. Fires no timer. */
  async settle(): Promise<void> {
    let quiet = 0
    for (let turn = 0; quiet < QUIET_TURNS; turn++) {
      if (turn > TURNS_MAX) throw new Error('it never comes to rest')
      const before = this.#activity
      await new Promise<void>((resolve) => setImmediate(resolve))
      quiet = this.#activity === before ? quiet + 1 : 0
    }
  }

  /**
   * Lets `ms` pass: due timers fire in order, each at its own instant, and everything happens
   * between them that takes no time.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    await this.settle()
    let atOnce = 0
    for (let next = this.#next(); next !== undefined && next.due <= until; next = this.#next()) {
      atOnce = next.due > this.#now ? 0 : atOnce + 1
      if (atOnce > TIMERS_AT_ONCE_MAX) throw new Error('a timer is armed again and again')
      this.#now = Math.max(this.#now, next.due)
      this.#timers.delete(next)
      next.callback()
      await this.settle()
    }
    this.#now = until
    await this.settle()
  }

  /**
   * Calls `callback` every `ms`, the first time after `ms`. It counts as a pending timer. @returns
   * a function that stops it.
   */
  every(ms: number, callback: () => void): () => void {
    let timer: unknown
    const arm = () => {
      timer = this.setTimer(() => {
        arm()
        callback()
      }, ms)
    }
    arm()
    return () => this.clearTimer(timer)
  }

  /**
   * Wakes a suspended machine: time has passed and no timer fired meanwhile; all that are overdue
   * fire now.
   */
  async jump(ms: number): Promise<void> {
    await this.settle()
    this.#now += ms
    await this.advance(0)
  }

  #next(): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (first === undefined || timer.due < first.due) first = timer
      else if (timer.due === first.due && timer.order < first.order) first = timer
    }
    return first
  }
}

/** @returns what a promise resolves with without time passing. @throws if it stays pending. */
export async function resolved<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  const outcome = await peek(clock, promise)
  if (outcome === 'pending') throw new Error('the promise is still pending')
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

/** @returns whether a promise settles without time passing, and how. */
export async function peek<T>(
  clock: VirtualClock,
  promise: Promise<T>,
): Promise<'pending' | { value: T } | { error: unknown }> {
  let outcome: 'pending' | { value: T } | { error: unknown } = 'pending'
  promise.then(
    (value) => {
      outcome = { value }
      clock.touch()
    },
    (error: unknown) => {
      outcome = { error }
      clock.touch()
    },
  )
  await clock.settle()
  return outcome
}
