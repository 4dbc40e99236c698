/**
 * Simulated transports between a client and a broker under a virtual clock: latency, bandwidth, a
 * kernel's send buffer, cuts at any byte, directions that lose all bytes, dials that are refused or
 * never answered.
 */
import { Duplex } from 'node:stream'
import type { VirtualClock } from '../support/clock.ts'

export interface LinkQuality {
  readonly latencyMs: number
  /** Bandwidth in bytes per ms; Infinity for no limit. */
  readonly bytesPerMs: number
  /** Bytes that the kernel takes before a write has to wait. */
  readonly bufferBytes: number
}

export type Direction = 'up' | 'down'
export type Ending = 'fin' | 'reset'

/** Sees what the client's program writes and reads, at the moment it does. */
export interface Tap {
  wrote(bytes: Buffer): void
  read(bytes: Buffer): void
  resumed(): void
  /** The kernel took what was written; if `backedUp` is true the write had to wait. */
  moved(backedUp: boolean): void
  /** The client closes its side, and reads nothing more. */
  ended(): void
  closed(how: Ending | 'client'): void
}

interface Parcel {
  readonly bytes: Buffer
  taken: (() => void) | null
}

/** One direction of a connection. */
class Pipe {
  swallows = false
  /** Nothing arrives for now, and nothing is lost. */
  #holds = false
  /** Bytes that still pass before the connection breaks. */
  bytesLeft = Number.POSITIVE_INFINITY
  readonly #clock: VirtualClock
  readonly #quality: () => LinkQuality
  readonly #deliver: (bytes: Buffer) => boolean
  readonly #broken: () => void
  #parcels: Parcel[] = []
  #queuedBytes = 0
  #freeAt = 0
  #timer: unknown = null
  #blocked = false

  constructor(
    clock: VirtualClock,
    quality: () => LinkQuality,
    deliver: (bytes: Buffer) => boolean,
    broken: () => void,
  ) {
    this.#clock = clock
    this.#quality = quality
    this.#deliver = deliver
    this.#broken = broken
  }

  get empty(): boolean {
    return this.#parcels.length === 0
  }

  send(bytes: Buffer, taken: () => void): void {
    this.#queuedBytes += bytes.length
    const roomy = this.#queuedBytes <= this.#quality().bufferBytes
    this.#parcels.push({ bytes, taken: roomy ? null : taken })
    if (roomy) taken()
    this.#arm()
  }

  /** The reader is suspended, or runs again. */
  hold(holds: boolean): void {
    this.#holds = holds
    if (!holds) return this.#arm()
    this.#clock.clearTimer(this.#timer)
    this.#timer = null
  }

  /** The reader has room again. */
  unblock(): void {
    this.#blocked = false
    this.#arm()
  }

  close(): void {
    this.#clock.clearTimer(this.#timer)
    this.#parcels = []
  }

  #arm(): void {
    const next = this.#parcels[0]
    if (this.#timer !== null || this.#blocked || this.#holds || this.swallows) return
    if (next === undefined) return
    const { latencyMs, bytesPerMs } = this.#quality()
    const now = this.#clock.now()
    this.#freeAt = Math.max(now, this.#freeAt) + next.bytes.length / bytesPerMs
    this.#timer = this.#clock.setTimer(() => this.#arrive(), this.#freeAt - now + latencyMs)
  }

  /** If bandwidth has no limit, everything that is under way arrives together. */
  #arrive(): void {
    this.#timer = null
    if (this.swallows) return
    const limited = this.#quality().bytesPerMs < Number.POSITIVE_INFINITY
    const parcels = this.#parcels.splice(0, limited ? 1 : this.#parcels.length)
    const all = Buffer.concat(parcels.map(({ bytes }) => bytes))
    const part = all.subarray(0, Math.min(all.length, this.bytesLeft))
    this.bytesLeft -= part.length
    this.#queuedBytes -= all.length
    this.#blocked = part.length > 0 && !this.#deliver(part)
    for (const { taken } of parcels) taken?.()
    if (this.bytesLeft === 0) {
      this.swallows = true
      this.#broken()
    }
    this.#arm()
  }
}

/** The broker's end of a connection. */
export interface BrokerEnd {
  received(bytes: Buffer): void
  /** The client is gone, as far as the broker can know. */
  ended(): void
}

export class Connection {
  readonly client: Duplex
  /** Nothing passes any more. */
  over = false
  broker: BrokerEnd | null = null
  readonly #clock: VirtualClock
  readonly #up: Pipe
  readonly #down: Pipe
  readonly #quality: () => LinkQuality
  #reading = true
  #finishing = false

