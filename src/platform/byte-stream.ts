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
import type { Lookup, TlsOptions } from '#runtime'

/** A stream of bytes in both directions; every socket of Node is one. */
export interface ByteStream {
  /** Listens for chunks, and starts the flow. */
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown
  /** Listens for the error with which the stream fails. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Listens for the end of what the peer sends, or for the last event of the stream. */
  on(event: 'end' | 'close', listener: () => void): unknown
  /** Listens for the moment when everything before `end()` was handed over. */
  once(event: 'finish', listener: () => void): unknown
  /**
   * Calls `done` when the bytes were handed over (to the kernel, for example), or with an error if
   * that is no longer possible.
   */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): unknown
  /** Ends our side once everything that was written is handed over. */
  end(): unknown
  /** Stops the flow: no chunk comes until `resume()`. */
  pause(): unknown
  /** Starts the flow again. */
  resume(): unknown
  /** Closes both sides immediately; what was written and not handed over is lost. */
  destroy(error?: Error): unknown
  /** Whether `destroy()` was called. */
  readonly destroyed: boolean
}

/** A transport as two web streams. The types have only the members that the loop uses. */
export interface WebStreams {
  /** The bytes from the peer. */
  readonly readable: {
    /** Locks the stream for one reader. */
    getReader(): {
      /** Resolves with the next chunk, or with `done` at the end. */
      read(): Promise<{
        /** Whether the stream has ended. */
        readonly done: boolean
        /** The chunk, which must be a Uint8Array. */
        readonly value?: unknown
      }>
      /** Gives up what is still to come. */
      cancel(reason?: unknown): Promise<unknown>
      /** Resolves when the stream has ended, and rejects if it fails. */
      readonly closed: Promise<unknown>
    }
  }
  /** The bytes to the peer. */
  readonly writable: {
    /** Locks the stream for one writer. */
    getWriter(): {
      /** The promise resolves when the sink has taken the bytes. */
      write(bytes: Uint8Array): Promise<unknown>
      /** Ends the stream once everything was written. */
      close(): Promise<unknown>
      /** Ends the stream immediately; what was not written is lost. */
      abort(reason?: unknown): Promise<unknown>
      /** Resolves when the stream is closed, and rejects if it fails. */
      readonly closed: Promise<unknown>
    }
  }
}

/** The server of a transport, and the only options that the transport is given. */
export interface Endpoint {
  /** The URL of the server. Its host is in ASCII, and has no zone. */
  readonly url: URL
  /**
   * The host to connect to: a name in ASCII, or an address without brackets, with its zone if one
   * was given (`fe80::1%eth0`).
   */
  readonly host: string
  /** The port of the URL, or that of its scheme; 0 if neither has one. */
  readonly port: number
  /** The option `tls`. */
  readonly tls: TlsOptions
  /** The options `family`, `localAddress` and `lookup`. */
  readonly socket: SocketOptions
  /** The option `connectTimeout` in ms. The signal is aborted when it is over. */
  readonly connectTimeout: number
  /** The name of the WebSocket sub-protocol: `mqtt`, or `mqttv3.1` for MQTT 3.1. */
  readonly subprotocol: string
  /** Whether a server that selects no sub-protocol is accepted (`tolerance: 'field'`). */
  readonly lenient: boolean
  /** The largest packet that the loop accepts, in bytes: a bound for the frames of a transport. */
  readonly maximumPacketSize: number
  /** Headers for the request that opens the transport. */
  readonly headers: HandshakeHeaders
}

/** The options of a socket. */
export interface SocketOptions {
  /** Only addresses of this version of IP are used. */
  readonly family?: 4 | 6 | undefined
  /** The address of this machine from which the connection is made. */
  readonly localAddress?: string | undefined
  /** Finds the addresses of a name. */
  readonly lookup?: Lookup | undefined
}

/** What the opening of a transport is waiting for. */
export type TransportStage = 'lookup' | 'tcp' | 'unix' | 'tls' | 'upgrade'

/** Is told how the opening of a transport goes. */
export interface OpeningListener {
  /** What the opening is waiting for now. */
  reached(stage: TransportStage): void
  /** The server broke a rule of the transport, and the opening goes on. */
  deviated(what: string): void
}

/** HTTP headers by name. */
export type HandshakeHeaders = Readonly<Record<string, string>>

/**
 * Opens a stream of bytes to the endpoint, or rejects. The stream is a Duplex of Node, another one
 * that behaves like it, or two web streams. If `signal` is aborted, the function destroys what it
 * has begun.
 */
export type OpenTransport = (
  endpoint: Endpoint,
  signal: AbortSignal,
) => ByteStream | WebStreams | Promise<ByteStream | WebStreams>
