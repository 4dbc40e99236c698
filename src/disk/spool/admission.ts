/**
 * When is a pushed request accepted? In the order of the pushes, as the bounds and `overflow`
 * allow.
 *
 * A push resolves once each of its requests was accepted or dropped, and those that were accepted
 * are safe.
 */
import { type StorageError, UsageError } from '../../errors.ts'
import type { Outcome, SentRequest } from '../../requests/vocabulary.ts'
import { type Deferred, deferred } from '../deferred.ts'
import { requestBytes } from '../store/request-size.ts'
import type { SpoolContents } from './contents.ts'
import type { ResolvedSpool } from './spool-options.ts'
import type { CommitWaiter } from './spool-store.ts'
import { checkPushed, faultOf } from './storable.ts'

interface AdmissionListener {
  /** A request was added in memory. */
  added(): void
  /** Requests must be loaded from disk, so that the oldest one can be dropped. */
  load(): void
  /** A request has an outcome that does not come from a loop. */
  report(request: SentRequest, outcome: Outcome): void
}

/** The result of most pushes that stay in memory. */
const ONE = Promise.resolve(1)

export class Admission {
  readonly #options: ResolvedSpool
  readonly #contents: SpoolContents
  readonly #listener: AdmissionListener
  /** Pushes that wait for room. */
  #queue: Push[] = []
  #admitting = false

  constructor(options: ResolvedSpool, contents: SpoolContents, listener: AdmissionListener) {
    this.#options = options
    this.#contents = contents
    this.#listener = listener
  }

  get isIdle(): boolean {
    return this.#queue.length === 0
  }

  /** @throws UsageError or StorageError as `Spool.push` rejects with them. */
  push(requests: readonly SentRequest[]): Promise<number> {
    for (const [i, request] of requests.entries()) checkPushed(request, i, this.#options)
    if (this.#options.overflow === 'reject') {
      const bytes = requests.reduce((sum, request) => sum + requestBytes(request), 0)
      if (!this.#contents.fits(requests.length, bytes)) throw this.#contents.full()
    }
    return this.#enqueue(requests)
  }

  /** @throws UsageError or StorageError as `Spool.push` rejects with them. */
  pushOne(request: SentRequest): Promise<number> {
    checkPushed(request, -1, this.#options)
    const contents = this.#contents
    const bytes = requestBytes(request)
    const fits = contents.fits(1, bytes)
    if (!fits && this.#options.overflow === 'reject') throw contents.full()
    if (!fits || this.#queue.length > 0 || !contents.staysInMemory) {
      return this.#enqueue([request])
    }
    contents.addToMemory(request, bytes)
    this.#listener.added()
    return ONE
  }

  #enqueue(requests: readonly SentRequest[]): Promise<number> {
    const push = new Push(requests)
    this.#queue.push(push)
    this.admit()
    return push.accepted
  }

  /** Accepts waiting requests in the order of the pushes, as far as there is room. */
  admit(): void {
    // A push that a listener makes is added to the end of the queue.
    if (this.#admitting) return
    this.#admitting = true
    try {
      this.#admitAll()
    } finally {
      this.#admitting = false
    }
    this.#contents.commit()
  }

  #admitAll(): void {
    const { overflow } = this.#options
    for (let push = this.#queue[0]; push !== undefined; push = this.#queue[0]) {
      for (let next = push.next; next !== undefined; next = push.next) {
        const bytes = requestBytes(next)
        if (this.#contents.fits(1, bytes)) this.#accept(next, bytes, push)
        else if (overflow === 'wait') return
        else if (overflow === 'dropOldest' && this.#dropOldest()) continue
        // Requests that were handed out cannot be dropped any more; those on disk must be loaded.
        else if (overflow === 'dropOldest' && this.#contents.hasUnloaded) {
          return this.#listener.load()
        } else this.#refuse(next, this.#contents.full())
        push.at++
      }
      this.#queue.shift()
      push.conclude()
    }
  }

  #accept(request: SentRequest, bytes: number, push: Push): void {
    if (this.#contents.staysInMemory) {
      push.count++
      this.#contents.addToMemory(request, bytes)
      return this.#listener.added()
    }
    // In `spill` mode the request was not checked in full; that is done now, before it is written
    // to disk.
    const fault = this.#options.mode === 'spill' ? faultOf(request) : null
    if (fault !== null) return this.#refuse(request, fault)
    push.count++
    this.#contents.addToDisk(request, bytes, push)
  }

  /** @returns false if no request in memory can be dropped. */
  #dropOldest(): boolean {
    const { batch, expired } = this.#contents.chunks.take(1, 0)
    const key = batch[0]?.key ?? expired[0]
    if (key === undefined) return false
    const error = this.#contents.full()
    this.#refuse(this.#contents.drop(key as number), error)
    return true
  }

  #refuse(request: SentRequest, error: unknown): void {
    this.#listener.report(request, { ok: false, error })
  }

  /** Rejects the pushes that still wait for room. */
  close(): void {
    const queue = this.#queue
    this.#queue = []
    const message = 'spool: it was closed before there was room'
    for (const push of queue) push.fail(new UsageError(message, { code: 'CLOSED' }))
  }
}

/** A push that is not finished: its requests wait for room, or its records wait for the disk. */
class Push implements CommitWaiter {
  readonly #requests: readonly SentRequest[]
  readonly #result: Deferred<number> = deferred()
  /** The place of the next request that waits for room. */
  at = 0
  /** How many requests were accepted. */
  count = 0
  /** How many records are not on disk yet. */
  #pending = 0
  #failure: unknown = null

  constructor(requests: readonly SentRequest[]) {
    this.#requests = requests
  }

  /** Resolves with how many of the requests were accepted. */
  get accepted(): Promise<number> {
    return this.#result.promise
  }

  get next(): SentRequest | undefined {
    return this.#requests[this.at]
  }

  waits(): void {
    this.#pending++
  }

  done(failure: StorageError | null): void {
    this.#pending--
    this.#failure ??= failure
    this.conclude()
  }

  fail(error: unknown): void {
    this.#failure ??= error
    this.at = this.#requests.length
    this.conclude()
  }

  conclude(): void {
    if (this.#pending > 0 || this.next !== undefined) return
    if (this.#failure === null) this.#result.resolve(this.count)
    else this.#result.reject(this.#failure)
  }
}
