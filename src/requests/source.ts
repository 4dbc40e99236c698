/**
 * Anything iterable as a stream of requests: asked for one at a time, never further than the loop can take. (D4, N5)
 *
 * A source is bound to the object that the user gave. When a loop ends without closing it, the source keeps the iterator, the
 * rest of a batch and a `next()` that is still under way, and a later loop given the same object goes on there. A stream that
 * replays what has no outcome is closed instead: its next iteration gives all of it again, and D7 knows what is held.
 */
import { describe, UsageError } from '../errors.ts'
import type { Request, Settling } from './vocabulary.ts'

/** A request stream: requests, one by one or in batches. */
export type Requests =
  | Iterable<Request | readonly Request[]>
  | AsyncIterable<Request | readonly Request[]>

interface Listener {
  /** Items that wait until they are taken; gives back those that shall. */
  came(batch: readonly unknown[]): readonly unknown[]
  /** Something can be taken now, or never again. */
  ready(): void
}

type Step = IteratorResult<unknown>

const released = new WeakMap<object, Source>()

export class Source {
  readonly stream: object
  readonly settling: Settling | null
  #iterator: Iterator<unknown> | AsyncIterator<unknown> | null = null
  #listener: Listener | null = null
  #batch: readonly unknown[] | null = null
  #batchAt = 0
  /** A `next()` of an asynchronous iterator is under way. */
  #asking = false
  #ended = false
  #error: { readonly thrown: unknown } | null = null
  // Bound once: a stream is asked a million times.
  readonly #answered = (step: Step) => this.#arrived(step)
  readonly #failed = (thrown: unknown) => this.#threw(thrown)

  private constructor(stream: object) {
    this.stream = stream
    const { settled } = stream as Partial<Settling>
    this.settling = typeof settled === 'function' ? (stream as Settling) : null
  }

  /**
   * The source of this object: a new one, or the one that an earlier loop released. One that had come to its end goes on only
   * in a loop that has a session, where its requests are held; for any other loop the stream begins anew.
   */
  static of(stream: unknown, hasSession = false): Source {
    judge(stream)
    const kept = released.get(stream)
    released.delete(stream)
    return kept === undefined || (kept.ended && !hasSession) ? new Source(stream) : kept
  }

  attach(listener: Listener): void {
    this.#listener = listener
  }

  /** Nothing more will come; what was thrown, if anything, is in `error`. */
  get ended(): boolean {
    return this.#ended && this.#batch === null
  }

  get error(): { readonly thrown: unknown } | null {
    return this.#error
  }

  /** The next item, or NOTHING: there is none now, and `ready` will tell. Items are judged by whoever takes them. */
  take(): unknown {
    for (;;) {
      const batch = this.#batch
      if (batch !== null) {
        if (this.#batchAt < batch.length) return batch[this.#batchAt++]
        this.#batch = null
      }
      if (this.#ended || this.#asking) return NOTHING
      const item = this.#ask()
      if (item !== AGAIN) return item
    }
  }

  #ask(): unknown {
    let step: Step | Promise<Step>
    try {
      this.#iterator ??= iteratorOf(this.stream)
      step = this.#iterator.next()
    } catch (thrown) {
      this.#ended = true
      this.#error = { thrown }
      return NOTHING
    }
    if (typeof (step as Promise<Step>).then === 'function') {
      this.#asking = true
      ;(step as Promise<Step>).then(this.#answered, this.#failed)
      return NOTHING
    }
    return this.#accept(step as Step)
  }

  /** A single item, or AGAIN where there is none or it became the batch. */
  #accept(step: Step): unknown {
    if (step.done) {
      this.#ended = true
      return AGAIN
    }
    if (!Array.isArray(step.value)) return step.value
    this.#keep(step.value)
    return AGAIN
  }

  #arrived(step: Step): void {
    this.#asking = false
    const item = this.#accept(step)
    if (item !== AGAIN) this.#keep([item])
    this.#listener?.ready()
  }

  #keep(batch: readonly unknown[]): void {
    this.#batch = this.#listener?.came(batch) ?? batch
    this.#batchAt = 0
  }

  #threw(thrown: unknown): void {
    this.#asking = false
    this.#ended = true
    this.#error = { thrown }
    this.#listener?.ready()
  }

  /** The loop ended and may be followed by another: everything stays as it is. */
  release(finished: boolean): void {
    this.#listener = null
    // A stream that ended is not begun anew while its requests are still held.
    if (this.#iterator === null || (finished && this.ended)) return
    if ((this.stream as Partial<Settling>).replays === true) {
      this.close()
      return
    }
    this.#error = null
    released.set(this.stream, this)
  }

  /** The consumer left: closes the stream, and gives back what it handed out and nobody took. Never waits. */
  close(): unknown[] {
    this.#listener = null
    const rest = this.#batch?.slice(this.#batchAt) ?? []
    this.#batch = null
    if (this.#ended || this.#iterator === null) return rest
    this.#ended = true
    try {
      // A generator that waits in its own `next()` answers `return()` only afterwards, perhaps never.
      const closing = this.#iterator.return?.() as Promise<unknown> | undefined
      if (typeof closing?.then === 'function') closing.then(undefined, () => {})
    } catch {
      // What a stream throws while it is closed concerns nobody any more.
    }
    return rest
  }
}

/** Whatever a stream gives may be an item, `undefined` too; this is none. */
export const NOTHING = Symbol('nothing')
const AGAIN = Symbol('again')

function iteratorOf(stream: object): Iterator<unknown> | AsyncIterator<unknown> {
  const { [Symbol.asyncIterator]: asynchronous, [Symbol.iterator]: synchronous } =
    stream as Partial<AsyncIterable<unknown>> & Partial<Iterable<unknown>>
  return asynchronous ? asynchronous.call(stream) : synchronous!.call(stream)
}

function judge(stream: unknown): asserts stream is object {
  const expected = 'requests: an iterable of requests or of arrays of requests is expected'
  if (typeof stream === 'string') throw new UsageError(`${expected}, a string was given`)
  if (typeof stream !== 'object' || stream === null) {
    throw new UsageError(`${expected}, ${describe(stream)} was given`)
  }
  if (ArrayBuffer.isView(stream) || stream instanceof ArrayBuffer) {
    throw new UsageError(`${expected}, bytes were given`)
  }
  if ((stream as { readableObjectMode?: unknown }).readableObjectMode === false) {
    throw new UsageError(
      `${expected}, a stream of bytes was given; parse it into requests first (for lines: node:readline)`,
    )
  }
  if (!(Symbol.asyncIterator in stream) && !(Symbol.iterator in stream)) {
    throw new UsageError(`${expected}, ${describe(stream)} was given`)
  }
}
