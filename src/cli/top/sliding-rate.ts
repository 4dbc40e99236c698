/**
 * How many messages and bytes come in a second: in the last one, and on average over ten? Whole seconds are
 * counted in a ring; the second that a window has left in part counts in part.
 */

/** The length of the longer window. */
export const WINDOW_S = 10
/** The seconds of the window, and the one that it has left in part. */
const SECONDS = WINDOW_S + 1

export interface Rates {
  /** Messages in the last second. */
  readonly now: number
  /** Messages a second, on average over the window. */
  readonly average: number
  /** Bytes of payload a second, on average over the window. */
  readonly bytes: number
}

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

  /** @param since when counting began: the average is not taken over a longer time. */
  rates(at: number, since: number): Rates {
    const second = Math.floor(at / 1000)
    const left = 1 - (at / 1000 - second)
    const sum = (offset: number) => {
      let whole = 0
      for (let ago = 0; ago < WINDOW_S; ago++) whole += this.#in(second - ago, offset)
      return whole + left * this.#in(second - WINDOW_S, offset)
    }
    const length = Math.min(WINDOW_S, Math.max(1, (at - since) / 1000))
    return {
      now: this.#in(second, 0) + left * this.#in(second - 1, 0),
      average: sum(0) / length,
      bytes: sum(SECONDS) / length,
    }
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

  #in(second: number, offset: number): number {
    const isKept = second >= 0 && second <= this.#second && second > this.#second - SECONDS
    return isKept ? this.#ring[offset + (second % SECONDS)]! : 0
  }
}
