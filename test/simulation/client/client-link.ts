/**
 * Puts the broker of it-mqtt/testing behind the simulated network: what the network delivers is the
 * broker's stream, and what the broker writes travels to the client with latency, cuts and all.
 */
import type { ByteStream } from '../../../src/index.ts'
import type { BrokerEnd, Connection, Tap } from '../network.ts'

type Listener = (value: never) => void

/** The broker's end of a connection, as a stream. */
export class BrokerStream implements ByteStream, BrokerEnd {
  destroyed = false
  readonly #connection: Connection
  readonly #listeners = new Map<string, Listener[]>()
  #isClosed = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  on(event: string, listener: Listener): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener])
  }

  once(event: string, listener: Listener): void {
    this.on(event, listener)
  }

  write(bytes: Uint8Array, done: () => void): void {
    this.#connection.send(Buffer.from(bytes))
    done()
  }

  end(): void {
    this.#connection.end('fin')
  }

  destroy(): void {
    this.destroyed = true
    this.#connection.end('reset')
  }

  /** The broker is never asked to hang, so that it never pauses. */
  pause(): void {}
  resume(): void {}

  received(bytes: Buffer): void {
    if (!this.#isClosed) this.#emit('data', bytes)
  }

  ended(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.destroyed = true
    this.#emit('close')
  }

  #emit(event: string, ...values: unknown[]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      ;(listener as (...values: unknown[]) => void)(...values)
    }
  }
}

/** The broker's log has the packets; the bytes are looked at by the engine's own simulation. */
export const NO_TAP: Tap = {
  wrote() {},
  read() {},
  resumed() {},
  moved() {},
  ended() {},
  closed() {},
}
