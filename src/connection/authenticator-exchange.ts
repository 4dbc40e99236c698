/**
 * How does enhanced authentication run? As a generator of the user: it yields what we send and is
 * given what the server answers. (4.12)
 *
 *   async *exchange() {
 *     const challenge = yield first          // sent in CONNECT, or in AUTH 0x19
 *     const last = yield respond(challenge)  // sent in AUTH 0x18
 *     verify(last)                           // came in CONNACK or AUTH 0x00; throws to refuse it
 *   }
 */

import { asBytes, type Bytes, isBytes, utf8Bytes } from '#bytes'
import { ConnectionError, UsageError } from '../errors.ts'
import type {
  AuthenticationData,
  Authenticator,
  ExchangeContext,
  ExchangeSteps,
} from '../options/authenticator-options.ts'
import { STRING_BYTES_MAX } from '../protocol/sizes.ts'

/** One exchange: the steps of the user's generator, one after the other. */
export class AuthenticatorExchange {
  readonly #steps: ExchangeSteps
  readonly #abort = new AbortController()

  constructor(
    authenticator: Authenticator,
    reason: ExchangeContext['reason'],
    data: Uint8Array | null,
  ) {
    const { signal } = this.#abort
    this.#steps = authenticator.exchange({ reason, data: givenBytes(data), signal })
    if (typeof (this.#steps as Partial<ExchangeSteps> | undefined)?.next !== 'function') {
      throw new UsageError(
        'authenticator.exchange: it must return an iterator, as a generator does',
      )
    }
  }

  /** @returns the first data that we send, or null for none. */
  async begin(): Promise<Bytes | null> {
    const { done, value } = await this.#steps.next()
    return done ? null : yieldedBytes(value as AuthenticationData)
  }

  /** @returns our answer to the data of the server, or null for none. */
  async answer(data: Uint8Array | null): Promise<Bytes | null> {
    const { done, value } = await this.#steps.next(givenBytes(data))
    if (!done) return yieldedBytes(value as AuthenticationData)
    const message = 'the server continues the authentication, but the authenticator has ended it'
    throw new ConnectionError(message, { code: 'AUTHENTICATION_FAILED', retryable: false })
  }

  /**
   * Passes on the data with which the server ended the exchange, and rejects if it is not accepted.
   */
  async verify(data: Uint8Array | null): Promise<null> {
    const { done } = await this.#steps.next(givenBytes(data))
    if (done) return null
    const message = 'the server has ended the authentication, but the authenticator has not'
    throw new ConnectionError(message, { code: 'AUTHENTICATION_FAILED', retryable: false })
  }

  /** Gives the exchange up. */
  abandon(): void {
    this.#abort.abort()
    const closing = (async () => this.#steps.return?.())()
    closing.catch(() => {})
  }
}

/** @returns data as it is given to the user's generator. */
function givenBytes(data: Uint8Array | null): Bytes | undefined {
  return data === null ? undefined : asBytes(data)
}

/** @returns what the generator yielded as bytes to send, or null for none. */
function yieldedBytes(value: AuthenticationData): Bytes | null {
  if (value === undefined || value === null) return null
  const bytes = typeof value === 'string' ? utf8Bytes(value) : value
  if (bytes.length > STRING_BYTES_MAX) {
    const problem = `${bytes.length} bytes are too many, ${STRING_BYTES_MAX} are allowed (1.5.6)`
    throw new UsageError(`authenticator: ${problem}`)
  }
  if (isBytes(bytes)) return asBytes(bytes)
  throw new UsageError('authenticator: it must yield bytes, a string or nothing')
}
