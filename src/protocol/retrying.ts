/**
 * What follows a lost connection or a failed attempt: another server, a wait, or the end?
 *
 * (N1, delays grow and are random; N2, every failure is classified; T3, the connection follows the
 * lifecycle table; T4, a list of servers; T5, network hints)
 */
import { connectionLost, drop, endLoop, NEVER_EXPIRES } from './closing.ts'
import type { ReconnectPolicy } from './config.ts'
import { dialHost, dialNextRound } from './connecting.ts'
import type { Input } from './contract.ts'
import type { Draft } from './draft.ts'
import { type Failure, makeFailure } from './facts.ts'
import { enter, isWaiting } from './lifecycle.ts'
import { mayRetry, policyAllows, retryDelayMs, suspendedDelayMs } from './reconnect.ts'
import { noteMissedConnack } from './renewing.ts'
import {
  anyHostLeft,
  beginRound,
  chooseHost,
  hasManyRedirects,
  mayOthersCure,
  mayRenewCredentials,
  redirectOf,
} from './servers.ts'
import type { State } from './state.ts'
import { evidenceOf } from './suspicion.ts'
import { fallBackToVersion4, forgetVersion, isWordlessClose } from './versions.ts'

/**
 * A server that closes within this many ms after its CONNACK, this often in a row, probably has
 * another client with the same client identifier.
 */
const QUICK_CLOSE_MS = 5000
const QUICK_CLOSES = 5

// ---------------------------------------------------------------------------------------- the loss

/** Handles the end of a transport, and decides what follows. */
export function transportLost(d: Draft, input: Extract<Input, { type: 'lost' }>): void {
  const { connection } = d
  const { at, random } = input
  if (!connection.engaged) return
  const wasOpened = connection.opened
  if (connection.connackAt < 0 && wasOpened) noteUnanswered(d, at)
  connection.engaged = false
  connection.opened = false
  connection.closeBy = Infinity
  const afterClose = connection.afterClose ?? unexpectedlyLost(d, input, wasOpened)
  connection.afterClose = null
  if (afterClose === 'end') return endLoop(d, connection.endsWith, at)
  if (afterClose === 'redial') {
    return dialImmediately(d, at, Math.min(connection.connectBy, at + d.config.connectTimeoutMs))
  }
  const reason = { ...(connection.reason ?? input.failure) }
  const curable = reason.retryable || isOneOfMany(d, reason)
  const published = { ...reason, retryable: input.retryable ?? curable }
  const forbidden = afterClose === 'fail' || input.retryable === false
  const wanted =
    input.retryable === true ? policyAllows(d.reconnect) : mayRetry(d.reconnect, published)
  const allowed = wanted && !forbidden
  connection.reason = published
  if (allowed && reason.code === 'SESSION_TAKEN_OVER') noteTakeover(d)
  if (!forbidden && goesElsewhere(d, reason, allowed, at, random)) return
  awaitNextRound(d, published, allowed, at, random)
  if (afterClose === 'retryImmediately' && isWaiting(connection.kind)) dialNextRound(d, at)
}

/** Handles a transport that was lost while nobody was closing it. */
function unexpectedlyLost(
  d: Draft,
  { byPeer, failure, at }: Extract<Input, { type: 'lost' }>,
  wasOpened: boolean,
): 'redial' | 'retry' {
  const wordless = wasOpened && isWordlessClose(d, failure.code, byPeer)
  if (wordless && fallBackToVersion4(d, 'closed')) return 'redial'
  connectionLost(d, at, failure, evidenceOf(failure, byPeer))
  noteQuickClose(d, at, byPeer)
  return 'retry'
}

/**
 * With several servers, "unsupported version" is not final if one of them accepted our version:
 * this one may be older.
 */
function isOneOfMany({ reconnect, config }: Draft, { code }: Failure): boolean {
  return code === 'UNSUPPORTED_VERSION' && reconnect.everConnected && config.servers.hosts > 1
}

/**
 * Notes a CONNECT that got no CONNACK. It may have reached the server, whose session then lives
 * longer, or is a new one.
 */
