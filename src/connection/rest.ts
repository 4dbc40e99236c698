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
const PERIOD_MS = 40
/** Another rest is tried in one of so many periods, as long as none was found to be better. */
const PERIODS = 16
/** By how much another rest has to be better. */
const BETTER = 1.03

/** @returns whether so much is outstanding that nobody waits for a single packet. */
export function mayRest(inFlight: number, queuedBytes: number): boolean {
  return inFlight >= OUTSTANDING || queuedBytes >= QUEUED_BYTES
}

/** Measures rests while much is outstanding. */
export class Rests {
  /** The index of the best rest so far. */
  #best = 1
  /** The bytes in a ms with it; 0 before it was measured. */
  #bestRate = 0
  /** What is tried in this period: the best one itself, or a neighbour. */
  #tried = 1
  /** Whether the next neighbour to try is the longer one. */
  #longer = true
  /** The number of neighbours that are tried without a period of the best one between. */
  #trials = 2
  #periods = 0
  /** When the period began; null if none is under way. */
  #periodFrom: number | null = null
  #periodBytes = 0

  /** Nothing is measured until the next read, because not enough is outstanding. */
  interrupt(): void {
    this.#periodFrom = null
  }

  /** Counts a read while much is outstanding. @returns for how many ms reading rests now. */
  read(bytes: number, at: number): number {
    if (this.#periodFrom === null) {
      this.#periodFrom = at
      this.#periodBytes = 0
    } else {
      this.#periodBytes += bytes
      const ms = at - this.#periodFrom
      if (ms >= PERIOD_MS) this.#endPeriod(this.#periodBytes / ms, at)
    }
    return bytes < SMALL_BYTES ? RESTS_MS[this.#tried]! : 0
  }

  #endPeriod(rate: number, at: number): void {
    this.#periodFrom = at
    this.#periodBytes = 0
    if (this.#tried === this.#best) this.#bestRate = rate
    else if (rate > this.#bestRate * BETTER) {
      // The search goes on in this direction.
      this.#longer = this.#tried > this.#best
      this.#best = this.#tried
      this.#bestRate = rate
      this.#trials = 2
    } else this.#longer = !this.#longer
    this.#tried = this.#next()
  }

  /** @returns the index of the rest to measure in the next period. */
  #next(): number {
    if (this.#trials === 0 && ++this.#periods < PERIODS) return this.#best
    if (this.#trials === 0) this.#trials = 1
    this.#trials--
    this.#periods = 0
    const neighbour = this.#best + (this.#longer ? 1 : -1)
    if (neighbour in RESTS_MS) return neighbour
    this.#longer = !this.#longer
    return this.#best
  }
}
