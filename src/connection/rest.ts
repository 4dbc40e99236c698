/**
 * When does it pay to let the server gather what it sends, and for how long?
 *
 * A server that answers each of thousands of publishes with a write of its own makes this client
 * read each of them alone, and both sides spend more on the system than on MQTT. If reading rests
 * for some milliseconds now and then, the server's writes are joined. Nobody waits for it who would
 * not wait anyway: reading rests only after small reads, and only while `OUTSTANDING` publishes are
 * in flight or `QUEUED_BYTES` wait to be written.
 *
 * Which rest is best, if any, depends on the server and on the road. So it is measured: the bytes
 * that come in a period with this rest are compared with those of a period with the next longer or
 * the next shorter one, and the better rest stays.
 *
 * Only time and bytes go in and only a decision comes out; the link has the timer.
 */

/** The rests that are tried, in ms. */
const RESTS_MS = [0, 1, 2, 4, 8] as const

/** The publishes in flight from which on reading may rest. */
const OUTSTANDING = 256
/** The bytes that wait to be written from which on reading may rest. */
const QUEUED_BYTES = 32_768
/** A read of fewer bytes is small. */
const SMALL_BYTES = 2048
/** How long one rest is measured, in ms. */
const PERIOD_MS = 100
/** How many periods pass between two trials: twice as many after each that found nothing better. */
const PERIODS_MIN = 8
const PERIODS_MAX = 16
/** A trial ends early if, after so many ms, less than this share of the best rate comes. */
const HOPELESS = [
  { afterMs: 10, share: 0.5 },
  { afterMs: 30, share: 0.8 },
] as const
/** By how much another rest has to be better. */
const BETTER = 1.03
/** Resting at all saves half of the processor time, so it may be so much worse. */
const NO_WORSE = 0.95

/** @returns whether so much is outstanding that nobody waits for a single packet. */
export function mayRest(inFlight: number, queuedBytes: number): boolean {
  return inFlight >= OUTSTANDING || queuedBytes >= QUEUED_BYTES
}

/** Measures rests, from the first read on at which much is outstanding. */
export class Rests {
  /** The index of the best rest so far. */
  #best = 0
  /** The bytes in a ms with it; 0 before it was measured. */
  #bestRate = 0
  /** What is tried in this period: the best one itself, or a neighbour. */
  #tried = 0
  /** Whether the next neighbour to try is the longer one. */
  #longer = true
  /** The number of neighbours that are tried without a period of the best one between. */
  #trials = 0
  /** The number of periods since the last trial, and how many there are between two. */
  #periods = 0
  #periodsBetween = PERIODS_MIN
  #periodFrom = Number.NEGATIVE_INFINITY
  #bytes = 0
  #reads = 0
  /** The number of these reads at which reading might rest. */
  #mayRest = 0

  /**
   * Counts a read.
   * @param may whether so much is outstanding that reading may rest.
   * @returns for how many ms reading rests now.
   */
  read(bytes: number, at: number, may: boolean): number {
    const ms = at - this.#periodFrom
    if (ms >= PERIOD_MS || this.#isHopeless(ms)) {
      // A period in which little was outstanding, or nothing came for long, tells nothing.
      const tells = ms < 2 * PERIOD_MS && this.#mayRest * 2 > this.#reads
      if (tells) this.#endPeriod(this.#bytes / ms)
      this.#periodFrom = at
      this.#bytes = this.#reads = this.#mayRest = 0
    }
    this.#bytes += bytes
    this.#reads++
    if (!may) return 0
    this.#mayRest++
    return bytes < SMALL_BYTES ? RESTS_MS[this.#tried]! : 0
  }

  #isHopeless(ms: number): boolean {
    if (this.#tried === this.#best) return false
    const expected = ms * this.#bestRate
    return HOPELESS.some(({ afterMs, share }) => ms >= afterMs && this.#bytes < expected * share)
  }

  #endPeriod(rate: number): void {
    if (this.#tried === this.#best) this.#bestRate = rate
    else if (rate > this.#bestRate * this.#needed()) {
      // The search goes on in this direction.
      this.#longer = this.#tried > this.#best
      this.#best = this.#tried
      this.#bestRate = rate
      this.#trials = 2
      this.#periodsBetween = PERIODS_MIN
    } else this.#longer = !this.#longer
    this.#tried = this.#next()
  }

  /** @returns how many times as much has to come in the trial that ends. */
  #needed(): number {
    if (this.#best === 0) return NO_WORSE
    return this.#tried === 0 ? 1 / NO_WORSE : BETTER
  }

  /** @returns the index of the rest to measure in the next period. */
  #next(): number {
    if (this.#trials === 0 && ++this.#periods < this.#periodsBetween) return this.#best
    if (this.#trials === 0) {
      this.#trials = 1
      this.#periodsBetween = Math.min(2 * this.#periodsBetween, PERIODS_MAX)
    }
    this.#trials--
    this.#periods = 0
    const neighbour = this.#best + (this.#longer ? 1 : -1)
    if (neighbour in RESTS_MS) return neighbour
    this.#longer = !this.#longer
    return this.#best
  }
}