function noteUnanswered(d: Draft, at: number): void {
  const { reconnect, connection, config } = d
  const { outage } = reconnect
  noteMissedConnack(d)
  if (outage === null || outage.asksCleanStart || outage.expiresAt === Infinity) return
  const seconds = Math.max(connection.limits.sessionExpiryInterval, config.sessionExpiryInterval)
  const never = outage.keepAlive === 0 || seconds === NEVER_EXPIRES
  const ends = never ? Infinity : at + 1500 * outage.keepAlive + seconds * 1000
  outage.expiresAt = Math.max(outage.expiresAt, ends)
}

/**
 * MQTT 3 cannot say "session taken over", and some servers do not say it in MQTT 5. A server that
 * closes quickly again and again means it, unless there is no progress, and then it is something
 * that was sent. (C33, two clients with one identifier take the session from each other)
 */
function noteQuickClose(d: Draft, at: number, byPeer: boolean): void {
  const { connection, reconnect } = d
  const quick =
    byPeer &&
    connection.kind === 'connected' &&
    (d.progress.first === null || d.progress.losses <= 1) &&
    at - connection.connackAt < QUICK_CLOSE_MS
  reconnect.quickCloses = quick ? reconnect.quickCloses + 1 : 0
  if (reconnect.quickCloses !== QUICK_CLOSES) return
  suspectTakeover(d, `The server closed ${QUICK_CLOSES} connections soon after its CONNACK.`)
}

/** Notes DISCONNECT 0x8E, although another attempt follows: the loop ends with no error. */
function noteTakeover(d: Draft): void {
  if ('SESSION_TAKEN_OVER' in d.counters.reconnections) return
  suspectTakeover(d, 'The server says that the session was taken over (0x8E).')
}

function suspectTakeover(d: Draft, what: string): void {
  const id = d.session.clientId
  const message = `${what} If another client has the client identifier "${id}", give each its own.`
  d.warn('SESSION_TAKEN_OVER_SUSPECTED', message)
}

// ---------------------------------------------------------------------------------- without a wait

/**
 * Tries what does not need a wait: new credentials, a redirect, or another server of the list.
 * @returns whether there was anything to try.
 */
function goesElsewhere(
  d: Draft,
  reason: Failure,
  allowed: boolean,
  at: number,
  random: number,
): boolean {
  const outage = d.reconnect.outage!
  const connectBy = at + d.config.connectTimeoutMs
  if (mayRenewCredentials(d, reason)) {
    outage.renewing = true
    dialImmediately(d, at, connectBy)
    return true
  }
  // If a server moved and cannot be reached at its new address, the old address is tried again.
  if (d.connection.connackAt < 0) {
    if (outage.redirect?.permanent) d.reconnect.moved = null
    outage.redirect = null
  }
  // If a good connection ended, the reconnect policy may forbid a further attempt.
  if (reason.phase === 'connected' && !policyAllows(d.reconnect)) return false
  const redirect = redirectOf(d, reason)
  if (redirect !== null) {
    outage.redirect = redirect
    d.reconnect.redirects++
    countReconnection(d, reason.code)
    dialImmediately(d, at, connectBy)
    return true
  }
  const host = mayOthersCure(reason) ? anyHostLeft(d, random) : null
  if (host === null) return false
  if (reason.phase === 'connected') {
    // Servers that accept and redirect immediately may do so for ever.
    if (hasManyRedirects(d)) return false
    d.reconnect.redirects++
  }
  if (d.config.servers.checksConnectivity) {
    outage.checking = { host, failure: reason, allowed, random, by: connectBy }
    if (!isWaiting(d.connection.kind)) enter(d, 'disconnected', at)
    d.effects.push({ type: 'checkConnectivity' })
  } else {
    moveTo(d, host, reason, at)
  }
  return true
}

/**
 * Handles the answer of the connectivity check: if this client is offline, no other server would
 * help.
 */
export function connectivity(d: Draft, online: boolean, at: number): void {
  const { outage } = d.reconnect
  if (outage === null || outage.checking === null || !isWaiting(d.connection.kind)) return
  const { host, failure: reason, allowed, random } = outage.checking
  outage.checking = null
  if (online) moveTo(d, host, reason, at)
  else awaitNextRound(d, reason, allowed, at, random)
}

