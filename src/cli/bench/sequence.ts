/**
 * Which messages of a stream are missing, came twice, or came late? The numbers that a stream has
 * skipped are kept as ranges, so that a long loss costs as little as a single one.
 */

/** Beyond so many, the oldest gap is forgotten; what comes in it later counts as repeated. */
const GAPS_MAX = 10_000

/** The numbers `from` up to `to`, `to` excluded. */
interface Gap {
  from: number
  to: number
}

/** How a message came: `late` is after one that was sent later. */
type Arrival = 'in order' | 'late' | 'repeated'

export class SequenceTracker {
  /** The gaps, ascending. */
  readonly #gaps: Gap[] = []
  #next: number
  /** Numbers in gaps that were forgotten. */
  #forgotten = 0

  /** @param first the number that the stream is expected to begin with. */
  constructor(first: number) {
    this.#next = first
  }

  /** The number that is expected next. */
  get next(): number {
    return this.#next
  }

  add(sequence: number): Arrival {
    if (sequence === this.#next) {
      this.#next++
      return 'in order'
    }
    if (sequence > this.#next) {
      this.#gaps.push({ from: this.#next, to: sequence })
      this.#next = sequence + 1
      const oldest = this.#gaps.length > GAPS_MAX ? this.#gaps.shift() : undefined
      if (oldest !== undefined) this.#forgotten += oldest.to - oldest.from
      return 'in order'
    }
    return this.#fill(sequence) ? 'late' : 'repeated'
  }

  /** @returns how many numbers from `from` up to `to`, `to` excluded, did not come. */
  missing(from: number, to: number): number {
    const within = this.#gaps.reduce(
      (sum, gap) => sum + Math.max(0, Math.min(gap.to, to) - Math.max(gap.from, from)),
      0,
    )
    return this.#forgotten + within + Math.max(0, to - Math.max(this.#next, from))
  }

  #fill(sequence: number): boolean {
    const index = this.#gaps.findLastIndex(({ from, to }) => from <= sequence && sequence < to)
    if (index < 0) return false
    const { from, to } = this.#gaps[index]!
    const rest = [
      { from, to: sequence },
      { from: sequence + 1, to },
    ]
    this.#gaps.splice(index, 1, ...rest.filter((gap) => gap.from < gap.to))
    return true
  }
}
