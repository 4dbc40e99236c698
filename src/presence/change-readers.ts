/**
 * Who iterates the changes of a space? Each reader has a queue of its own, begins with those who
 * are there, and makes the client read while it waits.
 */
import { ChangeQueue } from './change-queue.ts'
import type { Member, PresenceChange } from './presence-types.ts'

type ChangeResult = IteratorResult<PresenceChange, undefined>

const NO_MORE_CHANGES: ChangeResult = { done: true, value: undefined }

/** What a reader uses of the watch of its space. */
interface ChangeSource {
  /** Begins to watch, if nobody has yet, and adds a reader. @returns who is there. */
  join(reader: ChangeReader): readonly Member[]
  leave(reader: ChangeReader): void
  demand(): () => void
}

interface ChangeTaker {
  resolve(result: ChangeResult): void
  reject(error: unknown): void
  release(): void
}

export class ChangeReader implements AsyncIterableIterator<PresenceChange, undefined> {
  readonly #source: ChangeSource
  readonly #queue = new ChangeQueue()
  #takers: ChangeTaker[] = []
  #hasBegun = false
  #end: { error: unknown } | null = null

  constructor(source: ChangeSource) {
    this.#source = source
  }

  /** Something happened. */
  push(change: PresenceChange): void {
    const taker = this.#takers.shift()
    if (taker === undefined) return this.#queue.push(change)
    taker.release()
    taker.resolve({ done: false, value: change })
  }

  /** The watch has ended; `error` is null if in order. What waits is still given. */
  end(error: unknown): void {
    if (this.#end !== null) return
    this.#end = { error }
    for (const taker of this.#takers.splice(0)) {
      taker.release()
      if (this.#end.error === null) taker.resolve(NO_MORE_CHANGES)
      else taker.reject(this.#takeError())
    }
  }

  next(): Promise<ChangeResult> {
    this.#begin()
    const change = this.#queue.shift()
    if (change !== undefined) return Promise.resolve({ done: false, value: change })
    if (this.#end !== null) {
      const error = this.#takeError()
      return error === null ? Promise.resolve(NO_MORE_CHANGES) : Promise.reject(error)
    }
    return new Promise((resolve, reject) => {
      this.#takers.push({ resolve, reject, release: this.#source.demand() })
    })
  }

  async return(): Promise<ChangeResult> {
    this.#queue.clear()
    this.#source.leave(this)
    this.end(null)
    return NO_MORE_CHANGES
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #begin(): void {
    if (this.#hasBegun || this.#end !== null) return
    this.#hasBegun = true
    for (const member of this.#source.join(this)) {
      this.#queue.push(Object.freeze({ action: 'present', member }))
    }
  }

  #takeError(): unknown {
    const end = this.#end!
    const { error } = end
    end.error = null
    return error
  }
}
