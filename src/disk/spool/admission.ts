/**
 * When is a pushed request accepted? In the order of the pushes, as the bounds and `overflow`
 * allow.
 *
 * A push resolves once each of its requests was accepted or dropped, and those that were accepted
 * are safe.
 */
import { type StorageError, UsageError } from '../../errors.ts'
import { wrong } from '../../requests/check.ts'
import type { Outcome, SentRequest } from '../../requests/vocabulary.ts'
import { type Deferred, deferred } from '../deferred.ts'
import { requestBytes } from '../store/request-size.ts'
import type { SpoolContents } from './contents.ts'
import type { CommitWaiter } from './marks.ts'
import type { Producer, ResolvedSpool } from './spool-options.ts'
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
  push(requests: readonly SentRequest[], producer: Producer | null): Promise<number> {
    if (producer !== null) checkProducer(producer, this.#options)
    for (const [i, request] of requests.entries()) checkPushed(request, i, this.#options)
    if (this.#options.overflow === 'reject') {
      const bytes = requests.reduce((sum, request) => sum + requestBytes(request), 0)
      if (!this.#contents.fits(requests.length, bytes)) throw this.#contents.full()
    }
    return this.#enqueue(requests, producer)
  }

  /** @throws UsageError or StorageError as `Spool.push` rejects with them. */
  pushOne(request: SentRequest): Promise<number> {
    checkPushed(request, -1, this.#options)
    const contents = this.#contents
    const bytes = requestBytes(request)
    const fits = contents.fits(1, bytes)
    if (!fits && this.#options.overflow === 'reject') throw contents.full()
    if (!fits || this.#queue.length > 0 || !contents.staysInMemory) {
      return this.#enqueue([request], null)
    }
    contents.addToMemory(request, bytes)
    this.#listener.added()
    return ONE
  }

  #enqueue(requests: readonly SentRequest[], producer: Producer | null): Promise<number> {
    const push = new Push(requests, producer)
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
        else if (overflow === 'wait') return this.#mark(push)
        else if (overflow === 'dropOldest' && this.#dropOldest()) continue
        // Requests that were handed out cannot be dropped any more; those on disk must be loaded.
        else if (overflow === 'dropOldest' && this.#contents.hasUnloaded) {
          this.#mark(push)
          return this.#listener.load()
        } else this.#refuse(next, this.#contents.full())
        push.at++
      }
      this.#queue.shift()
      this.#mark(push)
      push.conclude()
    }
  }

  /** Has the position of the producer stored together with what was accepted of its push. */
  #mark(push: Push): void {
    const { producer, at } = push
    if (producer === null || at === push.markedAt || push.isFailed) return
    push.markedAt = at
    this.#contents.mark(producer.name, producer.positionAfter(at), push)
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

function checkProducer({ name, positionAfter }: Producer, { mode }: ResolvedSpool): void {
  if (mode !== 'durable') {
    throw new UsageError('spool: a producer needs the mode "durable", which stores a push on disk')
  }
  if (typeof name !== 'string') throw wrong('spool: the name of a producer', 'a string', name)
  if (typeof positionAfter === 'function') return
  throw wrong('spool: positionAfter', 'a function', positionAfter)
}

/** A push that is not finished: its requests wait for room, or its records wait for the disk. */
class Push implements CommitWaiter {
  readonly #requests: readonly SentRequest[]
  readonly producer: Producer | null
  /** The place up to which the position of the producer was given to be stored, or -1. */
  markedAt = -1
  readonly #result: Deferred<number> = deferred()
  /** The place of the next request that waits for room. */
  at = 0
  /** How many requests were accepted. */
  count = 0
  /** How many records are not on disk yet. */
  #pending = 0
  #failure: unknown = null

  constructor(requests: readonly SentRequest[], producer: Producer | null) {
    this.#requests = requests
    this.producer = producer
  }

  get isFailed(): boolean {
    return this.#failure !== null
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
    // The producer repeats what is behind the position that was stored last.
    if (failure !== null && this.producer !== null) this.at = this.#requests.length
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
