/**
 * How does an event stream go over bytes: streams of Node, such as those of `node:http2` and
 * sockets, streams of the web, or any iterable and function?
 */
import { ConnectionError, UsageError } from '../index.ts'
import type { StreamSource } from './chunk-source.ts'
import { encodeStreamMessage, typeNameOf } from './codec/message-encoder.ts'
import { type DecodeOptions, decodeStream } from './decode-stream.ts'
import type { Carrier } from './event-stream-types.ts'

/** What is used of a `Writable` of Node. */
export interface NodeWritable {
  /** Writes, calls back when the bytes have left, and says whether there is room for more. */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean
  /** Ends the stream after everything that was written. */
  end(done: (error?: Error | null) => void): unknown
  /** Listens. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Listens once. */
  once(event: 'close', listener: () => void): unknown
  /** Stops listening. */
  removeListener(event: 'error', listener: (error: Error) => void): unknown
  /** Ends the stream immediately. */
  destroy?(): unknown
  /** Whether it was ended so. */
  readonly destroyed?: boolean | undefined
  /** How a stream of HTTP/2 was closed: 0 means that both sides have ended. */
  readonly rstCode?: number | undefined
}

/** What is used of a `WritableStream` of the web. */
export interface WebWritable {
  /** Begins to write. */
  getWriter(): {
    /** Resolves when there is room for more. */
    readonly ready: Promise<unknown>
    /** Writes. */
    write(bytes: Uint8Array): Promise<void>
    /** Ends the stream after everything that was written. */
    close(): Promise<void>
    /** Ends the stream immediately. */
    abort(reason?: unknown): Promise<void>
  }
}

/** The two ways of a byte stream. One alone may be given. */
export interface BytePair {
  /** What is read. Default: nothing, and the other side has ended. */
  readonly readable?: StreamSource<Uint8Array> | undefined
  /** What is written to: a stream, or a function that takes bytes. Default: nothing can be sent. */
  readonly writable?:
    | NodeWritable
    | WebWritable
    | ((bytes: Uint8Array) => Promise<void> | void)
    | undefined
}

/** Where bytes go. */
interface ByteSink {
  write(bytes: Uint8Array): Promise<void>
  end(): Promise<void>
  abort(reason: unknown): void
}

/**
 * Carries an event stream over bytes. A stream of Node that is both, such as a socket or a stream
 * of `node:http2`, is given twice.
 * @param options limits and time-outs of what is read
 * @throws UsageError if something cannot be read or written
 */
export function overBytes(pair: BytePair, options: DecodeOptions = {}): Carrier {
  const { readable = [], writable } = pair
  const sink = sinkOf(writable)
  return {
    receive: decodeStream(halfOf(readable, writable), options),
    send: (message) => sink.write(encodeStreamMessage(message)),
    end: () => sink.end(),
    close(reason) {
      if (reason === undefined) return
      sink.abort(reason)
      const { destroy } = readable as { destroy?: () => unknown }
      if (typeof destroy === 'function') destroy.call(readable)
    },
  }
}

/** What is used of a `Readable` of Node. */
interface NodeReadable {
  iterator?(options: { readonly destroyOnReturn: boolean }): AsyncIterable<Uint8Array>
}

/**
 * The iterator of Node destroys its stream at the end, and with it the way back of one that goes
 * both ways.
 */
function halfOf(readable: StreamSource<Uint8Array>, writable: unknown): StreamSource<Uint8Array> {
  const both = readable as unknown as NodeReadable
  if (readable !== writable || typeof both.iterator !== 'function') return readable
  return {
    [Symbol.asyncIterator]: () =>
      both.iterator!({ destroyOnReturn: false })[Symbol.asyncIterator](),
  }
}

function sinkOf(writable: BytePair['writable']): ByteSink {
  if (writable === undefined) return nowhere
  if (typeof writable === 'function') {
    return { write: async (bytes) => writable(bytes), end: async () => {}, abort() {} }
  }
  if (typeof writable === 'object' && writable !== null) {
    if ('getWriter' in writable) return webSink(writable)
    if ('write' in writable && 'end' in writable) return nodeSink(writable)
  }
  throw new UsageError(`writable must be a stream or a function, not ${typeNameOf(writable)}`)
}

const nowhere: ByteSink = {
  write: () => Promise.reject(new UsageError('overBytes() was given nothing to write to')),
  end: async () => {},
  abort() {},
}

function nodeSink(writable: NodeWritable): ByteSink {
  let isWatched = false
  let failure: Error = new ConnectionError('the stream that is written to was closed', {
    code: 'CONNECTION_CLOSED',
  })
  /** What rejects the writes that wait: a stream that is destroyed forgets the one under way. */
  const waiting = new Set<(error: Error) => void>()
  const failed = (error: Error) => {
    failure = error
  }
  const closed = () => {
    writable.removeListener('error', failed)
    for (const reject of waiting) reject(failure)
  }
  const watch = () => {
    if (isWatched) return
    isWatched = true
    // Without a listener the error would end the process as well.
    writable.on('error', failed)
    writable.once('close', closed)
  }
  /** @param begin begins something, and says whether it need not be waited for */
  const done = (begin: (done: (error?: Error | null) => void) => boolean) => {
    // One that was destroyed says nothing more, so listeners would stay.
    if (writable.destroyed === true) return Promise.reject(failure)
    watch()
    return new Promise<void>((resolve, reject) => {
      waiting.add(reject)
      const settle = (error?: Error | null) => {
        waiting.delete(reject)
        if (error) reject(error)
        else resolve()
      }
      if (begin(settle)) settle()
    })
  }
  return {
    write: (bytes) => done((written) => writable.write(bytes, written)),
    end: () =>
      done((ended) => {
        writable.end((error) => ended(isClosedInOrder(writable, error) ? null : error))
        return false
      }),
    abort: () => writable.destroy?.(),
  }
}

/**
 * A stream of HTTP/2 that both sides have ended may be destroyed before it reports its own end
 * (Node 24). Its code 0 says that nothing was cut off.
 */
function isClosedInOrder({ rstCode }: NodeWritable, error: Error | null | undefined): boolean {
  return rstCode === 0 && (error as { code?: string } | null)?.code === 'ERR_STREAM_DESTROYED'
}

function webSink(stream: WebWritable): ByteSink {
  const writer = stream.getWriter()
  const ignore = () => {}
  return {
    async write(bytes) {
      const written = writer.write(bytes)
      // What goes wrong later is told to the next write, by `ready`.
      written.catch(ignore)
      await writer.ready
    },
    end: () => writer.close(),
    abort: (reason) => void writer.abort(reason).catch(ignore),
  }
}
