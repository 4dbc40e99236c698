/**
 * Which requests run, and which wait for their handler? At most so many of each, in the order
 * received. Plain data. (Q8, handlers run in order and within bounds)
 */

export class HandlerLine<T> {
  readonly #runningMax: number
  readonly #waitingMax: number
  readonly #waiting = new Set<T>()
  #running = 0

  constructor(runningMax: number, waitingMax: number) {
    this.#runningMax = runningMax
    this.#waitingMax = waitingMax
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** @returns `run` if its handler is to be called now; `full` if it is not taken. */
  add(item: T): 'run' | 'wait' | 'full' {
    if (this.#running < this.#runningMax) {
      this.#running++
      return 'run'
    }
    if (this.#waiting.size >= this.#waitingMax) return 'full'
    this.#waiting.add(item)
    return 'wait'
  }

  /** One that waits is not needed any more. */
  drop(item: T): void {
    this.#waiting.delete(item)
  }

  /** One that ran has ended. @returns the next one to run, or undefined. */
  end(): T | undefined {
    for (const item of this.#waiting) {
      this.#waiting.delete(item)
      return item
    }
    this.#running--
    return undefined
  }

  /** @returns those that wait, which are taken out. */
  clear(): readonly T[] {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    return waiting
  }
}
