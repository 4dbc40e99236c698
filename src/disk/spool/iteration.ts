/**
 * How does one iteration of a spool answer its calls of `next`? In order, as soon as there is a
 * batch.
 */
import type { Request } from '../../requests/vocabulary.ts'
import { type Deferred, deferred } from '../deferred.ts'

type IterationStep = IteratorResult<readonly Request[], undefined>

const DONE: IterationStep = { done: true, value: undefined }

interface BatchSource {
  /** @returns the next batch, or null if there is none now. */
  take(): readonly Request[] | null
  /** @returns true if no batch will ever come again. */
  isOver(): boolean
  /** Called once, when the iteration has ended. */
  ended(): void
}

export class Iteration implements AsyncIterator<readonly Request[], undefined> {
  readonly #source: BatchSource
  #calls: Deferred<IterationStep>[] = []
  #error: { readonly thrown: unknown } | null = null
  #over = false
  #providing = false

  constructor(source: BatchSource) {
    this.#source = source
  }

  next(): Promise<IterationStep> {
    const call = deferred<IterationStep>()
    this.#calls.push(call)
    this.provide()
    return call.promise
  }

  async return(): Promise<IterationStep> {
    this.#finish()
    return DONE
  }

  /**
   * Answers outstanding calls of `next` if there are batches for them. The spool calls this after
   * every change.
   */
  provide(): void {
    if (this.#providing || this.#calls.length === 0) return
    this.#providing = true
    try {
      while (this.#calls.length > 0) {
        const batch = this.#error === null && !this.#over ? this.#source.take() : null
        if (batch !== null) this.#calls.shift()!.resolve({ done: false, value: batch })
        else if (this.#error !== null) this.#throwOnce(this.#error.thrown)
        else if (this.#over || this.#source.isOver()) this.#finish()
        else return
      }
    } finally {
      this.#providing = false
    }
  }

  /**
   * Ends the iteration: the next call of `next`, or the oldest outstanding one, rejects with this.
   */
  fail(thrown: unknown): void {
    this.#error ??= { thrown }
    this.provide()
  }

  #throwOnce(thrown: unknown): void {
    const [first] = this.#calls.splice(0, 1)
    this.#error = null
    this.#finish()
    first!.reject(thrown)
  }

  #finish(): void {
    if (!this.#over) this.#source.ended()
    this.#over = true
    const calls = this.#calls
    this.#calls = []
    for (const { resolve } of calls) resolve(DONE)
  }
}