/** Dials another server of the list. */
function moveTo(d: Draft, host: number, reason: Failure, at: number): void {
  chooseHost(d, host)
  forgetVersion(d)
  countReconnection(d, reason.code)
  dialImmediately(d, at, at + d.config.connectTimeoutMs)
}

function dialImmediately(d: Draft, at: number, connectBy: number): void {
  if (!isWaiting(d.connection.kind)) enter(d, 'disconnected', at)
  dialHost(d, at, connectBy)
}

function countReconnection(d: Draft, code: string): void {
  const { reconnections } = d.counters
  d.counters.reconnections = { ...reconnections, [code]: (reconnections[code] ?? 0) + 1 }
}

// ------------------------------------------------------------------------------------- with a wait

/** Waits for the next round, or ends the loop if there may be none. */
function awaitNextRound(
  d: Draft,
  reason: Failure,
  allowed: boolean,
  at: number,
  random: number,
): void {
  const { connection, reconnect, config } = d
  if (!allowed) return endLoop(d, connection.endsWith ?? reason, at)
  reconnect.redirects = 0
  forgetVersion(d)
  const stable = reconnect.attempt < 0
  const attempt = Math.max(0, reconnect.attempt)
  const { suspendAfterMs, suspendedRetryMs } = config.servers
  const suspended = at - reconnect.outage!.downSince >= suspendAfterMs
  // The usual delay is added, so that clients that were told the same do not return together.
  const from = at + (reason.retryAfterMs ?? 0)
  connection.retryAt = suspended
    ? from + suspendedDelayMs(suspendedRetryMs, random)
    : from + retryDelayMs(reconnect.policy, attempt, reason, stable, random)
  reconnect.attempt = stable ? 0 : attempt + 1
  countReconnection(d, reason.code)
  enter(d, suspended ? 'suspended' : 'disconnected', at)
}

/** Suspends a loop that was too long without a connection. */
export function suspend(d: Draft, at: number): void {
  const { connection, config } = d
  if (connection.reason?.retryAfterMs === undefined) {
    connection.retryAt = Math.min(connection.retryAt, at + config.servers.suspendedRetryMs)
  }
  enter(d, 'suspended', at)
}

/** @returns when the loop is suspended, or Infinity if an attempt is under way. */
export function suspendsAt({
  connection,
  config,
  reconnect,
}: Pick<State, 'connection' | 'config' | 'reconnect'>): number {
  if (connection.engaged || reconnect.outage === null) return Infinity
  return reconnect.outage.downSince + config.servers.suspendAfterMs
}

/** Handles a hint about the network. */
export function network(d: Draft, online: boolean, at: number): void {
  if (online) return beginRoundNow(d, at)
  const { kind, opened } = d.connection
  if (kind !== 'connected' && kind !== 'connecting') return
  const phase = kind === 'connected' ? 'connected' : opened ? 'handshake' : 'dial'
  const message = 'The network is gone (networkHints).'
  const reason = makeFailure(phase, 'connection', 'NETWORK_OFFLINE', true, message)
  drop(d, at, reason, 'retry', 'none')
  d.effects.push({ type: 'destroy' })
}

/** Ends the wait for the next round. */
function beginRoundNow(d: Draft, at: number): void {
  const { connection } = d
  if (!isWaiting(connection.kind)) return
  if (!connection.engaged) dialNextRound(d, at)
  else if (connection.afterClose === 'retry') connection.afterClose = 'retryImmediately'
}

/**
 * Handles the control: closes the connection and dials again, or ends the wait for the next round.
 */
export function reconnect(d: Draft, policy: ReconnectPolicy | null, at: number): void {
  if (policy !== null) d.reconnect.policy = policy
  const { connection } = d
  if (connection.kind !== 'connected') return beginRoundNow(d, at)
  d.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
  const message = 'The user asked to reconnect.'
  const reason = makeFailure('connected', 'usage', 'RECONNECT', true, message)
  drop(d, at, reason, 'redial', 'none')
  beginRound(d)
  connection.connectBy = Infinity
  countReconnection(d, 'RECONNECT')
}
