/**
 * After an attempt failed or a connection ended: is there another outage, to be tried at once? (T4, T6)
 *
 * A round begins at the primary and goes through the other servers of the list in random order; the wait is between rounds.
 */
import type { Draft } from './draft.ts'
import type { Failure } from './facts.ts'

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
  'UNSUPPORTED_VERSION',
])

/** No server is to blame. */
const OURS: ReadonlySet<string> = new Set([
  'CONNECT_OPTIONS_FAILED',
  'AUTHENTICATION_FAILED',
  'NETWORK_OFFLINE',
])

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
  if (!d.config.servers.renewsCredentials || d.outage?.renewing) return false
  return phase === 'handshake' && CREDENTIALS.has(code)
}

/** Where the server sends us, if we follow. */
export function redirectOf(d: Draft, { code, packet }: Failure) {
  if (!d.config.servers.followRedirects || !SENDS_AWAY.has(code)) return null
  if (isSentAround(d)) return null
  const properties = packet !== undefined && 'properties' in packet ? packet.properties : undefined
  const reference = properties?.['serverReference']
  if (typeof reference !== 'string' || reference === '') return null
  return { reference, permanent: code === 'SERVER_MOVED' }
}

/** There is no connection any more, or there was none yet. */
export function setOut(d: Draft, at: number, expiresAt: number): void {
  d.outage = {
    downSince: at,
    expiresAt,
    dials: 0,
    hostsLeft: othersThan(d, d.reconnect.host),
    redirect: null,
    renewing: false,
    checking: null,
    asksCleanStart: d.config.cleanStart,
    clientId: d.session.clientId,
    foreign: false,
    keepAlive: d.config.keepAlive,
  }
}

/** One for all that have none. */
const NONE: readonly never[] = []

function othersThan({ config }: Draft, host: number): readonly number[] {
  const { hosts } = config.servers
  if (hosts === 1) return NONE
  return Array.from({ length: hosts }, (_, i) => i).filter((other) => other !== host)
}

/** Each of them accepts us and sends us away, or does not even accept us: now it takes a wait. */
export function isSentAround({ reconnect }: Draft): boolean {
  return reconnect.redirects >= REDIRECTS_MAX
}

/** The round begins: where the primary moved to, or at the primary. */
export function beginRound(d: Draft): void {
  const { reconnect } = d
  const outage = d.outage!
  const { moved } = reconnect
  outage.redirect = moved === null ? null : { reference: moved, permanent: true }
  reconnect.host = 0
  outage.hostsLeft = moved === null ? othersThan(d, 0) : NONE
  outage.checking = null
}

/** One of the servers that this round has not tried; null: there is none. */
export function anyHostLeft({ outage }: Draft, random: number): number | null {
  const { hostsLeft } = outage!
  return hostsLeft[Math.floor(random * hostsLeft.length)] ?? null
}

export function takeHost({ outage, reconnect }: Draft, host: number): void {
  reconnect.host = host
  outage!.redirect = null
  outage!.hostsLeft = outage!.hostsLeft.filter((other) => other !== host)
}
