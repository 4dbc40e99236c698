/**
 * Who gets the changes of a connection? Each user of `transitions()` has a queue, so that none of
 * them waits for another, and the loop waits for none.
 */
import { UsageError } from '../errors.ts'
import type { TransitionEffect } from '../protocol/contract.ts'
import type { Failure } from '../protocol/facts.ts'
import type { ConnectionKind } from '../protocol/state.ts'
import type { ConnectionFailure } from '../requests/vocabulary.ts'

/** A change of the connection, as `loop.transitions()` yields it. */
export interface Transition {
  /** The kind before the change. */
  readonly from: ConnectionKind
  /** The kind after the change; the same as `from` if only `retryAt` has changed. */
  readonly to: ConnectionKind
  /** The failure that led there, or null if nothing went wrong. */
  readonly reason: ConnectionFailure | null
  /** When it happened, in ms on the loop's clock (`performance.now()`). */
  readonly at: number
  /** When the next attempt is due, on the same clock, or null if none is. */
  readonly retryAt: number | null
  /**
   * Whether the server still had the session of this client, so that its subscriptions are in force
   * and it kept messages at QoS 1 and 2; null unless `to` is `connected`. This is Session Present
   * of the CONNACK, except that a session that this loop cannot go on with counts as none: that of
   * another client identifier, or one that the server resumed although a new one was asked for.
   */
  readonly sessionPresent: boolean | null
}

/**
 * How many transitions may wait in a queue. If one more comes, the user of the queue gets an error.
 */
const QUEUED_MAX = 1024

type TransitionResult = IteratorResult<Transition, undefined>
const DONE: TransitionResult = { done: true, value: undefined }

export class Transitions {
  readonly #watchers = new Set<Watcher>()
  #ended = false

  report(transition: Transition): void {
    for (const watcher of this.#watchers) watcher.report(transition)
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
  resolve(result: TransitionResult): void
  reject(error: unknown): void
}

class Watcher implements AsyncIterableIterator<Transition, undefined> {
  readonly #unwatch: (self: Watcher) => void
  #queue: Transition[] = []
  #waiting: Waiter[] = []
  #ended = false
  #error: unknown = null

  constructor(unwatch: (self: Watcher) => void) {
    this.#unwatch = unwatch
  }

  report(transition: Transition): void {
    const waiter = this.#waiting.shift()
    if (waiter !== undefined) return waiter.resolve({ done: false, value: transition })
    this.#queue.push(transition)
    if (this.#queue.length <= QUEUED_MAX) return
    this.#queue = []
    const message = `transitions: ${QUEUED_MAX} of them were not taken; call it again`
    this.end(new UsageError(message, { code: 'WATCHER_FELL_BEHIND' }))
  }

  end(error: unknown): void {
    this.#unwatch(this)
    this.#ended = true
    this.#error = error
    for (const { resolve } of this.#waiting) resolve(DONE)
    this.#waiting = []
  }

  next(): Promise<TransitionResult> {
    const value = this.#queue.shift()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    const error = this.#error
    this.#error = null
    if (error !== null) return Promise.reject(error)
    if (this.#ended) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  async return(): Promise<TransitionResult> {
    this.#queue = []
    this.end(null)
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

export function transitionOf(effect: TransitionEffect): Transition {
  const { from, to, reason, at, retryAt, sessionPresent } = effect
  return {
    from,
    to,
    reason: reason === null ? null : publicFailure(reason),
    at,
    retryAt: retryAt === Number.POSITIVE_INFINITY ? null : retryAt,
    sessionPresent,
  }
}

/** @returns a failure as users see it. */
export function publicFailure({ cause, packet, clause, ...failure }: Failure): ConnectionFailure {
  return failure
}
