/**
 * What is read, and for how long may nothing come? A source is any iterable, or a web stream, which
 * not every runtime can iterate.
 */
import { ConnectionError, type Platform, systemPlatform, UsageError } from '../index.ts'
import { typeNameOf } from './codec/message-encoder.ts'

/** What can be read: an iterable, synchronous or not, or a `ReadableStream` of the web. */
export type StreamSource<T> = Iterable<T> | AsyncIterable<T> | WebReadable<T>

interface WebChunk<T> {
  done: boolean
  value?: T | undefined
}

/** What is used of a `ReadableStream` of the web. */
export interface WebReadable<T> {
  /** Begins to read. */
  getReader(): {
    /** The next value. */
    read(): Promise<WebChunk<T>>
    /** Ends the stream. */
    cancel(reason?: unknown): Promise<void>
  }
}

/** A source that was begun: it answers immediately, or with promises. */
export type Puller<T> =
  | { readonly isSync: true; readonly iterator: Iterator<T, unknown> }
  | { readonly isSync: false; readonly iterator: AsyncIterator<T, unknown> }

/** @throws UsageError if the source cannot be iterated. */
export function pullerOf<T>(source: StreamSource<T>): Puller<T> {
  if ((typeof source === 'object' || typeof source === 'function') && source !== null) {
    // First, since the iterator of a web stream cannot end it while a read is under way.
    if ('getReader' in source) return { isSync: false, iterator: webIterator(source) }
    if (Symbol.asyncIterator in source) {
      return { isSync: false, iterator: source[Symbol.asyncIterator]() }
    }
    if (Symbol.iterator in source) return { isSync: true, iterator: source[Symbol.iterator]() }
  }
  throw new UsageError(
    `a source must be an iterable or a ReadableStream, not ${typeNameOf(source)}`,
  )
}

function webIterator<T>(stream: WebReadable<T>): AsyncIterator<T, unknown> {
  const reader = stream.getReader()
  return {
    next: async () => (await reader.read()) as IteratorResult<T, unknown>,
    return: async () => {
      await reader.cancel()
      return { done: true, value: undefined }
    },
  }
}

/**
 * Ends a source. Nobody waits for it, since a generator that is waiting ends later or never; and
 * what it throws then is no news any more.
 */
export function leaveSource(source: { return?(): unknown }): void {
  try {
    Promise.resolve(source.return?.()).catch(() => {})
  } catch {}
}

/** How long nothing may come. */
export interface IdleOptions {
  /**
   * After how many ms without anything of the stream, while something is awaited of it, the
   * stream ends with ConnectionError `STALLED`. Chunks without bytes, repeats and messages of other
   * streams are nothing of it. 1 to 2,147,483,647. Default: never.
   */
  readonly idleTimeout?: number | undefined
  /** The timers. Default: those of the machine. */
  readonly platform?: Pick<Platform, 'setTimer' | 'clearTimer'> | undefined
}

/** @throws UsageError if the time-out is no such number. */
export function checkTimeout(name: string, ms: number | undefined): void {
  if (ms === undefined || (Number.isInteger(ms) && ms >= 1 && ms < 2 ** 31)) return
  throw new UsageError(`the option ${name} must be a whole number of ms, 1 to 2147483647`)
}

/** @returns the error of a stream of which nothing came for so long. */
export function stalled(idleTimeout: number): ConnectionError {
  const text = `nothing came for ${idleTimeout} ms (idleTimeout), and the stream has not ended`
  return new ConnectionError(text, { code: 'STALLED' })
}

/** @returns what `waited` gives, or a rejection with `STALLED` if it takes too long. */
export function withinIdle<T>(waited: Promise<T>, options: IdleOptions): Promise<T> {
  const { idleTimeout, platform = systemPlatform } = options
  if (idleTimeout === undefined) return waited
  return new Promise((resolve, reject) => {
    const timer = platform.setTimer(() => reject(stalled(idleTimeout)), idleTimeout)
    waited.then(resolve, reject).finally(() => platform.clearTimer(timer))
  })
}
