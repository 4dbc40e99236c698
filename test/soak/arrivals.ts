/**
 * Which of the messages 1, 2, 3 … have arrived? What is kept is the last number and the gaps below
 * it, so that a soak of any length needs little memory.
 */

/** `ahead`: earlier ones are missing. `late`: a missing one came. */
type Arrival = 'next' | 'ahead' | 'late' | 'repeated'

export class Arrivals {
  last = 0
  readonly #missing = new Set<number>()

  note(number: number): Arrival {
    if (number <= this.last) return this.#missing.delete(number) ? 'late' : 'repeated'
    const isNext = number === this.last + 1
    for (let gap = this.last + 1; gap < number; gap++) this.#missing.add(gap)
    this.last = number
    return isNext ? 'next' : 'ahead'
  }

  /** @returns how many of the first `count` have not arrived. */
  lacking(count: number): number {
    return count - this.last + this.#missing.size
  }
}