  constructor(clock: VirtualClock, quality: () => LinkQuality, tap: Tap) {
    this.#clock = clock
    this.#quality = quality
    const received = (bytes: Buffer) => {
      this.broker?.received(bytes)
      return true
    }
    const yielded = (bytes: Buffer) => {
      if (this.client.destroyed) return true
      this.#reading = this.client.push(bytes)
      return this.#reading
    }
    const broken = () => this.end('reset')
    this.#up = new Pipe(clock, quality, received, broken)
    this.#down = new Pipe(clock, quality, yielded, broken)
    const connection = this
    this.client = new (class extends Duplex {
      override _read(): void {
        clock.touch()
        if (connection.#reading) return
        connection.#reading = true
        connection.#down.unblock()
      }

      override _write(chunk: Buffer, _encoding: string, done: () => void): void {
        const beganAt = clock.now()
        connection.#up.send(chunk, () => {
          tap.moved(clock.now() > beganAt)
          done()
        })
      }

      override write(...args: unknown[]): boolean {
        tap.wrote(args[0] as Buffer)
        return (super.write as (...args: unknown[]) => boolean)(...args)
      }

      /** What was pushed counts as read once it is emitted: a reset before that loses it. */
      override emit(event: string | symbol, ...args: unknown[]): boolean {
        if (event === 'data') tap.read(args[0] as Buffer)
        return (super.emit as (...args: unknown[]) => boolean)(event, ...args)
      }

      override resume(): this {
        tap.resumed()
        return super.resume()
      }

      override end(...args: unknown[]): this {
        tap.ended()
        return (super.end as (...args: unknown[]) => this)(...args)
      }

      override _final(done: () => void): void {
        connection.#leave()
        done()
      }

      override _destroy(error: Error | null, done: (error: Error | null) => void): void {
        tap.closed(error === null ? 'client' : 'reset')
        connection.#leave()
        connection.over = true
        connection.#down.close()
        done(error)
      }
    })()
  }

  /** Sends bytes from the broker to the client. */
  send(bytes: Buffer): void {
    if (!this.over) this.#down.send(bytes, () => {})
  }

  /** The process of the client is suspended, or runs again: it reads nothing meanwhile. */
  hold(holds: boolean): void {
    if (!this.over) this.#down.hold(holds)
  }

  swallow(direction: Direction | 'both'): void {
    if (direction !== 'down') this.#up.swallows = true
    if (direction !== 'up') this.#down.swallows = true
  }

  breakAfter(direction: Direction, bytes: number): void {
    const pipe = direction === 'up' ? this.#up : this.#down
    pipe.bytesLeft = bytes
  }

  /** The broker closes, or the transport breaks. Only a reset loses what is under way. */
  end(how: Ending): void {
    if (this.over) return
    if (how === 'fin') {
      if (this.#finishing) return
      this.#finishing = true
      this.#finish()
      return
    }
    this.over = true
    const error = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
    this.client.destroy(error)
    this.broker?.ended()
    this.#up.close()
  }

  #finish(): void {
    if (this.over || this.#down.swallows) return
    if (!this.#down.empty) {
      this.#clock.setTimer(() => this.#finish(), 1)
      return
    }
    this.over = true
    this.client.push(null)
    this.broker?.ended()
  }

  /** The client closes; the broker notices when all has arrived, or never. */
  #leave(): void {
    const { broker } = this
    if (broker === null) return
    if (this.#up.swallows) return
    const { latencyMs } = this.#quality()
    const tell = () => {
      if (!this.#up.empty && !this.#up.swallows) this.#clock.setTimer(tell, 1)
      else broker.ended()
    }
    this.#clock.setTimer(tell, latencyMs + 1)
  }
}

export type Dialling = 'accept' | 'refuse' | 'hang'

export class Network {
  quality: LinkQuality = { latencyMs: 1, bytesPerMs: Number.POSITIVE_INFINITY, bufferBytes: 65_536 }
  dialling: Dialling = 'accept'
  /** Instants of the dials. */
  readonly dials: number[] = []
  latest: Connection | null = null
  readonly #clock: VirtualClock
  readonly #accept: (connection: Connection) => BrokerEnd

  constructor(clock: VirtualClock, accept: (connection: Connection) => BrokerEnd) {
    this.#clock = clock
    this.#accept = accept
  }

  async dial(tap: Tap, signal: AbortSignal): Promise<Duplex> {
    this.#clock.touch()
    this.dials.push(this.#clock.now())
    const { dialling, quality } = this
    if (dialling === 'hang') {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    }
    await new Promise<void>((resolve, reject) => {
      const timer = this.#clock.setTimer(resolve, quality.latencyMs * 2)
      const stop = () => {
        this.#clock.clearTimer(timer)
        reject(signal.reason)
      }
      signal.addEventListener('abort', stop, { once: true })
    })
    if (dialling === 'refuse') {
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    }
    const connection = new Connection(this.#clock, () => this.quality, tap)
    this.latest = connection
    connection.broker = this.#accept(connection)
    return connection.client
  }
}
