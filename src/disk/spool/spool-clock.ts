/**
 * How much time has passed for what is in a spool? The expiry of a message counts from its push,
 * also while no process has the spool open.
 *
 * Within a process a clock counts that nobody sets. Between two processes there is only the clock
 * on the wall, which may be wrong: a device without a battery begins in 1970, or at the date of its
 * image, until it has asked the network. So the time between them counts only if both processes
 * had a plausible date, and never backwards.
 */
import { machine, wallNow } from '../../platform/machine.ts'

/** What a later process needs to go on. */
export interface ClockRecord {
  /** The time of the spool, in ms. It began with the date at which the spool was made. */
  readonly at: number
  /** The date at that instant, in ms since 1970. */
  readonly wall: number
}

interface Clocks {
  /** Milliseconds of a clock that is never set. */
  now(): number
  /** Milliseconds since 1970. */
  wallNow(): number
}

const MACHINE: Clocks = { now: machine.now, wallNow }

/** This program is not older than this: a clock that says so was not set. */
const PLAUSIBLE_SINCE = Date.UTC(2025, 0, 1)

export class SpoolClock {
  readonly #clocks: Clocks
  readonly #stored: ClockRecord | null
  readonly #openedAt: number
  /** The time of the spool when it was opened. */
  #base: number
  /** True if the time before this process is known. */
  #isKnown = false

  constructor(stored: ClockRecord | null, clocks: Clocks = MACHINE) {
    this.#clocks = clocks
    this.#stored = stored
    this.#openedAt = clocks.now()
    this.#base = stored?.at ?? clocks.wallNow()
  }

  /** @returns the time of the spool, in ms. It never goes back. */
  now(): number {
    const elapsed = this.#clocks.now() - this.#openedAt
    if (!this.#isKnown) {
      const gap = timeBetween(this.#stored?.wall ?? 0, this.#clocks.wallNow() - elapsed)
      // A clock may be set long after the process has begun.
      this.#isKnown = gap !== null
      this.#base += gap ?? 0
    }
    return this.#base + elapsed
  }

  get record(): ClockRecord {
    return { at: this.now(), wall: this.#clocks.wallNow() }
  }
}

/** @returns how much time passed between two dates, or null if one of them is not plausible. */
function timeBetween(earlier: number, later: number): number | null {
  if (earlier < PLAUSIBLE_SINCE || later < PLAUSIBLE_SINCE) return null
  return Math.max(0, later - earlier)
}
