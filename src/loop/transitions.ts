/**
 * Who wants to see the connection change: each watcher has a queue of its own, so that none waits for another and the loop for
 * none.
 */
import { UsageError } from '../errors.ts'
import type { ConnectionFailure } from '../options/options.ts'
import type { ConnectionKind, Failure, TransitionEffect } from '../protocol/contract.ts'

export interface Transition {
  readonly from: ConnectionKind
  /** The same as `from` where only `retryAt` is new. */
  readonly to: ConnectionKind
  /** What led there; null: nothing went wrong. */
  readonly reason: ConnectionFailure | null
  /** In ms on the loop's clock (`performance.now()`). */
  readonly at: number
  /** When the next attempt is due, on the same clock; null: none is. */
  readonly retryAt: number | null
}

/** Transitions that wait for a watcher; who falls behind further is told so. */
const QUEUED_MAX = 1024

type Result = IteratorResult<Transition, undefined>
const DONE: Result = { done: true, value: undefined }

export class Transitions {
  readonly #watchers = new Set<Watcher>()
  #ended = false

  tell(transition: Transition): void {
    for (const watcher of this.#watchers) watcher.tell(transition)
  }

  end(): void {
    this.#ended = true
    for (const watcher of this.#watchers) watcher.end(null)
    this.#watchers.clear()
  }

  watch(): AsyncIterableIterator<Transition, undefined> {
    const watcher = new Watcher((gone) => this.#watchers.delete(gone))
    if (this.#ended) watcher.end(null)
    else this.#watchers.add(watcher)
    return watcher
  }
}

interface Waiter {
  resolve(result: Result): void
  reject(error: unknown): void
}

class Watcher implements AsyncIterableIterator<Transition, undefined> {
  readonly #leave: (self: Watcher) => void
  #queue: Transition[] = []
  #waiting: Waiter[] = []
  #ended = false
  #error: unknown = null

  constructor(leave: (self: Watcher) => void) {
    this.#leave = leave
  }

  tell(transition: Transition): void {
    const waiter = this.#waiting.shift()
    if (waiter !== undefined) return waiter.resolve({ done: false, value: transition })
    this.#queue.push(transition)
    if (this.#queue.length <= QUEUED_MAX) return
    this.#queue = []
    const message = `transitions: nobody took ${QUEUED_MAX} of them; watch again`
    this.end(new UsageError(message, { code: 'WATCHER_FELL_BEHIND' }))
  }

  end(error: unknown): void {
    this.#leave(this)
    this.#ended = true
    this.#error = error
    for (const { resolve } of this.#waiting) resolve(DONE)
    this.#waiting = []
  }

  next(): Promise<Result> {
    const value = this.#queue.shift()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    const error = this.#error
    this.#error = null
    if (error !== null) return Promise.reject(error)
    if (this.#ended) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  async return(): Promise<Result> {
    this.#queue = []
    this.end(null)
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

export function transitionOf({ from, to, reason, at, retryAt }: TransitionEffect): Transition {
  return {
    from,
    to,
    reason: reason === null ? null : told(reason),
    at,
    retryAt: retryAt === Number.POSITIVE_INFINITY ? null : retryAt,
  }
}

/** A failure as users see it. */
export function told({ cause, packet, clause, ...failure }: Failure): ConnectionFailure {
  return failure
}
