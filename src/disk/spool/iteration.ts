/**
 * One iteration of a stream on disk: who asks, and what is given.
 */
import type { Request } from '../../requests/vocabulary.ts'

type Step = IteratorResult<readonly Request[], undefined>

const DONE: Step = { done: true, value: undefined }

export interface Stock {
  /** Null: there is nothing now. */
  take(): readonly Request[] | null
  /** Nothing will come any more. */
  isOver(): boolean
  /** The iteration has ended. */
  left(): void
}

export class Reader implements AsyncIterator<readonly Request[], undefined> {
  readonly #stock: Stock
  #asking: { resolve(step: Step): void; reject(error: unknown): void }[] = []
  #error: { readonly thrown: unknown } | null = null
  #over = false
  #providing = false

  constructor(stock: Stock) {
    this.#stock = stock
  }

  next(): Promise<Step> {
    const asked = new Promise<Step>((resolve, reject) => {
      this.#asking.push({ resolve, reject })
    })
    this.provide()
    return asked
  }

  async return(): Promise<Step> {
    this.#finish()
    return DONE
  }

  /** Something changed: answers those who ask, as far as there is something for them. */
  provide(): void {
    if (this.#providing || this.#asking.length === 0) return
    this.#providing = true
    try {
      while (this.#asking.length > 0) {
        const batch = this.#error === null && !this.#over ? this.#stock.take() : null
        if (batch !== null) this.#asking.shift()!.resolve({ done: false, value: batch })
        else if (this.#error !== null) this.#throwOnce(this.#error.thrown)
        else if (this.#over || this.#stock.isOver()) this.#finish()
        else return
      }
    } finally {
      this.#providing = false
    }
  }

  /** The iteration ends with this, for whoever asks next. */
  fail(thrown: unknown): void {
    this.#error ??= { thrown }
    this.provide()
  }

  #throwOnce(thrown: unknown): void {
    const [first] = this.#asking.splice(0, 1)
    this.#error = null
    this.#finish()
    first!.reject(thrown)
  }

  #finish(): void {
    if (!this.#over) this.#stock.left()
    this.#over = true
    const asking = this.#asking
    this.#asking = []
    for (const { resolve } of asking) resolve(DONE)
  }
}
