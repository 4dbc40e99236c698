/**
 * Between the errors of the world and the failures of the reducers, both ways.
 *
 * A reducer cannot hold an Error, so what was thrown is kept here under a number and comes back as the `cause`.
 */
import {
  BugError,
  ConnectionError,
  MqttError,
  ProtocolError,
  RefusedError,
  StorageError,
  UsageError,
} from '../errors.ts'
import type { Failure } from '../protocol/contract.ts'

/** OpenSSL's words for a certificate that will not do, now or ever; CERT_NOT_YET_VALID is one that time may cure. */
const CERTIFICATE =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/
/** Nobody can be asked there: a name that is not known, an address or option that makes no sense. */
const HOPELESS: ReadonlySet<string> = new Set([
  'ENOTFOUND',
  'EACCES',
  'ERR_SOCKET_BAD_PORT',
  'ERR_INVALID_ARG_VALUE',
  'ERR_INVALID_ARG_TYPE',
])

/** The road could not be opened. `where`: the endpoint, without its password. */
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

/** The connection ended without a word of MQTT. */
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

/** The authenticator could not go on, or did not trust the server. */
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

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ')
  }
  return error instanceof Error ? error.message : String(error)
}

/** Keeps what was thrown until a failure that names it becomes an error. */
export class Causes {
  #causes: Map<number, unknown> | null = null
  #next = 1
  /** Of lost connections, oldest first. */
  #recent: number[] | null = null

  /** Until it is asked for. */
  keep(cause: unknown): number {
    this.#causes ??= new Map()
    this.#causes.set(this.#next, cause)
    return this.#next++
  }

  /** Of a lost connection: nobody may ever ask, so only the latest few are kept. */
  keepRecent(cause: unknown): number {
    this.#recent ??= []
    if (this.#recent.length === RECENT_CAUSES) this.#causes?.delete(this.#recent.shift()!)
    const kept = this.keep(cause)
    this.#recent.push(kept)
    return kept
  }

  /** The error of a failure. Where the failure only carries what the user threw, that itself. */
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

const RECENT_CAUSES = 16

/** The code of a failure that only carries what somebody else threw. */
export const RETHROWN = 'RETHROWN'

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

export function closedError(): ConnectionError {
  return new ConnectionError('The loop has ended.', { code: 'CLOSED', retryable: false })
}
