/**
 * Turns errors into the plain failures that the reducers work with, and failures into errors.
 *
 * The state of the reducers is plain data and holds no Error. So an error is kept here under a
 * number. When a failure that holds this number becomes an error itself, the kept error is its
 * `cause`.
 */

import { isCertificateAlert, isOwnTlsFault, tlsWords } from '#transport'
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

/** OpenSSL's codes for a certificate that cannot be accepted. */
const CERTIFICATE =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/
/**
 * Node's codes for an address that cannot be reached by trying again: an unknown name, a port or
 * option that is invalid.
 */
const HOPELESS: ReadonlySet<string> = new Set([
  'ENOTFOUND',
  'EACCES',
  'ERR_ACCESS_DENIED',
  'ERR_SOCKET_BAD_PORT',
  'ERR_INVALID_ARG_VALUE',
  'ERR_INVALID_ARG_TYPE',
])

/** Codes of OpenSSL and Node for TLS settings that cannot work, whatever the server is. */
const TLS_SETTINGS = /^ERR_(?:OSSL_|TLS_INVALID_|TLS_PROTOCOL_VERSION_CONFLICT)/

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
  const words = wordsOf(error, code, to)
  const message = CERTIFICATE.test(code)
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
  if (TLS_SETTINGS.test(code) || isOwnTlsFault(code)) {
    return { ...base, source: 'usage', code: 'USAGE', retryable: false }
  }
  const hopeless =
    CERTIFICATE.test(code) ||
    HOPELESS.has(code) ||
    // Deno was started without the permission; the message names the flag.
    (error instanceof Error && error.name === 'NotCapable') ||
    isCertificateAlert(messageOf(error))
  const retryable = error instanceof MqttError ? error.retryable : !hopeless
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
  const hint = own && phase === 'handshake' && WITHOUT_TLS.test(where) ? MAYBE_TLS : ''
  const message =
    error === null
      ? `${where} closed the connection${before}${hint}.`
      : `The connection to ${where} was lost${before}: ${wordsOf(error, code, to)}${hint}.`
  // In TLS 1.3 the server refuses the certificate of the client only after the transport is open.
  const retryable = phase === 'connected' || !isCertificateAlert(messageOf(error))
  return { phase, source: 'connection', code, retryable, message }
}

/** A server that knows the protocol says why it closes, unless the port is one with TLS. */
const WITHOUT_TLS = /^(?:mqtt|tcp):/
const MAYBE_TLS = '; the port may be one with TLS (mqtts:), or not be one of MQTT'

/** What some errors of Node mean in our own transports, by scheme, stage, code and text. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [
    /before secure TLS connection was established|^\S+ tls (?:ECONNRESET|EPIPE)/,
    'the server closed during the TLS handshake; the port may be one without TLS (mqtt: or ws:)',
  ],
  [
    /^wss: upgrade (?:ECONNRESET|EPIPE)/,
    'the server closed during the WebSocket upgrade; the port may be one without WebSocket' +
      ' (mqtts:)',
  ],
  [
    /socket hang up|^\S+ upgrade (?:ECONNRESET|EPIPE)/,
    'the server closed during the WebSocket upgrade; the port may be one with TLS (wss:), or' +
      ' without WebSocket (mqtt:)',
  ],
  [/ HPE_/, 'what answered is not HTTP; without WebSocket use mqtt: (with TLS mqtts:)'],
]

/** @returns the text of an error in plain words, without the full stop. */
function wordsOf(error: unknown, code: string, { where, own, stage }: Destination): string {
  const text = messageOf(error)
  const seen = `${where.replace(/:.*$/s, ':')} ${stage} ${code} ${text}`
  const known = own ? WORDS.find(([means]) => means.test(seen)) : undefined
  return known?.[1] ?? tlsWords(code, text) ?? text.trim().replace(/\.$/, '')
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
