/** The calls of `ping` and controls that wait for the answer to their PINGREQ. */
import { ConnectionError } from '../errors.ts'
import type { Platform } from '../platform/machine.ts'

/** @param error null if the server answered. */
type Settle = (error: unknown, roundTripMs: number) => void

interface Ping {
  readonly settle: Settle
  readonly sentAt: number
  readonly timer: unknown
}

export class Pings {
  readonly #platform: Platform
  readonly #pings = new Map<number, Ping>()
  #lastId = 0

  constructor(platform: Platform) {
    this.#platform = platform
  }

  /**
   * Waits for the answer to a PINGREQ that is about to be sent, for at most `limitMs`.
   * @returns the id of the PINGREQ; the effect `pong` names it.
   */
  expect(limitMs: number, settle: Settle): number {
    this.#lastId++
    const id = this.#lastId
    const timer = this.#platform.setTimer(() => {
      this.#pings.delete(id)
      const message = `The server did not answer a PINGREQ within ${limitMs} ms.`
      settle(new ConnectionError(message, { code: 'PING_TIMEOUT' }), 0)
    }, limitMs)
    this.#pings.set(id, { settle, sentAt: this.#platform.now(), timer })
    return id
  }

  answered(id: number): void {
    const ping = this.#pings.get(id)
    if (ping !== undefined) this.#settle(id, ping, null)
  }

  /** Fails all calls that wait, because the connection that would bring the answers has ended. */
  fail(reason: () => unknown): void {
    for (const [id, ping] of this.#pings) this.#settle(id, ping, reason())
  }

  #settle(id: number, { settle, sentAt, timer }: Ping, error: unknown): void {
    this.#pings.delete(id)
    this.#platform.clearTimer(timer)
    settle(error, this.#platform.now() - sentAt)
  }
}
