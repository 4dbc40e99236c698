/**
 * Turns errors into the plain failures that the reducers work with, and failures into errors.
 *
 * The state of the reducers is plain data and holds no Error. So an error is kept here under a
 * number. When a failure that holds this number becomes an error itself, the kept error is its
 * `cause`.
 */

import { meaningOf } from '#transport'
import {
  BugError,
  ConnectionError,
  MqttError,
  messageOf,
  ProtocolError,
  RefusedError,
  StorageError,
  UsageError,
} from '../errors.ts'
import type { AttemptStage } from '../protocol/contract.ts'
import type { Failure } from '../protocol/facts.ts'

/** Where a transport led to, or was to lead to. */
export interface Destination {
  /** The endpoint without its password. */
  readonly where: string
  /** Whether this package opened the transport, and not the user. */
  readonly own: boolean
  /** What the opening was waiting for; null if it is over. */
  readonly stage: AttemptStage | null
}

/** @returns the failure for a transport that could not be opened. */
export function dialFailure(error: unknown, to: Destination): Omit<Failure, 'cause'> {
  const { where } = to
  const code = codeOf(error) ?? 'CONNECT_FAILED'
  const meaning = meaningOf(code, messageOf(error), situationOf(to))
  const words = meaning.words ?? shortText(error)
  const message = meaning.isBadCertificate
    ? `The certificate of ${where} was refused: ${words}.`
    : `No connection to ${where}: ${words}.`
  const base = { phase: 'dial', code, message } as const
  if (error instanceof RefusedError) {
    const { retryable, reasonCode, statusCode, retryAfterMs } = error
    return {
      ...{ ...base, source: 'refused', retryable },
      ...(reasonCode === 0 ? {} : { reasonCode }),
      ...(statusCode === undefined ? {} : { statusCode }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }
  }
  if (error instanceof UsageError) return { ...base, source: 'usage', retryable: false }
  if (meaning.isBadSetting) return { ...base, source: 'usage', code: 'USAGE', retryable: false }
  // Deno was started without the permission; the message names the flag.
  const isForbidden = error instanceof Error && error.name === 'NotCapable'
  const isHopeless = meaning.isHopeless || isForbidden
  const retryable = error instanceof MqttError ? error.retryable : !isHopeless
  return { ...base, source: 'connection', retryable }
}

/** @returns the failure for a transport that closed although no DISCONNECT was sent. */
export function lossFailure(
  error: unknown,
  phase: 'handshake' | 'connected',
  to: Destination,
): Omit<Failure, 'cause'> {
  const { where, own } = to
  const before = phase === 'handshake' ? ' before the CONNACK' : ''
  const code = codeOf(error) ?? 'CONNECTION_CLOSED'
  const meaning = meaningOf(code, messageOf(error), situationOf(to))
  const hint = own && phase === 'handshake' && WITHOUT_TLS.test(where) ? MAYBE_TLS : ''
  const message =
    error === null
      ? `${where} closed the connection${before}${hint}.`
      : `The connection to ${where} was lost${before}: ${meaning.words ?? shortText(error)}${hint}.`
  // In TLS 1.3 the server refuses the certificate of the client only after the transport is open.
  const retryable = phase === 'connected' || !meaning.isRefusedCertificate
  return { phase, source: 'connection', code, retryable, message }
}

/** A server that knows the protocol says why it closes, unless the port is one with TLS. */
const WITHOUT_TLS = /^(?:mqtt|tcp):/
const MAYBE_TLS = '; the port may be one with TLS (mqtts:), or not be one of MQTT'

/** @returns what our own transport was doing; null if the transport is the user's. */
function situationOf({ where, own, stage }: Destination): string | null {
  return own ? `${where.replace(/:.*$/s, ':')} ${stage}` : null
}

/** @returns the text of an error without its full stop. */
function shortText(error: unknown): string {
  return messageOf(error).trim().replace(/\.$/, '')
}

/** @returns the failure for an authenticator that threw, or did not trust the server. */
export function authenticationFailure(
  error: unknown,
  phase: 'handshake' | 'connected',
): Omit<Failure, 'cause'> {
  const retryable = (error as { retryable?: unknown } | null)?.retryable === true
  const message = `The authentication failed: ${messageOf(error)}.`
  return { phase, source: 'connection', code: 'AUTHENTICATION_FAILED', retryable, message }
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/** Keeps errors until a failure that names one of them becomes an error itself. */
export class Causes {
  #causes: Map<number, unknown> | null = null
  #next = 1
  /** Numbers of errors of lost connections, oldest first. */
  #recent: number[] | null = null

  /** Keeps an error until `errorOf` asks for it. @returns its number. */
  keep(cause: unknown): number {
    this.#causes ??= new Map()
    this.#causes.set(this.#next, cause)
    return this.#next++
  }

  /**
   * Keeps an error of a lost connection. It may never be asked for, so only the latest few are
   * kept.
   */
  keepRecent(cause: unknown): number {
    this.#recent ??= []
    if (this.#recent.length === RECENT_CAUSES) this.#causes?.delete(this.#recent.shift()!)
    hideCertificate(cause)
    const kept = this.keep(cause)
    this.#recent.push(kept)
    return kept
  }

  /**
   * @returns the error that is made from a failure. If the failure only stands for an error of the
   *   user's code, it is that error.
   */
  errorOf(failure: Failure): unknown {
    const { code, message, retryable } = failure
    const cause = failure.cause === undefined ? undefined : this.#causes?.get(failure.cause)
    if (code === RETHROWN || code === 'CANCELLED') {
      this.#causes?.delete(failure.cause!)
      return cause
    }
    const details = { code, retryable, ...(cause === undefined ? {} : { cause }) }
    return makeError(failure, message, details)
  }
}

/**
 * Node's errors about a certificate have it as `cert`, which makes a hundred lines where the error
 * is printed. It stays there, and is not enumerable any more.
 */
function hideCertificate(cause: unknown): void {
  if (!(cause instanceof Error) || !Object.hasOwn(cause, 'cert')) return
  const { cert } = cause as { readonly cert?: unknown }
  if (Object.isExtensible(cause))
    Object.defineProperty(cause, 'cert', { value: cert, enumerable: false })
}

/** How many errors of lost connections are kept. */
const RECENT_CAUSES = 16

/** The code of a failure that only stands for an error of the user's code. */
const RETHROWN = 'RETHROWN'

/**
 * @returns the failure that stands for an error of the user's code. `cause` is the number of the
 *   error.
 */
export function rethrown(cause: number): Failure {
  return {
    phase: 'request',
    source: 'usage',
    code: RETHROWN,
    retryable: false,
    message: 'The loop was ended from outside.',
    cause,
  }
}

function makeError(
  failure: Failure,
  message: string,
  details: { code: string; retryable: boolean; cause?: unknown },
): MqttError {
  const { reasonCode = 0, clause = '', packet, statusCode, retryAfterMs } = failure
  switch (failure.source) {
    case 'usage':
      return new UsageError(message, details)
    case 'protocol':
      return new ProtocolError(message, { ...details, reasonCode, clause })
    case 'refused':
      return new RefusedError(message, {
        ...{ ...details, reasonCode, packet },
        ...(statusCode === undefined ? {} : { statusCode }),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      })
    case 'connection':
      return new ConnectionError(message, details)
    case 'storage':
      return new StorageError(message, details)
    case 'bug':
      return new BugError(message, details)
  }
}

/** @returns the error with which calls reject that still wait when the loop ends. */
export function closedError(): ConnectionError {
  return new ConnectionError('The loop has ended.', { code: 'CLOSED', retryable: false })
}
