/**
 * Which authentication exchange is under way on a connection, and who waits for its end? (4.12)
 */

import type { Bytes } from '#bytes'
import type { Authenticator } from '../options/authenticator-options.ts'
import type { Effect, Input } from '../protocol/contract.ts'
import { AuthenticatorExchange } from './authenticator-exchange.ts'

export interface AuthenticationListener {
  now(): number
  push(input: Input): void
  /** The authenticator threw, or it rejects what the server sent. */
  unauthenticated(error: unknown): void
}

/** What the reducers ask of the authenticator. */
type Question = Extract<Effect, { type: 'authenticate' }>

export class ConnectionAuthenticator {
  readonly #authenticator: Authenticator
  readonly #listener: AuthenticationListener
  #exchange: AuthenticatorExchange | null = null
  #waiting: ((error: unknown) => void)[] = []

  constructor(authenticator: Authenticator, listener: AuthenticationListener) {
    this.#authenticator = authenticator
    this.#listener = listener
  }

  /** Takes over an exchange that began before the CONNECT. */
  adopt(exchange: AuthenticatorExchange): void {
    this.#exchange = exchange
  }

  /** Calls `settle` when the exchange ends, with an error or with null. */
  wait(settle: (error: unknown) => void): void {
    this.#waiting.push(settle)
  }

  /** Passes a question on and pushes the answer as an input. */
  ask(question: Question): void {
    const answering = this.#answer(question)
    const exchange = this.#exchange
    answering.then(
      (answer) => {
        if (this.#exchange === exchange) this.#accepted(answer)
      },
      (error: unknown) => {
        if (this.#exchange !== exchange) return
        this.#settleAll(() => error)
        this.#listener.unauthenticated(error)
      },
    )
  }

  /**
   * @param data null if there is nothing to send, or if the authenticator accepts what the server
   * sent last.
   */
  #accepted(data: Uint8Array | null): void {
    this.#listener.push({ type: 'authenticated', at: this.#listener.now(), data })
  }

  async #answer({ step, by, data }: Question): Promise<Bytes | null> {
    if (step !== 'begin') return this.#exchange![step](data)
    const reason = by === 'client' ? 'reauthenticate' : 'server'
    this.#exchange = new AuthenticatorExchange(this.#authenticator, reason, data)
    return this.#exchange.begin()
  }

  /** Notes that the exchange is over; `error` returns null if it succeeded. */
  ended(error: () => unknown): void {
    this.#exchange = null
    this.#settleAll(error)
  }

  /** Gives the exchange up, because the connection was lost. */
  abandon(reason: () => unknown): void {
    this.#exchange?.abandon()
    this.ended(reason)
  }

  #settleAll(error: () => unknown): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const settle of waiting) settle(error())
  }
}
