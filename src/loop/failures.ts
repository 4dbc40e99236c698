/**
 * Turns errors into the plain failures that the reducers work with, and failures into errors.
 *
 * The state of the reducers is plain data and holds no Error. So an error is kept here under a
 * number. When a failure that holds this number becomes an error itself, the kept error is its
 * `cause`.
 */
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
  'ERR_SOCKET_BAD_PORT',
  'ERR_INVALID_ARG_VALUE',
  'ERR_INVALID_ARG_TYPE',
])

/**
 * @returns the failure for a transport that could not be opened. `where` is the endpoint without
 *   its password.
 */
export function dialFailure(error: unknown, where: string): Omit<Failure, 'cause'> {
  const code = codeOf(error) ?? 'CONNECT_FAILED'
  const certificate = CERTIFICATE.test(code)
  const message = certificate
    ? `The certificate of ${where} was refused: ${messageOf(error)}.`
    : `No connection to ${where}: ${messageOf(error)}.`
  const curable = !certificate && !HOPELESS.has(code)
  const retryable = error instanceof MqttError ? error.retryable : curable
  return { phase: 'dial', source: 'connection', code, retryable, message }
}

/** @returns the failure for a transport that closed although no DISCONNECT was sent. */
export function lossFailure(
  error: unknown,
  phase: 'handshake' | 'connected',
  where: string,
): Omit<Failure, 'cause'> {
  const before = phase === 'handshake' ? ' before the CONNACK' : ''
  const code = codeOf(error) ?? 'CONNECTION_CLOSED'
  const message =
    error === null
      ? `${where} closed the connection${before}.`
      : `The connection to ${where} was lost${before}: ${messageOf(error)}.`
  return { phase, source: 'connection', code, retryable: true, message }
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
  const { reasonCode = 0, clause = '', packet } = failure
  switch (failure.source) {
    case 'usage':
      return new UsageError(message, details)
    case 'protocol':
      return new ProtocolError(message, { ...details, reasonCode, clause })
    case 'refused':
      return new RefusedError(message, { ...details, reasonCode, packet })
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
