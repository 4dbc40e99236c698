/**
 * After an attempt failed or a connection was lost: is there another server to try without a wait?
 *
 * (T4, a list of servers; T6, options for each attempt, and authentication) A round begins at the
 * primary and goes through the other servers of the list in random order. The wait is between two
 * rounds.
 */
import type { Draft } from './draft.ts'
import { type Failure, NO_ITEMS } from './facts.ts'
import type { Redirect } from './state.ts'

/**
 * The number of redirects in a row that are followed. Servers that send more of them send us in a
 * circle.
 */
const REDIRECTS_MAX = 5

const REDIRECTING: ReadonlySet<string> = new Set(['USE_ANOTHER_SERVER', 'SERVER_MOVED'])

/** The refusals that are about one server, so that another one may accept. */
const CURED_BY_OTHERS: ReadonlySet<string> = new Set([
  ...REDIRECTING,
  'UNSPECIFIED_ERROR',
  'IMPLEMENTATION_ERROR',
  'SERVER_UNAVAILABLE',
  'SERVER_BUSY',
  'SERVER_SHUTTING_DOWN',
  'QUOTA_EXCEEDED',
  'CONNECTION_RATE_EXCEEDED',
  'UNSUPPORTED_VERSION',
  'UPGRADE_REFUSED',
  'NOT_MQTT',
])

/** The connection failures that are not the fault of a server. */
const NO_SERVER_AT_FAULT: ReadonlySet<string> = new Set([
  'CONNECT_OPTIONS_FAILED',
  'AUTHENTICATION_FAILED',
  'NETWORK_OFFLINE',
])

/** @returns whether another server of the list may succeed after this failure. */
export function mayOthersCure({ phase, source, code, retryable }: Failure): boolean {
  if (phase === 'connected') return REDIRECTING.has(code)
  if (source === 'refused' || source === 'protocol') return CURED_BY_OTHERS.has(code)
  if (source !== 'connection' || NO_SERVER_AT_FAULT.has(code)) return false
  return retryable || code === 'ENOTFOUND'
}

const CREDENTIALS: ReadonlySet<string> = new Set(['BAD_CREDENTIALS', 'NOT_AUTHORIZED'])

/** @returns whether new credentials are asked for, which happens once in an outage. */
export function mayRenewCredentials(d: Draft, { phase, code }: Failure): boolean {
  if (!d.config.servers.renewsCredentials || d.reconnect.outage?.renewing) return false
  return phase !== 'connected' && CREDENTIALS.has(code)
}

/**
 * @returns the server that this one named instead, or null if it named none or redirects are not
 * followed.
 */
export function redirectOf(d: Draft, { code, packet }: Failure): Redirect | null {
  if (!d.config.servers.followRedirects || !REDIRECTING.has(code)) return null
  if (hasManyRedirects(d)) return null
  const properties = packet !== undefined && 'properties' in packet ? packet.properties : undefined
  const reference = properties?.['serverReference']
  if (typeof reference !== 'string' || reference === '') return null
  return { reference, permanent: code === 'SERVER_MOVED' }
}

/**
 * @returns true after REDIRECTS_MAX redirects in a row: then the next attempt waits for the next
 * round.
 */
export function hasManyRedirects({ reconnect }: Draft): boolean {
  return reconnect.redirects >= REDIRECTS_MAX
}

/** Begins an outage. `expiresAt` is the instant by which the server must have ended the session. */
export function beginOutage(d: Draft, at: number, expiresAt: number): void {
  d.reconnect.outage = {
    downSince: at,
    firstOrder: d.session.nextOrder,
    lasts: false,
    expiresAt,
    dials: 0,
    hostsLeft: othersThan(d, d.reconnect.host),
    redirect: null,
    renewing: false,
    checking: null,
    asksCleanStart: d.config.cleanStart !== false,
    clientId: d.session.clientId,
    foreign: false,
    keepAlive: d.config.keepAlive,
  }
}

function othersThan({ config }: Draft, host: number): readonly number[] {
  const { hosts } = config.servers
  if (hosts === 1) return NO_ITEMS
  return Array.from({ length: hosts }, (_, i) => i).filter((other) => other !== host)
}

/** Begins a round at the primary, or where the primary moved. */
export function beginRound(d: Draft): void {
  const { reconnect } = d
  const outage = reconnect.outage!
  const { moved } = reconnect
  outage.redirect = moved === null ? null : { reference: moved, permanent: true }
  reconnect.host = 0
  outage.hostsLeft = moved === null ? othersThan(d, 0) : NO_ITEMS
  outage.checking = null
}

/** @returns one of the servers that were not tried in this round, or null if there is none. */
export function anyHostLeft({ reconnect }: Draft, random: number): number | null {
  const { hostsLeft } = reconnect.outage!
  return hostsLeft[Math.floor(random * hostsLeft.length)] ?? null
}

/** Chooses this server for the next attempt. */
export function chooseHost({ reconnect }: Draft, host: number): void {
  const outage = reconnect.outage!
  reconnect.host = host
  outage.redirect = null
  outage.hostsLeft = outage.hostsLeft.filter((other) => other !== host)
}
