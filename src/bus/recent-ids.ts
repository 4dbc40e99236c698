/** Which of the latest events were handled? Known in memory only, as long as the process lives. */
import type { EventDedupe } from './listener-types.ts'

export class RecentIds implements EventDedupe {
  readonly #max: number
  /** In the order in which they were handled. */
  readonly #ids = new Set<string>()

  constructor(max: number) {
    this.#max = max
  }

  seen(id: string): boolean {
    return this.#ids.has(id)
  }

  done(id: string): void {
    this.#ids.add(id)
    if (this.#ids.size <= this.#max) return
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest)
      return
    }
  }
}
