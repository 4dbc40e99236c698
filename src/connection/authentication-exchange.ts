/**
 * Enhanced authentication as a generator: it yields what we say, and is given what the server answers. (4.12)
 *
 *   async *exchange() {
 *     const challenge = yield first      // in CONNECT, or in AUTH 0x19
 *     const last = yield respond(challenge)  // in AUTH 0x18
 *     verify(last)                       // of CONNACK, or of AUTH 0x00; to throw is to refuse the server
 *   }
 */
import { ConnectionError, UsageError } from '../errors.ts'

import type {
  AuthenticationData,
  Authenticator,
  ExchangeContext,
  ExchangeSteps,
} from '../options/options.ts'

export class Exchange {
  readonly #steps: ExchangeSteps
  readonly #abort = new AbortController()

  constructor(
    authenticator: Authenticator,
    reason: ExchangeContext['reason'],
    data: Uint8Array | null,
  ) {
    const { signal } = this.#abort
    this.#steps = authenticator.exchange({ reason, data: asBuffer(data), signal })
    if (typeof (this.#steps as Partial<ExchangeSteps> | undefined)?.next !== 'function') {
      throw new UsageError(
        'authenticator.exchange: it must return an iterator, as a generator does',
      )
    }
  }

  /** Our first words. */
  async begin(): Promise<Buffer | null> {
    const { done, value } = await this.#steps.next()
    return done ? null : bytesOf(value as AuthenticationData)
  }

  async answer(data: Uint8Array | null): Promise<Buffer | null> {
    const { done, value } = await this.#steps.next(asBuffer(data))
    if (!done) return bytesOf(value as AuthenticationData)
    const message =
      'The server goes on with the authentication, and the authenticator has nothing more to say.'
    throw new ConnectionError(message, { code: 'AUTHENTICATION_FAILED', retryable: false })
  }

  /** The server is content; are we? */
  async judge(data: Uint8Array | null): Promise<null> {
    const { done } = await this.#steps.next(asBuffer(data))
    if (done) return null
    const message = 'The server has ended the authentication, and the authenticator has not.'
    throw new ConnectionError(message, { code: 'AUTHENTICATION_FAILED', retryable: false })
  }

  /** Nobody waits for it any more. */
  abandon(): void {
    this.#abort.abort()
    const closing = (async () => this.#steps.return?.())()
    closing.catch(() => {})
  }
}

/** Of Binary Data. */
const BYTES_MAX = 65_535

function asBuffer(data: Uint8Array | null): Buffer | undefined {
  return data === null ? undefined : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

function bytesOf(value: AuthenticationData): Buffer | null {
  if (value === undefined || value === null) return null
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  if (bytes.length > BYTES_MAX) {
    throw new UsageError(`authenticator: ${bytes.length} bytes, at most ${BYTES_MAX} fit (1.5.6)`)
  }
  if (bytes instanceof Uint8Array) return asBuffer(bytes)!
  throw new UsageError('authenticator: it must yield bytes, a string or nothing')
}
