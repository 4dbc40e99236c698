/**
 * Which errors does a client make of its own?
 */
import { ConnectionError, RefusedError, UsageError } from '../index.ts'

/** @returns the error of a call after `close()`, or after the end of the client. */
export function calledAfterEnd(what: string): UsageError {
  const message = `${what}: the client has ended; create another one.`
  return new UsageError(message, { code: 'ENDED' })
}

/**
 * @param held whether the session still has the request.
 * @param cause the error that ended the client, or null.
 * @returns the error of a promise that was not settled when the client ended.
 */
export function endedUnder(what: string, held: boolean, cause: unknown): ConnectionError {
  const kept = held ? 'the session has it, and its next client sends it' : 'it never left'
  const why = cause === null ? '' : `: ${(cause as Error).message ?? cause}`
  const error = new ConnectionError(`${what}: the client ended before (${kept})${why}`, {
    code: 'ENDED',
    retryable: !held,
    ...(cause === null ? {} : { cause }),
  })
  return Object.assign(error, { held })
}

/** @returns the error of a promise of a subscription that has ended. */
export function subscriptionEnded(): ConnectionError {
  const message = 'The subscription ended before.'
  return new ConnectionError(message, { code: 'ENDED', retryable: false })
}

/** @returns the error of a wait that was too long. */
export function timedOut(what: string, ms: number): ConnectionError {
  return new ConnectionError(`${what}: nothing came within ${ms} ms`, { code: 'TIMEOUT' })
}

/**
 * @returns the error of a subscription that the server does not grant. (M11, a refusal ends only
 * its own subscription)
 */
export function subscribeRefused(cause: unknown, filters: readonly string[]): unknown {
  if (!(cause instanceof RefusedError)) return cause
  const [first] = cause.refused
  const filter = first?.topic ?? filters.join(', ')
  const code = `0x${cause.reasonCode.toString(16).toUpperCase().padStart(2, '0')}`
  const remedy =
    cause.reasonCode === SHARED_NOT_SUPPORTED
      ? 'it has no shared subscriptions; leave out `share`'
      : 'see the permissions of the client at the server'
  const message = `subscribe: the server refuses the filter "${filter}" (${code}); ${remedy}`
  return new RefusedError(message, {
    code: 'SUBSCRIBE_REFUSED',
    reasonCode: cause.reasonCode,
    refused: cause.refused,
    granted: cause.granted,
    packet: cause.packet,
    cause,
  })
}

const SHARED_NOT_SUPPORTED = 0x9e

export function renewalRefused(filter: string, reasonCode: number): RefusedError {
  return new RefusedError(`"${filter}" was not renewed`, {
    code: 'NEGATIVE_ACKNOWLEDGEMENT',
    reasonCode,
    refused: [{ topic: filter, reasonCode }],
  })
}
