/**
 * What does the engine need of a stream of bytes to a server?
 *
 * These are the methods of Node's Duplex that a connection uses: every socket of Node is a
 * `ByteStream` as it is, without an adapter. A stream of another kind has to behave as a Duplex
 * does:
 *
 * - `data` brings a chunk. Listening to it starts the flow; between `pause()` and `resume()` no
 *   chunk comes.
 * - `end` says that the peer sends no more, after the last chunk.
 * - `finish` says that everything written before `end()` was handed over.
 * - `error` says why the stream failed. `close` follows it, as it follows `destroy()`, and is the
 *   last event.
 */
import type { TlsOptions } from './runtime.ts'
export interface ByteStream {
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end' | 'close', listener: () => void): unknown
  once(event: 'finish', listener: () => void): unknown
  /**
   * Calls `done` when the bytes were handed over, to the kernel say, or with an error if they never
   * will be.
   */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): unknown
  /** Ends our side once everything that was written is handed over. */
  end(): unknown
  pause(): unknown
  resume(): unknown
  /** Closes both sides immediately; what was written and not handed over is lost. */
  destroy(error?: Error): unknown
  /** Whether `destroy()` was called, by whomever. */
  readonly destroyed: boolean
}

/** A transport as two web streams. The types name only what is used of them. */
export interface WebStreams {
  readonly readable: {
    getReader(): {
      read(): Promise<{ readonly done: boolean; readonly value?: unknown }>
      cancel(reason?: unknown): Promise<unknown>
      readonly closed: Promise<unknown>
    }
  }
  readonly writable: {
    getWriter(): {
      /** The promise resolves when the sink has taken the bytes. */
      write(bytes: Uint8Array): Promise<unknown>
      close(): Promise<unknown>
      abort(reason?: unknown): Promise<unknown>
      readonly closed: Promise<unknown>
    }
  }
}

/** Where a transport leads to, and the only options that it is given. */
export interface Endpoint {
  /** The URL of the server. */
  readonly url: URL
  /** The option `tls`. */
  readonly tls: TlsOptions
  /** The largest packet that the loop accepts, in bytes: a bound for the frames of a transport. */
  readonly maximumPacketSize: number
  /** Headers for the request that opens the transport. */
  readonly headers: HandshakeHeaders
}

/** HTTP headers by name. */
export type HandshakeHeaders = Readonly<Record<string, string>>

/**
 * Opens a stream of bytes to the endpoint, or rejects. If `signal` is aborted, it destroys what it
 * has begun.
 */
export type OpenTransport = (
  endpoint: Endpoint,
  signal: AbortSignal,
) => Promise<ByteStream> | ByteStream
