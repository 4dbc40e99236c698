/**
 * How do the two web streams of a transport become one `ByteStream`?
 *
 * The reader is read only while the stream flows, and one chunk that arrives after `pause()` waits
 * for `resume()`: so back-pressure reaches the other side. Each write is handed to the writer,
 * which keeps the order, and is done when the sink has taken it. An error of either side ends both.
 */

import { isBytes } from '#bytes'
import { describe, messageOf } from '../../errors.ts'
import type { ByteStream, WebStreams } from '../../platform/byte-stream.ts'

type Event = 'data' | 'error' | 'end' | 'close' | 'finish'
type AnyListener = (value: never) => void

export class WebByteStream implements ByteStream {
  readonly #reader: ReturnType<WebStreams['readable']['getReader']>
  readonly #writer: ReturnType<WebStreams['writable']['getWriter']>
  readonly #listeners: Record<Event, AnyListener[]> = {
    data: [],
    error: [],
    end: [],
    close: [],
    finish: [],
  }
  /** Whether chunks may come; null as long as nobody has said so. */
  #flowing: boolean | null = null
  #reading = false
  /** What was read when `pause()` was called meanwhile. */
  #waiting: { readonly done: boolean; readonly value?: unknown } | null = null
  #ending = false
  #ended = false
  #finished = false
  destroyed = false

  constructor({ readable, writable }: WebStreams) {
    this.#reader = readable.getReader()
    this.#writer = writable.getWriter()
    const failed = (cause: unknown): void => this.destroy(asError(cause))
    this.#reader.closed.catch(failed)
    this.#writer.closed.catch(failed)
  }

  on(event: 'data', listener: (chunk: Uint8Array) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  on(event: 'end' | 'close' | 'finish', listener: () => void): void
  on(event: Event, listener: AnyListener): void {
    this.#listeners[event].push(listener)
    if (event === 'data' && this.#flowing === null) this.resume()
  }

  /** A stream finishes once, so the listener need not be removed. */
  once(event: 'finish', listener: () => void): void {
    this.on(event, listener)
  }

  write(bytes: Uint8Array, done: (error?: Error | null) => void): void {
    this.#writer.write(bytes).then(
      () => done(),
      (cause: unknown) => {
        const error = asError(cause)
        done(error)
        this.destroy(error)
      },
    )
  }

  end(): void {
    if (this.#ending || this.destroyed) return
    this.#ending = true
    this.#writer.close().then(
      () => {
        if (this.destroyed) return
        this.#finished = true
        this.#emit('finish')
        this.#closeIfDone()
      },
      (cause: unknown) => this.destroy(asError(cause)),
    )
  }

  pause(): void {
    this.#flowing = false
  }

  resume(): void {
    this.#flowing = true
    if (!this.#reading && !this.#ended && !this.destroyed) void this.#read()
  }

  destroy(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    this.#reader.cancel(error).catch(() => {})
    this.#writer.abort(error).catch(() => {})
    // Nobody waits for these two: a writer aborts only after the write under way, which may never
    // end.
    queueMicrotask(() => {
      if (error !== undefined) this.#emit('error', error)
      this.#emit('close')
    })
  }

  async #read(): Promise<void> {
    this.#reading = true
    // As in Node, no chunk comes before the caller of on() or resume() has gone on.
    await null
    while (this.#flowing && !this.destroyed) {
      const result = this.#waiting ?? (await this.#next())
      this.#waiting = null
      if (result === null || this.destroyed) break
      if (!this.#flowing) {
        this.#waiting = result
      } else if (result.done) {
        this.#ended = true
        this.#emit('end')
        this.#closeIfDone()
        break
      } else if (isBytes(result.value)) {
        this.#emit('data', result.value)
      } else {
        const message = `transport: readable must give a Uint8Array, not ${describe(result.value)}`
        this.destroy(new Error(message))
      }
    }
    this.#reading = false
  }

  /** @returns what the reader gives, or null if it failed. */
  async #next() {
    try {
      return await this.#reader.read()
    } catch (cause) {
      this.destroy(asError(cause))
      return null
    }
  }

  #closeIfDone(): void {
    if (this.#ended && this.#finished) this.destroy()
  }

  #emit(event: Event, value?: unknown): void {
    for (const listener of this.#listeners[event]) listener.call(this, value as never)
  }
}

/**
 * @returns what a stream failed with, as an error: a stream may be aborted with anything, or
 * nothing.
 */
function asError(cause: unknown): Error {
  if (cause instanceof Error) return cause
  const reason = cause === undefined ? 'no reason was given' : messageOf(cause)
  return new Error(`the transport was aborted: ${reason}`, { cause })
}
