/** The exchange that is under way on a connection, and who waits for its end. (4.12) */

import type { Authenticator } from '../options/options.ts'
import type { Effect, Input } from '../protocol/contract.ts'
import { Exchange } from './authentication-exchange.ts'

export interface AuthenticationListener {
  now(): number
  push(input: Input): void
  /** The authenticator threw, or does not trust the server. */
  unauthenticated(error: unknown): void
}

type Question = Extract<Effect, { type: 'authenticate' }>

export class Authentication {
  readonly #authenticator: Authenticator
  readonly #listener: AuthenticationListener
  #exchange: Exchange | null = null
  #waiting: ((error: unknown) => void)[] = []

  constructor(authenticator: Authenticator, listener: AuthenticationListener) {
    this.#authenticator = authenticator
    this.#listener = listener
  }

  /** The exchange that began before the CONNECT. */
  adopt(exchange: Exchange): void {
    this.#exchange = exchange
  }

  /** `settle` hears of the end of the exchange: of an error, or null. */
  wait(settle: (error: unknown) => void): void {
    this.#waiting.push(settle)
  }

  ask(question: Question): void {
    const answering = this.#answer(question)
    const exchange = this.#exchange
    answering.then(
      (answer) => {
        if (this.#exchange === exchange) this.#accepted(answer)
      },
      (error: unknown) => {
        if (this.#exchange !== exchange) return
        this.#tell(() => error)
        this.#listener.unauthenticated(error)
      },
    )
  }

  /** `data` is null if there is nothing to send, or if the authenticator accepts what the server sent last. */
  #accepted(data: Uint8Array | null): void {
    this.#listener.push({ type: 'authenticated', at: this.#listener.now(), data })
  }

  async #answer({ step, by, data }: Question): Promise<Buffer | null> {
    if (step !== 'begin') return this.#exchange![step](data)
    const reason = by === 'client' ? 'reauthenticate' : 'server'
    this.#exchange = new Exchange(this.#authenticator, reason, data)
    return this.#exchange.begin()
  }

  /** Both sides are content, or one of them is not. */
  ended(error: () => unknown): void {
    this.#exchange = null
    this.#tell(error)
  }

  /** The connection is gone. */
  abandon(reason: () => unknown): void {
    this.#exchange?.abandon()
    this.ended(reason)
  }

  #tell(error: () => unknown): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const settle of waiting) settle(error())
  }
}
