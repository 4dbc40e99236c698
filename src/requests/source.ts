/**
 * How is an iterable read as a request stream? One `next()` at a time, and never further than the
 * loop can take (D4, the window is never exceeded).
 *
 * A source belongs to the object that the user gave. When a loop ends without closing it, the
 * source keeps the iterator, the rest of a batch and a `next()` that has not resolved; a later loop
 * that is given the same object goes on there (N5, the request stream is returned or released). A
 * stream that replays requests without an outcome is closed instead: its next iteration gives all
 * of them again, and the session knows the keys that it holds.
 */
import { UsageError } from '../errors.ts'
import { wrong } from './check.ts'
import type { Request, Settling } from './vocabulary.ts'

/** A request stream: an iterable of requests, or of arrays of requests (batches). */
export type Requests =
  | Iterable<Request | readonly Request[]>
  | AsyncIterable<Request | readonly Request[]>

interface SourceListener {
  /** A batch has arrived. @returns the items of it that are to be taken. */
  arrived(batch: readonly unknown[]): readonly unknown[]
  /** An item can be taken now, or the stream has ended. */
  ready(): void
}

type SourceStep = IteratorResult<unknown>

/** Sources that a loop has released, by the object that the user gave. */
const released = new WeakMap<object, Source>()

export class Source {
  /** The object that the user gave. */
  readonly stream: object
  /** The same object if it has a method `settled`, or null. */
  readonly settling: Settling | null
  #iterator: Iterator<unknown> | AsyncIterator<unknown> | null = null
  #listener: SourceListener | null = null
  /** Items that arrived together, taken up to `#batchAt`. */
  #batch: readonly unknown[] | null = null
  #batchAt = 0
  /** Whether a `next()` of an asynchronous iterator has not resolved yet. */
  #asking = false
  #ended = false
  #error: { readonly thrown: unknown } | null = null
  // Bound once, because `next()` is called a million times.
  readonly #answered = (step: SourceStep) => this.#arrived(step)
  readonly #failed = (thrown: unknown) => this.#threw(thrown)

  private constructor(stream: object) {
    this.stream = stream
    const { settled } = stream as Partial<Settling>
    this.settling = typeof settled === 'function' ? (stream as Settling) : null
  }

  /**
   * @returns the source of this object: the one that an earlier loop released, or a new one. A
   *   source that had ended goes on only in a loop that has a session, which holds its requests;
   *   any other loop iterates the stream again.
   * @throws UsageError if the object cannot be a request stream.
   */
  static of(stream: unknown, hasSession = false): Source {
    checkStream(stream)
    const kept = released.get(stream)
    released.delete(stream)
    return kept === undefined || (kept.ended && !hasSession) ? new Source(stream) : kept
  }

  attach(listener: SourceListener): void {
    this.#listener = listener
  }

  /** Whether nothing more will come. If the stream threw an error, it is in `error`. */
  get ended(): boolean {
    return this.#ended && this.#batch === null
  }

  get error(): { readonly thrown: unknown } | null {
    return this.#error
  }

