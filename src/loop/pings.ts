/** Who asked for a PINGREQ, until the server has answered it. */
import { ConnectionError } from '../errors.ts'
import type { Platform } from '../platform/runtime.ts'

interface Ping {
  /** Answers come in order: as many stand before and with this one. */
  unanswered: number
  settle(error: unknown): void
}

export class Pings {
  readonly #platform: Platform
  #pings: readonly Ping[] = []

  constructor(platform: Platform) {
    this.#platform = platform
  }

  expect(
    unanswered: number,
    limitMs: number,
    settle: (error: unknown, roundTripMs: number) => void,
  ): void {
    const sentAt = this.#platform.now()
    const timer = this.#platform.setTimer(() => {
      this.#pings = this.#pings.filter((other) => other !== ping)
      const message = `The server did not answer a PINGREQ within ${limitMs} ms.`
      settle(new ConnectionError(message, { code: 'PING_TIMEOUT' }), 0)
    }, limitMs)
    const ping: Ping = {
      unanswered,
      settle: (error) => {
        this.#platform.clearTimer(timer)
        settle(error, this.#platform.now() - sentAt)
      },
    }
    this.#pings = [...this.#pings, ping]
  }

  answered(): void {
    if (this.#pings.length === 0) return
    for (const ping of this.#pings) ping.unanswered--
    const answered = this.#pings.filter(({ unanswered }) => unanswered <= 0)
    this.#pings = this.#pings.filter(({ unanswered }) => unanswered > 0)
    for (const ping of answered) ping.settle(null)
  }

  fail(reason: () => unknown): void {
    const pings = this.#pings
    this.#pings = []
    for (const ping of pings) ping.settle(reason())
  }
}
