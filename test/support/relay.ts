/**
 * A relay between a loop and a broker on this machine, which a test can count on, hold, spoil and
 * cut.
 *
 * `hold` is what makes killing a broker fair. mosquitto answers a packet first and saves it
 * afterwards, so a broker that is killed in between has promised what it forgot, and no client can
 * make up for that. While the relay is held, and once the broker's data is saved, everything that
 * reached a client is saved; what the broker sent since is lost on the way, as in a crash.
 *
 * A direction that has lost bytes of a connection never recovers: it stays silent until one side
 * gives the connection up.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * Which bytes pass. `noDownlink`: none from the broker; `noUplink`: none to the broker; `noLink`:
 * neither.
 */
export type RelayState =
  | 'open'
  | 'held'
  | 'trickle'
  | 'noDownlink'
  | 'noUplink'
  | 'noLink'
  | 'closed'

/** How a trickle passes: this many bytes together, this many milliseconds apart. */
const TRICKLE = { bytes: 40, ms: 5 }

interface Scope {
  onTestFinished(done: () => void): void
}

export class Relay {
  /** Connections accepted. */
  connections = 0
  readonly #server: Server
  readonly #directions = new Set<Direction>()
  #state: RelayState = 'open'

  private constructor(port: number) {
    this.#server = createServer((near) => {
      this.connections++
      if (this.#state === 'closed') {
        near.resetAndDestroy()
        return
      }
      const far = connect(port, '127.0.0.1')
      this.#join(near, far, 'up')
      this.#join(far, near, 'down')
    })
  }

  static async open({ onTestFinished }: Scope, port: number): Promise<Relay> {
    const relay = new Relay(port)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    onTestFinished(() => {
      relay.cut()
      relay.#server.close()
    })
    return relay
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  /** Applies to the connections that exist and to new ones. */
  set(state: RelayState): void {
    this.#state = state
    for (const direction of this.#directions) direction.set(state)
  }

  /** Nothing passes from now on, in either direction. */
  hold(): void {
    this.set('held')
  }

  /** Resets all connections; what was held is lost. New ones pass. */
  cut(): void {
    this.#state = 'open'
    for (const direction of this.#directions) direction.reset()
  }

  /** Ends all connections after `bytes` more, within a packet as likely as not. */
  endAfter(bytes: number): void {
    for (const direction of this.#directions) direction.endAfter(bytes)
  }

  #join(from: Socket, to: Socket, name: 'up' | 'down'): void {
    const direction = new Direction(from, to, name)
    this.#directions.add(direction)
    direction.set(this.#state)
    from.on('close', () => this.#directions.delete(direction))
  }
}

/** One direction of one connection. */
class Direction {
  readonly #from: Socket
  readonly #to: Socket
  readonly #name: 'up' | 'down'
  #loses = false
  #state: RelayState = 'open'
  #bytesLeft = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket, name: 'up' | 'down') {
    this.#from = from
    this.#to = to
    this.#name = name
    from.setNoDelay(true)
    from.on('data', (chunk) => this.#pass(chunk))
    to.on('drain', () => this.#go())
    from.on('end', () => {
      if (!this.#loses) to.end()
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      clearTimeout(this.#timer)
      to.destroy()
    })
  }

  set(state: RelayState): void {
    this.#state = state
    const own = { up: 'noUplink', down: 'noDownlink' }[this.#name]
    this.#loses ||= state === 'noLink' || state === own
    if (state === 'closed') this.reset()
    else if (state === 'held') this.#from.pause()
    else this.#go()
  }

  reset(): void {
    // Node 20 never closes a socket that is reset while its end is under way, and then cannot end
    // its process.
    if (this.#from.writableEnded) this.#from.destroy()
    else this.#from.resetAndDestroy()
  }

  endAfter(bytes: number): void {
    this.#bytesLeft = bytes
  }

  #go(): void {
    if (this.#state !== 'held') this.#from.resume()
  }

  #pass(chunk: Buffer): void {
    if (this.#loses) return
    const trickles = this.#state === 'trickle'
    const size = Math.min(chunk.length, this.#bytesLeft, trickles ? TRICKLE.bytes : chunk.length)
    const drained = this.#to.write(chunk.subarray(0, size))
    this.#bytesLeft -= size
    if (this.#bytesLeft === 0) {
      this.#to.end()
      this.#from.destroy()
      return
    }
    if (!drained) this.#from.pause()
    if (!trickles) return
    this.#from.pause()
    if (size < chunk.length) this.#from.unshift(chunk.subarray(size))
    this.#timer = setTimeout(() => this.#go(), TRICKLE.ms)
  }
}
