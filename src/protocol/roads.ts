/**
 * After an attempt failed or a connection ended: is there another road, to be tried at once? (T4, T6)
 *
 * A round begins at the primary and goes through the other servers of the list in random order; the wait is between rounds.
 */
import type { Failure } from './contract.ts'
import type { Draft } from './draft.ts'

/** Redirects that are followed in a row: beyond it servers send us around in a circle. */
const REDIRECTS_MAX = 5

const SENDS_AWAY: ReadonlySet<string> = new Set(['USE_ANOTHER_SERVER', 'SERVER_MOVED'])

/** What one server says of itself, and another may not. */
const OTHERS_CURE: ReadonlySet<string> = new Set([
  ...SENDS_AWAY,
  'UNSPECIFIED_ERROR',
  'IMPLEMENTATION_ERROR',
  'SERVER_UNAVAILABLE',
  'SERVER_BUSY',
  'SERVER_SHUTTING_DOWN',
  'QUOTA_EXCEEDED',
  'CONNECTION_RATE_EXCEEDED',
])

/** No server is to blame. */
const OURS: ReadonlySet<string> = new Set(['CONNECT_OPTIONS_FAILED', 'NETWORK_OFFLINE'])

/** Whether another server of the list may do what this one did not. */
export function othersCure({ phase, source, code, retryable }: Failure): boolean {
  if (phase === 'connected') return SENDS_AWAY.has(code)
  if (source === 'refused') return OTHERS_CURE.has(code)
  if (source !== 'connection' || OURS.has(code)) return false
  return retryable || code === 'ENOTFOUND'
}

const CREDENTIALS: ReadonlySet<string> = new Set(['BAD_CREDENTIALS', 'NOT_AUTHORIZED'])

/** Credentials that were refused are asked for anew, once. */
export function mayRenew(d: Draft, { phase, code }: Failure): boolean {
  if (!d.config.renewsCredentials || d.reconnect.renewing) return false
  return phase === 'handshake' && CREDENTIALS.has(code)
}

/** Where the server sends us, if we follow. */
export function redirectOf(d: Draft, { code, packet }: Failure) {
  if (!d.config.followRedirects || !SENDS_AWAY.has(code)) return null
  if (d.reconnect.redirects >= REDIRECTS_MAX) return null
  const properties = packet !== undefined && 'properties' in packet ? packet.properties : undefined
  const reference = properties?.['serverReference']
  if (typeof reference !== 'string' || reference === '') return null
  return { reference, permanent: code === 'SERVER_MOVED' }
}

/** The round begins: at the server that the primary moved to, or at the primary. */
export function beginRound({ reconnect, config }: Draft): void {
  const moved = reconnect.redirect?.permanent === true
  if (!moved) reconnect.redirect = null
  reconnect.host = 0
  reconnect.hostsLeft = moved ? [] : Array.from({ length: config.hosts - 1 }, (_, i) => i + 1)
  reconnect.redirects = 0
  reconnect.checking = null
}

/** One of the servers that this round has not tried; null: there is none. */
export function anyHostLeft({ reconnect }: Draft, random: number): number | null {
  const { hostsLeft } = reconnect
  return hostsLeft[Math.floor(random * hostsLeft.length)] ?? null
}

export function takeHost({ reconnect }: Draft, host: number): void {
  reconnect.host = host
  reconnect.redirect = null
  reconnect.hostsLeft = reconnect.hostsLeft.filter((other) => other !== host)
}
