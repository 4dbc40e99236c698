/**
 * A road between a loop and a broker on this machine, that a test can count on, hold and cut.
 *
 * `hold` is what makes the death of a broker fair. mosquitto answers a packet first and saves it afterwards, so a broker that is
 * killed in between has promised what it forgot, and no client can make up for that. With the road held, and the broker's data
 * saved after that, whatever reached a client is saved; what the broker said since is lost on the way, as in a crash.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'vitest'

export class Relay {
  /** Connections accepted. */
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #held = false

  private constructor(port: number) {
    this.#server = createServer((near) => {
      this.connections++
      const far = connect(port, '127.0.0.1')
      this.#join(near, far)
      this.#join(far, near)
    })
  }

  static async open({ onTestFinished }: TestContext, port: number): Promise<Relay> {
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

  /** From now on nothing passes, either way. */
  hold(): void {
    this.#held = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** Resets all connections; what was held is lost. New ones pass. */
  cut(): void {
    this.#held = false
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    if (this.#held) from.pause()
    from.setNoDelay(true)
    from.on('data', (chunk) => {
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => {
      if (!this.#held) from.resume()
    })
    from.on('end', () => to.end())
    from.on('error', () => to.destroy())
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
  }
}
