/**
 * How many messages and bytes come in a second: in the last one, and on average over ten? Whole
 * seconds are counted in a ring; the second that a window has left in part counts in part.
 */

/** The length of the longer window. */
export const WINDOW_S = 10
/** The seconds of the window, and the one that it has left in part. */
const SECONDS = WINDOW_S + 1

export class SlidingRate {
  /** The messages of each second, and behind them the bytes. Index: the second modulo `SECONDS`. */
  readonly #ring: number[]
  #second: number

  constructor(ring: readonly number[] = new Array<number>(2 * SECONDS).fill(0), second = 0) {
    this.#ring = [...ring]
    this.#second = second
  }

  /** @param at in ms; never earlier than in the call before. */
  add(at: number, bytes: number): void {
    const second = Math.floor(at / 1000)
    if (second !== this.#second) this.#moveTo(second)
    const slot = second % SECONDS
    this.#ring[slot]!++
    this.#ring[SECONDS + slot]! += bytes
  }

  /** @returns messages in the second before `at`. */
  lastSecond(at: number): number {
    const second = Math.floor(at / 1000)
    return this.#in(second, 0) + this.#left(at) * this.#in(second - 1, 0)
  }

  /**
   * @param since when counting began: the average is not taken over a longer time.
   * @returns messages a second, on average over the window.
   */
  messages(at: number, since: number): number {
    return this.#average(at, since, 0)
  }

  /** @returns bytes a second, on average over the window. */
  bytes(at: number, since: number): number {
    return this.#average(at, since, SECONDS)
  }

  copy(): SlidingRate {
    return new SlidingRate(this.#ring, this.#second)
  }

  #moveTo(second: number): void {
    const passed = Math.min(SECONDS, second - this.#second)
    for (let ago = 0; ago < passed; ago++) {
      const slot = (second - ago) % SECONDS
      this.#ring[slot] = 0
      this.#ring[SECONDS + slot] = 0
    }
    this.#second = second
  }

  #average(at: number, since: number, offset: number): number {
    const second = Math.floor(at / 1000)
    let sum = this.#left(at) * this.#in(second - WINDOW_S, offset)
    for (let ago = 0; ago < WINDOW_S; ago++) sum += this.#in(second - ago, offset)
    return sum / Math.min(WINDOW_S, Math.max(1, (at - since) / 1000))
  }

  /** @returns how much of the second before a window is in it. */
  #left(at: number): number {
    return 1 - (at / 1000 - Math.floor(at / 1000))
  }

  #in(second: number, offset: number): number {
    const isKept = second >= 0 && second <= this.#second && second > this.#second - SECONDS
    return isKept ? this.#ring[offset + (second % SECONDS)]! : 0
  }
}
