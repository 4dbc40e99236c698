/**
 * A road between a loop and a broker on this machine, that a test can count on, hold, spoil and cut.
 *
 * `hold` is what makes the death of a broker fair. mosquitto answers a packet first and saves it afterwards, so a broker that is
 * killed in between has promised what it forgot, and no client can make up for that. With the road held, and the broker's data
 * saved after that, whatever reached a client is saved; what the broker said since is lost on the way, as in a crash.
 *
 * A road that has swallowed bytes of a connection never gives them back: for that connection it stays a hole, and only whoever
 * is tired of waiting ends it.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** What passes, and how. `mute`: nothing comes from the broker any more; `deaf`: nothing reaches it; `hole`: both. */
export type Road = 'open' | 'held' | 'trickle' | 'mute' | 'deaf' | 'hole' | 'closed'

/** Of a trickle: as many bytes at once, as many milliseconds apart. */
const TRICKLE = { bytes: 40, ms: 5 }

interface Scope {
  onTestFinished(done: () => void): void
}

export class Relay {
  /** Connections accepted. */
  connections = 0
  readonly #server: Server
  readonly #lanes = new Set<Lane>()
  #road: Road = 'open'

  private constructor(port: number) {
    this.#server = createServer((near) => {
      this.connections++
      if (this.#road === 'closed') {
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

  /** From now on, for the connections there are and for new ones. */
  set(road: Road): void {
    this.#road = road
    for (const lane of this.#lanes) lane.set(road)
  }

  /** From now on nothing passes, either way. */
  hold(): void {
    this.set('held')
  }

  /** Resets all connections; what was held is lost. New ones pass. */
  cut(): void {
    this.#road = 'open'
    for (const lane of this.#lanes) lane.reset()
  }

  /** Ends all connections after `bytes` more, within a packet as likely as not. */
  endAfter(bytes: number): void {
    for (const lane of this.#lanes) lane.endAfter(bytes)
  }

  #join(from: Socket, to: Socket, direction: 'up' | 'down'): void {
    const lane = new Lane(from, to, direction)
    this.#lanes.add(lane)
    lane.set(this.#road)
    from.on('close', () => this.#lanes.delete(lane))
  }
}

/** One direction of one connection. */
class Lane {
  readonly #from: Socket
  readonly #to: Socket
  readonly #direction: 'up' | 'down'
  #swallows = false
  #road: Road = 'open'
  #bytesLeft = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket, direction: 'up' | 'down') {
    this.#from = from
    this.#to = to
    this.#direction = direction
    from.setNoDelay(true)
    from.on('data', (chunk) => this.#pass(chunk))
    to.on('drain', () => this.#go())
    from.on('end', () => {
      if (!this.#swallows) to.end()
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      clearTimeout(this.#timer)
      to.destroy()
    })
  }

  set(road: Road): void {
    this.#road = road
    const swallowed = { up: 'deaf', down: 'mute' }[this.#direction]
    this.#swallows ||= road === 'hole' || road === swallowed
    if (road === 'closed') this.reset()
    else if (road === 'held') this.#from.pause()
    else this.#go()
  }

  reset(): void {
    // Node 20 never closes a socket that is reset while its end is under way, and then cannot end its process.
    if (this.#from.writableEnded) this.#from.destroy()
    else this.#from.resetAndDestroy()
  }

  endAfter(bytes: number): void {
    this.#bytesLeft = bytes
  }

  #go(): void {
    if (this.#road !== 'held') this.#from.resume()
  }

  #pass(chunk: Buffer): void {
    if (this.#swallows) return
    const trickles = this.#road === 'trickle'
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
