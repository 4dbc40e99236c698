/**
 * Which options does enhanced authentication have? (4.12)
 */
import type { Bytes } from '#bytes'

/** Authentication Data to send. Text is sent as UTF-8; undefined or null sends none. */
export type AuthenticationData = Uint8Array | string | undefined | null

/** An authenticator is given this when an exchange begins. */
export interface ExchangeContext {
  /**
   * The cause of the exchange: `connect`, before each connection; `reauthenticate`, the control of
   * that name; `server`, the server itself.
   */
  readonly reason: 'connect' | 'reauthenticate' | 'server'
  /** The data with which the server began, or undefined if it did not begin or sent none. */
  readonly data: Bytes | undefined
  /** This signal is aborted when the exchange is no longer needed. */
  readonly signal: AbortSignal
}

/** A generator that yields the data to send and receives the data of the server. */
export type ExchangeSteps =
  | Iterator<AuthenticationData, unknown, Bytes | undefined>
  | AsyncIterator<AuthenticationData, unknown, Bytes | undefined>

/**
 * Enhanced authentication. (4.12) For example:
 *
 *   async *exchange() {
 *     const challenge = yield first          // is sent in CONNECT, or in AUTH 0x19
 *     const last = yield respond(challenge)  // is sent in AUTH 0x18
 *     verify(last)                           // came in CONNACK, or in AUTH 0x00
 *   }
 */
export interface Authenticator {
  /** The Authentication Method, such as `SCRAM-SHA-256`. [MQTT-4.12.0-5] */
  readonly method: string
  /**
   * Begins an exchange: for each connection, and for each re-authentication. If it throws, the
   * connection ends, and so does the loop unless the error has `retryable: true`.
   */
  exchange(context: ExchangeContext): ExchangeSteps
  /**
   * Whether to answer a server that begins an exchange by itself, with AUTH 0x18 on a connection.
   * The standard leaves re-authentication to clients. Default false.
   */
  readonly serverMayStart?: boolean | undefined
}
