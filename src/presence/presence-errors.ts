/**
 * Which errors does presence make of its own?
 */
import type { ClientHost } from '../client/index.ts'
import { ConnectionError, RefusedError, UsageError } from '../index.ts'
import type { Member } from './presence-types.ts'

/** @returns the error of `get()` without a connection; it has the members as last known. */
export function notSynced(space: string, members: readonly Member[]): ConnectionError {
  const what = `presence of ${space}: there is no connection, so that nobody knows who is there`
  const error = new ConnectionError(`${what}; error.members has who was there before`, {
    code: 'NOT_SYNCED',
    retryable: true,
  })
  return Object.assign(error, { members })
}

/** @returns the error of a sync whose SUBSCRIBE the server does not answer. */
export function syncOverdue(space: string): ConnectionError {
  const what = `presence of ${space}: the server has not answered a SUBSCRIBE for two minutes`
  return new ConnectionError(`${what}; it is sent again`, { code: 'TIMEOUT', retryable: true })
}

/** @returns the error of a call after the end of a presence. */
export function presenceEnded(what: string): UsageError {
  return new UsageError(`${what}: this presence was closed; make another one`, { code: 'ENDED' })
}

/** @returns the error of a promise that was not settled when the presence was closed. */
export function endedMeanwhile(what: string, cause: unknown): ConnectionError {
  const why = cause === null ? 'it was closed' : `the client ended: ${(cause as Error).message}`
  return new ConnectionError(`${what}: ${why}`, {
    code: 'ENDED',
    retryable: false,
    ...(cause === null ? {} : { cause }),
  })
}

/** @returns the error of who enters by a client that cannot say when it is lost. */
export function notPrepared(): UsageError {
  const message =
    'presence: this client cannot enter, since a server is told with CONNECT what to say of a' +
    ' lost client; make it with createClient(withPresence(options))'
  return new UsageError(message)
}

/** @returns the error of a server that keeps no messages. */
export function keepsNothing(): UsageError {
  const message = 'presence: the server keeps no retained messages, which presence is made of'
  return new UsageError(message, { code: 'RETAIN_NOT_SUPPORTED' })
}

/** The reason code that says: the client has too much of something now. */
const QUOTA_CODE = 0x97

/** Whether the server has refused something that it may take later. */
export function isQuotaExceeded(error: unknown): boolean {
  return error instanceof RefusedError && error.reasonCode === QUOTA_CODE
}

/**
 * @returns the error of who watches a space and may not read what is needed for it; any other error
 *   as it is.
 */
export function watchRefused(space: string, prefix: string, error: unknown): unknown {
  if (!(error instanceof RefusedError) || error.refused.length === 0) return error
  const { reasonCode, refused, granted, packet, retryable } = error
  const message =
    `presence of ${space}: nobody knows who is there, since the server refuses this client the` +
    ` subscription of "${refused[0]!.topic}" (${reasonHex(reasonCode)}), which get(), synced and` +
    ` changes() read; ${remedyOf(error, prefix)}`
  return new RefusedError(message, {
    ...{ code: 'SUBSCRIBE_REFUSED', retryable, reasonCode, refused, granted, packet, cause: error },
  })
}

/** Reports that a client cannot read its own record, if it is refused. */
export function tellUnread(host: ClientHost, topic: string, prefix: string, error: unknown): void {
  if (!host.isOpen || !(error instanceof RefusedError)) return
  const message =
    `presence: the server refuses this client the subscription of "${topic}"` +
    ` (${reasonHex(error.reasonCode)}), which says what others are told of it: if it is taken for` +
    ` lost by mistake, it stays so until it connects again; ${remedyOf(error, prefix)}`
  host.warn('PRESENCE_REFUSED', message)
}

function remedyOf(error: unknown, prefix: string): string {
  if (isQuotaExceeded(error)) return 'let it have more subscriptions at the server'
  return `permit it at the server to subscribe to "${prefix}/#"`
}

function reasonHex(code: number): string {
  return `0x${code.toString(16).toUpperCase().padStart(2, '0')}`
}
