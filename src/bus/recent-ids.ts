/** Which of the latest events were handled? Known in memory only, as long as the process lives. */
import type { EventDedupe } from './listener-types.ts'

export class RecentIds implements EventDedupe {
  readonly #max: number
  readonly #ids = new Set<string>()
  /**
   * The same in the order in which they were handled, over and over: to ask a Set for its oldest
   * entry takes the longer, the more were deleted before.
   */
  readonly #ring: string[] = []
  #next = 0

  constructor(max: number) {
    this.#max = max
  }

  seen(id: string): boolean {
    return this.#ids.has(id)
  }

  done(id: string): void {
    if (this.#ids.has(id)) return
    const oldest = this.#ring[this.#next]
    if (oldest !== undefined) this.#ids.delete(oldest)
    this.#ring[this.#next] = id
    this.#next = (this.#next + 1) % this.#max
    this.#ids.add(id)
  }
}