  /**
   * @returns the next item, which the caller has to validate, or NO_ITEM if there is none now. Then
   * the listener's `ready` is called when there is one, or when the stream has ended.
   */
  take(): unknown {
    for (;;) {
      const batch = this.#batch
      if (batch !== null) {
        if (this.#batchAt < batch.length) return batch[this.#batchAt++]
        this.#batch = null
      }
      if (this.#ended || this.#asking) return NO_ITEM
      const item = this.#ask()
      if (item !== AGAIN) return item
    }
  }

  /** Takes back the item that was taken last; the next `take` returns it again. */
  putBack(item: unknown): void {
    if (this.#batch !== null) this.#batchAt--
    else {
      this.#batch = [item]
      this.#batchAt = 0
    }
  }

  /** @returns an item, or AGAIN if the caller has to look again, or NO_ITEM. */
  #ask(): unknown {
    let step: SourceStep | Promise<SourceStep>
    try {
      this.#iterator ??= iteratorOf(this.stream)
      step = this.#iterator.next()
    } catch (thrown) {
      this.#ended = true
      this.#error = { thrown }
      return NO_ITEM
    }
    if (typeof (step as Promise<SourceStep>).then === 'function') {
      this.#asking = true
      ;(step as Promise<SourceStep>).then(this.#answered, this.#failed)
      return NO_ITEM
    }
    return this.#accept(step as SourceStep)
  }

  /** @returns a single item, or AGAIN if it became the batch or the stream has ended. */
  #accept(step: SourceStep): unknown {
    if (step.done) {
      this.#ended = true
      return AGAIN
    }
    if (!Array.isArray(step.value)) return step.value
    this.#keep(step.value)
    return AGAIN
  }

  #arrived(step: SourceStep): void {
    this.#asking = false
    const item = this.#accept(step)
    if (item !== AGAIN) this.#keep([item])
    this.#listener?.ready()
  }

  #keep(batch: readonly unknown[]): void {
    this.#batch = this.#listener?.arrived(batch) ?? batch
    this.#batchAt = 0
  }

  #threw(thrown: unknown): void {
    this.#asking = false
    this.#ended = true
    this.#error = { thrown }
    this.#listener?.ready()
  }

  /**
   * Keeps everything as it is, because the loop has ended and another one may go on.
   * @param finished says that no request of the stream is held.
   */
  release(finished: boolean): void {
    this.#listener = null
    // A stream that has ended is not iterated again while its requests are still held.
    if (this.#iterator === null || (finished && this.ended)) return
    if ((this.stream as Partial<Settling>).replays === true) {
      this.close()
      return
    }
    this.#error = null
    released.set(this.stream, this)
  }

  /**
   * Closes the stream, because the consumer left the loop. It does not wait for the stream.
   * @returns the items that the stream gave and nobody took.
   */
  close(): unknown[] {
    this.#listener = null
    const rest = this.#batch?.slice(this.#batchAt) ?? []
    this.#batch = null
    if (this.#ended || this.#iterator === null) return rest
    this.#ended = true
    try {
      // A generator that awaits something answers `return()` only when that is over, perhaps never.
      const closing = this.#iterator.return?.() as Promise<unknown> | undefined
      if (typeof closing?.then === 'function') closing.then(undefined, () => {})
    } catch {
      // The loop has ended in order already, so an error of closing the stream is of no use.
    }
    return rest
  }
}

/** No item. It is a symbol because a stream may give anything, also `undefined`. */
export const NO_ITEM = Symbol('no item')
/** Look again: the batch or the end of the stream has changed. */
const AGAIN = Symbol('again')

function iteratorOf(stream: object): Iterator<unknown> | AsyncIterator<unknown> {
  const { [Symbol.asyncIterator]: asynchronous, [Symbol.iterator]: synchronous } =
    stream as Partial<AsyncIterable<unknown>> & Partial<Iterable<unknown>>
  return asynchronous ? asynchronous.call(stream) : synchronous!.call(stream)
}

function checkStream(stream: unknown): asserts stream is object {
  const form = 'an iterable of requests or of arrays of requests'
  if (typeof stream === 'string') throw new UsageError(`requests must be ${form}, not a string`)
  if (typeof stream !== 'object' || stream === null) throw wrong('requests', form, stream)
  if (ArrayBuffer.isView(stream) || stream instanceof ArrayBuffer) {
    throw new UsageError(`requests must be ${form}, not bytes`)
  }
  if ((stream as { readableObjectMode?: unknown }).readableObjectMode === false) {
    const remedy = 'parse it into requests first (for lines: node:readline)'
    throw new UsageError(`requests must be ${form}, not a stream of bytes; ${remedy}`)
  }
  if (!(Symbol.asyncIterator in stream) && !(Symbol.iterator in stream)) {
    throw wrong('requests', form, stream)
  }
}
