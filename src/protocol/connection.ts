/**
 * One connection after the other: asked for, accepted or refused, given up, lost, closed. (D5, N1, N2, E1, E2)
 *
 * A connection goes down in two parts: `drop` decides what the loss means for requests and messages, and what comes after;
 * `lost` is the transport's word that it is gone, and only then the next one is dialled.
 */

import { ANSWER_BYTES } from './acknowledgements.ts'
import { judgeConnack } from './authentication.ts'
import type { Input } from './contract.ts'
import type { Draft } from './draft.ts'
import type { AttemptFacts, ConnackPacket, Failure, ServerPacket } from './facts.ts'
import { connackRefusal, limitsOf } from './handshake.ts'
import { incomingConnected, incomingLost } from './incoming.ts'
import { keepAlivePinged, keepAliveStart } from './keepalive.ts'
import { enter, isWaiting } from './lifecycle.ts'
import {
  flush,
  outgoingConnected,
  outgoingLost,
  sendRenewal,
  sortWaiting,
  waitingCount,
} from './outgoing.ts'
import { mayRetry, retryDelayMs, suspendedDelayMs } from './reconnect.ts'
import {
  anyHostLeft,
  beginRound,
  isSentAround,
  mayRenew,
  othersCure,
  redirectOf,
  setOut,
  takeHost,
} from './servers.ts'
import type { Limits, Outage, State } from './state.ts'
import { renewals, subscriptionsIn, subscriptionsOf } from './subscriptions.ts'

/** How long a transport may take to close once nothing more is written (E2). */
const CLOSE_MS = 1000
/** A server that closes this soon after its CONNACK, so often in a row, has probably another client with our identifier. */
const QUICK_CLOSE_MS = 5000
const QUICK_CLOSES = 5

// ------------------------------------------------------------------------------------------------------------- connecting

/** A new round: at the primary. */
export function dial(d: Draft, at: number): void {
  if (d.outage === null) setOut(d, at, Infinity)
  beginRound(d)
  dialHost(d, at, at + d.config.connectTimeoutMs)
}

function dialHost(d: Draft, at: number, connectBy: number): void {
  const { connection, reconnect } = d
  const outage = d.outage!
  connection.engaged = true
  connection.opened = false
  connection.heard = false
  connection.afterClose = null
  connection.closeBy = Infinity
  connection.retryAt = Infinity
  connection.connectBy = Math.max(connectBy, at)
  connection.protocolVersion = reconnect.version
  connection.connackAt = -1
  connection.pings = NO_PINGS
  connection.pingAnswered = false
  connection.exchange = null
  outage.dials++
  outage.checking = null
  d.keepAlive = keepAliveStart(0, at)
  enter(d, 'connecting', at)
  d.effects.push({
    type: 'dial',
    protocolVersion: reconnect.version,
    host: reconnect.host,
    redirect: outage.redirect?.reference ?? null,
    attempt: outage.dials,
  })
}

/** One for all that have none. */
const NO_PINGS: readonly never[] = []

export function opened(d: Draft, attempt: AttemptFacts | null, at: number): void {
  const { connection, session, config } = d
  if (connection.kind !== 'connecting' || connection.opened) return
  const { protocolVersion } = connection
  connection.opened = true
  const outage = d.outage!
  outage.clientId = attempt?.clientId ?? session.clientId
  const ours = connection.epoch > 0 || config.resumes
  outage.foreign = ours && outage.clientId !== session.clientId
  outage.keepAlive = attempt?.keepAlive ?? config.keepAlive
  outage.asksCleanStart = asksCleanStart(d, outage, at)
  if (config.authenticator !== 'none' && protocolVersion === 5) {
    connection.exchange = { by: 'connect', turn: 'theirs', begun: true, until: Infinity }
  }
  const { clientId, asksCleanStart: cleanStart, keepAlive } = outage
  d.send({ type: 'connect', clientId, cleanStart, keepAlive, protocolVersion })
}

/**
 * The first connection as the user said; later ones ask to resume, but for MQTT 3 with Clean Session, and what cannot be there:
 * a session that the server must have ended, or the session of another client identifier. A store in which nothing is kept yet
 * begins a session: one that the server holds would be of somebody else, or of a process that was killed before anything that
 * mattered had left.
 */
function asksCleanStart({ config, connection }: Draft, outage: Outage, at: number): boolean {
  if (connection.protocolVersion < 5) return config.cleanStart
  if (outage.foreign) return true
  if (connection.epoch > 0) return at >= outage.expiresAt
  return config.cleanStart || config.store === 'empty'
}

export function connackReceived(d: Draft, packet: ConnackPacket, at: number): void {
  const { connection, config } = d
  const refusal = connackRefusal(packet)
  if (refusal !== null) {
    if (refusal.code === 'UNSUPPORTED_VERSION' && fallBack(d)) return giveUpForVersion(d, at)
    return drop(d, at, refusal, 'retry', false)
  }
  const { exchange } = connection
  if (exchange !== null && exchange.turn !== 'theirs') {
    const message = 'CONNACK before the answer to an AUTH'
    return violation(d, at, 0x82, 'MQTT-4.12.0-6', message)
  }
  const rule = connackViolation(d, packet)
  if (rule !== null) return violation(d, at, 0x82, rule.clause, rule.message, rule.fatal)
  const limits = limitsOf(packet, config)
  if (limits.maximumPacketSize < ACK_BYTES) {
    const message = `The server takes packets of ${limits.maximumPacketSize} bytes at most: nothing can be sent.`
    return drop(
      d,
      at,
      failure('handshake', 'refused', 'SERVER_LIMITS', false, message),
      'fail',
      false,
    )
  }
  if (exchange === null) return accepted(d, packet, limits, at)
  connection.connack = packet
  judgeConnack(d, packet.properties)
  d.effects.push({ type: 'pauseReading' })
}

/** The authenticator is content with the server. */
export function verified(d: Draft, at: number): void {
  const { connack } = d.connection
  d.connection.exchange = null
  d.effects.push({ type: 'resumeReading' })
  if (connack !== null) accepted(d, connack, limitsOf(connack, d.config), at)
}

function accepted(d: Draft, packet: ConnackPacket, limits: Limits, at: number): void {
  const { connection, session, config, reconnect } = d
  // MQTT 3 cannot ask for a new session that outlives its connection: what another identifier holds there is not ours.
  const outage = d.outage!
  const sessionPresent = packet.sessionPresent && !outage.foreign
  const first = connection.epoch === 0
  connection.epoch++
  connection.connackAt = at
  connection.connectBy = Infinity
  connection.connack = packet
  connection.limits = limits
  connection.birthsPending = config.hasBirths
  connection.reason = null
  reconnect.everConnected = true
  reconnect.versionMayFall = false
  if (outage.redirect?.permanent) reconnect.moved = outage.redirect.reference
  session.protocolVersion = connection.protocolVersion
  session.clientId = outage.clientId
  const assigned = packet.properties?.['assignedClientIdentifier']
  if (typeof assigned === 'string') session.clientId = assigned
  const seconds = packet.properties?.['serverKeepAlive'] as number | undefined
  d.keepAlive = keepAliveStart(seconds ?? outage.keepAlive, at)
  session.adopted = packet.sessionPresent && (session.adopted || (first && adopts(d)))
  d.outage = null
  enter(d, 'connected', at)
  incomingConnected(d, sessionPresent)
  handOver(d, packet)
  const unanswered = outgoingConnected(d, sessionPresent, config.onSessionLost)
  sortWaiting(d)
  const wanted = sessionPresent
    ? unanswered.flatMap(subscriptionsIn)
    : subscriptionsOf(d.subscriptions.finish())
  for (const facts of renewals(d, wanted)) sendRenewal(d, facts, at)
  if (session.cautiousBelow > 0 || d.flow.diverting) ping(d, 0, at)
  if (config.hasBirths) d.effects.push({ type: 'births', packet })
  else flush(d, at)
}

/** A PUBACK without reason code: a client that cannot send one can do nothing. */
const ACK_BYTES = 4

/** MQTT 3 has no rule against a session that we do not know: it is taken as it stands. */
function adopts(d: Draft): boolean {
  return d.config.adopt || (!d.config.resumes && d.connection.protocolVersion < 5)
}

function connackViolation(
  d: Draft,
  packet: ConnackPacket,
): { clause: string; message: string; fatal: boolean } | null {
  const { config, connection } = d
  if (packet.sessionPresent && d.outage!.asksCleanStart) {
    const message = 'CONNACK with Session Present 1 after Clean Start 1'
    return { clause: 'MQTT-3.2.2-4', message, fatal: false }
  }
  const known = connection.epoch > 0 || config.resumes || config.adopt
  if (packet.sessionPresent && !known && connection.protocolVersion === 5) {
    const message =
      'The server holds a session of which this process knows nothing. Pass the saved session as the option `session`, take the session as it stands with session: "adopt", or begin anew with cleanStart: true'
    return { clause: 'MQTT-3.2.2-4', message, fatal: true }
  }
  const method = packet.properties?.['authenticationMethod']
  if (method !== undefined && method !== config.authenticationMethod) {
    const message = 'CONNACK with an Authentication Method that was not asked for'
    return { clause: 'MQTT-4.12.0-5', message, fatal: false }
  }
  if (config.authenticationMethod !== null && method === undefined) {
    const message = 'CONNACK without the Authentication Method of the CONNECT'
    return { clause: 'MQTT-4.12.0-5', message, fatal: false }
  }
  if (packet.properties?.['authenticationData'] !== undefined && method === undefined) {
    const message = 'CONNACK with Authentication Data and no Authentication Method'
    return { clause: 'MQTT-4.12.0-5', message, fatal: false }
  }
  return null
}

/** Version 5 was refused by a broker that never accepted it: asks for 4, within the same time limit. */
function fallBack(d: Draft): boolean {
  const { reconnect, connection } = d
  if (!reconnect.versionMayFall || connection.protocolVersion !== 5) return false
  // Only version 5 has sessions for clients without a name. [MQTT-3.1.3-7]
  if (d.session.clientId === '' && !d.config.cleanStart) return false
  reconnect.version = 4
  reconnect.versionMayFall = false
  const message = 'The server does not speak MQTT 5; asking for 3.1.1.'
  connection.reason = failure('handshake', 'refused', 'UNSUPPORTED_VERSION', true, message)
  return true
}

function giveUpForVersion(d: Draft, at: number): void {
  d.connection.afterClose = 'redial'
  d.connection.closeBy = at
  enter(d, 'disconnected', at)
  d.effects.push({ type: 'destroy' })
}

export function handOver(d: Draft, packet: ServerPacket): void {
  d.flow.bufferedPackets++
  d.flow.bufferedBytes += ANSWER_BYTES
  d.effects.push({
    type: 'yield',
    packet,
    handle: 0,
    sequence: 0,
    deliveryId: 0,
    redelivered: false,
    bytes: ANSWER_BYTES,
  })
}

// ----------------------------------------------------------------------------------------------------------- going down

/** The peer broke a rule: MQTT 5 tells it which [MQTT-4.13.1-1], then the connection is closed [MQTT-4.8.0-1 in 3.1.1]. */
export function violation(
  d: Draft,
  at: number,
  reasonCode: number,
  clause: string,
  message: string,
  fatal = false,
): void {
  const { kind, protocolVersion, limits } = d.connection
  if (kind !== 'connected' && kind !== 'connecting') return
  if (protocolVersion === 5 && d.connection.opened && limits.maximumPacketSize >= 3) {
    d.send({ type: 'disconnect', reasonCode, properties: undefined })
  }
  const phase = kind === 'connected' ? 'connected' : 'handshake'
  const broken: Failure = {
    ...failure(phase, 'protocol', 'PROTOCOL', !fatal, `${message} [${clause}].`),
    reasonCode,
    clause,
  }
  drop(d, at, broken, fatal ? 'fail' : 'retry', false)
}

export function failure(
  phase: Failure['phase'],
  source: Failure['source'],
  code: string,
  retryable: boolean,
  message: string,
): Failure {
  return { phase, source, code, retryable, message }
}

/** We give this connection up, for `reason`; the transport is told to close. */
export function drop(
  d: Draft,
  at: number,
  reason: Failure,
  afterClose: 'retry' | 'redial' | 'fail',
  suspicious: boolean,
): void {
  down(d, at, reason, suspicious)
  enter(d, 'disconnected', at)
  d.connection.afterClose = afterClose
  d.connection.closeBy = at + CLOSE_MS
  d.effects.push({ type: 'close', patient: false })
}

/** What the end of a connection means for requests and messages. */
function down(d: Draft, at: number, reason: Failure, suspicious: boolean): void {
  const { connection, reconnect } = d
  connection.reason = reason
  if (connection.kind === 'connected' || connection.kind === 'closing') {
    outgoingLost(d, suspicious, reason)
    incomingLost(d)
    setOut(d, at, expiresAt(d, at))
  }
  const stable = connection.connackAt >= 0 && at - connection.connackAt >= reconnect.policy.stableMs
  // Where the user dialled at once, no delay has used up that the connection before was stable.
  reconnect.attempt = stable ? -1 : Math.max(0, reconnect.attempt)
  if (stable) reconnect.redirects = 0
  connection.birthsPending = false
  connection.exchange = null
  connection.connack = null
  d.flow.congested = false
}

/** When the server, which may notice the end of the connection late, must have ended the session. (3.1.2.11.2) */
function expiresAt({ connection, keepAlive }: Draft, at: number): number {
  const { sessionExpiryInterval: seconds } = connection.limits
  const known = connection.protocolVersion === 5 && keepAlive.intervalMs > 0
  if (!known || seconds === NEVER_EXPIRES) return Infinity
  return at + 1.5 * keepAlive.intervalMs + seconds * 1000
}

/** Session Expiry Interval of a session that does not end. */
const NEVER_EXPIRES = 0xffff_ffff

export function lost(d: Draft, input: Extract<Input, { type: 'lost' }>): void {
  const { connection, reconnect } = d
  const { at, random } = input
  if (!connection.engaged) return
  if (connection.connackAt < 0 && connection.opened) noteUnanswered(d, at)
  connection.engaged = false
  connection.opened = false
  connection.closeBy = Infinity
  let afterClose = connection.afterClose
  if (afterClose === null) {
    const mute = connection.kind === 'connecting' && !connection.heard && input.byPeer
    if (mute && fallBack(d)) afterClose = 'redial'
    else {
      // MQTT 3 has no reason codes: a plain close is all that a server can say. (D6)
      const suspicious = input.byPeer && connection.protocolVersion < 5
      noteQuickClose(d, at, input.byPeer)
      down(d, at, input.failure, suspicious)
      afterClose = 'retry'
    }
  }
  connection.afterClose = null
  if (afterClose === 'end') return finished(d, connection.endsWith, at)
  if (afterClose === 'redial') {
    return again(d, at, Math.min(connection.connectBy, at + d.config.connectTimeoutMs))
  }
  const reason = { ...(connection.reason ?? input.failure) }
  const curable = reason.retryable || isOneOfMany(d, reason)
  const judged = { ...reason, retryable: input.retryable ?? curable }
  const forbidden = afterClose === 'fail' || input.retryable === false
  const asked = input.retryable === true ? whenAllows(d) : mayRetry(reconnect, judged)
  const allowed = asked && !forbidden
  connection.reason = judged
  if (!forbidden && goesElsewhere(d, reason, allowed, at, random)) return
  rest(d, judged, allowed, at, random)
  if (afterClose === 'retryImmediately' && isWaiting(connection.kind)) dial(d, at)
}

/** Of a list one server may be older than the others, one of which spoke our version. */
function isOneOfMany({ reconnect, config }: Draft, { code }: Failure): boolean {
  return code === 'UNSUPPORTED_VERSION' && reconnect.everConnected && config.servers.hosts > 1
}

/** Version 4 is remembered once a server has accepted it; until then the next one is asked for 5. */
function forgetVersion({ reconnect, session, config }: Draft): void {
  if (!config.versionMayFall || session.protocolVersion !== 0) return
  reconnect.version = config.protocolVersion
  reconnect.versionMayFall = true
}

/** A CONNECT without CONNACK may have reached the server, and then the session lives anew. */
function noteUnanswered({ outage, connection, config }: Draft, at: number): void {
  if (outage === null || outage.asksCleanStart || outage.expiresAt === Infinity) return
  const seconds = Math.max(connection.limits.sessionExpiryInterval, config.sessionExpiryInterval)
  const never = outage.keepAlive === 0 || seconds === NEVER_EXPIRES
  const ends = never ? Infinity : at + 1500 * outage.keepAlive + seconds * 1000
  outage.expiresAt = Math.max(outage.expiresAt, ends)
}

/** Whether there is something else to be tried before the next round. */
function goesElsewhere(
  d: Draft,
  reason: Failure,
  allowed: boolean,
  at: number,
  random: number,
): boolean {
  const { config } = d
  const outage = d.outage!
  const connectBy = at + config.connectTimeoutMs
  if (mayRenew(d, reason)) {
    outage.renewing = true
    again(d, at, connectBy)
    return true
  }
  // A server that moved and cannot be reached where it went is asked for where it was.
  if (d.connection.connackAt < 0) {
    if (outage.redirect?.permanent) d.reconnect.moved = null
    outage.redirect = null
  }
  // What ends a connection that was good is a loss, and a policy may forbid to go on.
  if (reason.phase === 'connected' && !whenAllows(d)) return false
  const redirect = redirectOf(d, reason)
  if (redirect !== null) {
    outage.redirect = redirect
    d.reconnect.redirects++
    countReconnection(d, reason.code)
    again(d, at, connectBy)
    return true
  }
  const host = othersCure(reason) ? anyHostLeft(d, random) : null
  if (host === null) return false
  if (reason.phase === 'connected') {
    // Who accepts us and sends us away at once may do so for ever.
    if (isSentAround(d)) return false
    d.reconnect.redirects++
  }
  if (config.servers.checksConnectivity) {
    outage.checking = { host, failure: reason, allowed, random, by: connectBy }
    if (!isWaiting(d.connection.kind)) enter(d, 'disconnected', at)
    d.effects.push({ type: 'checkConnectivity' })
  } else {
    move(d, host, reason, at)
  }
  return true
}

function move(d: Draft, host: number, reason: Failure, at: number): void {
  takeHost(d, host)
  forgetVersion(d)
  countReconnection(d, reason.code)
  again(d, at, at + d.config.connectTimeoutMs)
}

/** Dials without waiting. */
function again(d: Draft, at: number, connectBy: number): void {
  if (!isWaiting(d.connection.kind)) enter(d, 'disconnected', at)
  dialHost(d, at, connectBy)
}

/** This side is online, and so the server is to blame; or it is not, and no other server would help. */
export function connectivity(d: Draft, online: boolean, at: number): void {
  const { outage } = d
  if (outage === null || outage.checking === null || !isWaiting(d.connection.kind)) return
  const { checking } = outage
  outage.checking = null
  const { host, failure: reason, allowed, random } = checking
  if (online) move(d, host, reason, at)
  else rest(d, reason, allowed, at, random)
}

/** Waits for the next round; or ends, where there may be none. */
function rest(d: Draft, reason: Failure, allowed: boolean, at: number, random: number): void {
  const { connection, reconnect, config } = d
  if (!allowed) return finished(d, connection.endsWith ?? reason, at)
  reconnect.redirects = 0
  forgetVersion(d)
  const stable = reconnect.attempt < 0
  const attempt = Math.max(0, reconnect.attempt)
  const { suspendAfterMs, suspendedRetryMs } = config.servers
  const suspended = at - d.outage!.downSince >= suspendAfterMs
  connection.retryAt = suspended
    ? at + suspendedDelayMs(suspendedRetryMs, random)
    : at + retryDelayMs(reconnect.policy, attempt, reason, stable, random)
  reconnect.attempt = stable ? 0 : attempt + 1
  countReconnection(d, reason.code)
  enter(d, suspended ? 'suspended' : 'disconnected', at)
}

/** Too long without a connection. (T3) */
export function suspend(d: Draft, at: number): void {
  const { connection, config } = d
  connection.retryAt = Math.min(connection.retryAt, at + config.servers.suspendedRetryMs)
  enter(d, 'suspended', at)
}

export function suspendsAt({
  connection,
  config,
  outage,
}: Pick<State, 'connection' | 'config'> & { readonly outage: Outage | null }): number {
  if (connection.kind !== 'disconnected' || connection.engaged || outage === null) return Infinity
  return outage.downSince + config.servers.suspendAfterMs
}

/** A hint about the network (T5). */
export function network(d: Draft, online: boolean, at: number): void {
  const { connection } = d
  if (online) return atOnce(d, at)
  if (connection.kind !== 'connected' && connection.kind !== 'connecting') return
  const phase =
    connection.kind === 'connected' ? 'connected' : connection.opened ? 'handshake' : 'dial'
  const message = 'The network is gone (networkHints).'
  drop(d, at, failure(phase, 'connection', 'NETWORK_OFFLINE', true, message), 'retry', false)
  d.effects.push({ type: 'destroy' })
}

/** The next round begins now. */
function atOnce(d: Draft, at: number): void {
  const { connection } = d
  if (!isWaiting(connection.kind)) return
  if (!connection.engaged) dial(d, at)
  else if (connection.afterClose === 'retry') connection.afterClose = 'retryImmediately'
}

function whenAllows(d: Draft): boolean {
  return mayRetry(d.reconnect, failure('dial', 'connection', '', true, ''))
}

/** MQTT 3 cannot say "session taken over"; a server that closes again and again at once means it. (C33) */
function noteQuickClose(d: Draft, at: number, byPeer: boolean): void {
  const { connection, reconnect } = d
  const quick =
    byPeer &&
    connection.protocolVersion < 5 &&
    connection.kind === 'connected' &&
    at - connection.connackAt < QUICK_CLOSE_MS
  reconnect.quickCloses = quick ? reconnect.quickCloses + 1 : 0
  if (reconnect.quickCloses !== QUICK_CLOSES) return
  const message = `The server closed ${QUICK_CLOSES} connections in a row right after accepting them. Is another client using the client identifier "${d.session.clientId}"?`
  d.effects.push({ type: 'warn', code: 'SESSION_TAKEN_OVER_SUSPECTED', message })
}

export function reconnect(d: Draft, policy: State['reconnect']['policy'] | null, at: number): void {
  if (policy !== null) d.reconnect.policy = policy
  const { connection } = d
  if (connection.kind === 'connected') {
    d.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
    const message = 'The user asked to reconnect.'
    drop(d, at, failure('connected', 'usage', 'RECONNECT', true, message), 'redial', false)
    beginRound(d)
    connection.connectBy = Infinity
    countReconnection(d, 'RECONNECT')
  } else {
    atOnce(d, at)
  }
}

function countReconnection(d: Draft, code: string): void {
  const { reconnections } = d.counters
  d.counters.reconnections = { ...reconnections, [code]: (reconnections[code] ?? 0) + 1 }
}

// ----------------------------------------------------------------------------------------------------------------- ending

/** E1 and `disconnect`: nothing more can happen, or nothing more may. */
export function endWhenDone(d: Draft, at: number): void {
  const { connection, session, outgoing } = d
  if (connection.kind === 'closing' || connection.afterClose === 'end') return
  const settled =
    session.owed === 0 &&
    waitingCount(session) === 0 &&
    outgoing.unconfirmed === 0 &&
    d.flow.diverted === 0
  const asked = d.input === 'tick' || d.input === 'disconnect'
  const late = asked && at >= connection.drainBy
  if (connection.drainBy < Infinity && (settled || late)) return close(d, at)
  if (connection.kind !== 'connected' || connection.birthsPending || !settled) return
  const { until } = d.config
  if (until === 'closed' || !d.flow.requestsEnded || d.flow.bufferedPackets > 0) return
  if (until === 'idle' && (session.subscriptionCount > 0 || session.adopted)) return
  // What the consumer of `acks: 'manual'` has not acknowledged is its own business.
  if (d.config.acks !== 'manual' && (d.pending.size > 0 || d.received.size > 0)) return
  close(d, at)
}

/** Of a DISCONNECT with Session Expiry Interval. */
const EXPIRING_DISCONNECT_BYTES = 9

/** Says goodbye and closes (E2); where there is nobody to say it to, ends at once. */
export function close(d: Draft, at: number): void {
  const { connection } = d
  if (connection.afterClose === 'end') return
  if (connection.kind === 'connected') {
    const { maximumPacketSize, sessionExpiryInterval } = connection.limits
    const fits = maximumPacketSize >= EXPIRING_DISCONNECT_BYTES
    const forget = d.config.cleanStart && sessionExpiryInterval > 0 && fits
    const properties =
      connection.protocolVersion === 5 && forget ? { sessionExpiryInterval: 0 } : undefined
    const { disconnectReason: reasonCode } = d.config
    d.send({ type: 'disconnect', reasonCode, properties })
    d.effects.push({ type: 'close', patient: true })
    connection.closeBy = at + CLOSE_MS
  } else if (connection.engaged) {
    if (connection.afterClose === null) d.effects.push({ type: 'destroy' })
  } else {
    return finished(d, connection.endsWith, at)
  }
  if (connection.kind === 'connected') incomingLost(d)
  connection.exchange = null
  enter(d, 'closing', at)
  connection.afterClose = 'end'
}

function finished(d: Draft, reason: Failure | null, at: number): void {
  const { connection } = d
  outgoingLost(d, false, reason ?? ENDED)
  connection.reason = reason
  connection.retryAt = Infinity
  enter(d, reason === null ? 'closed' : 'failed', at)
  d.effects.push({ type: 'finished', failure: reason })
}

const ENDED = failure('connected', 'connection', 'CLOSED', false, 'The loop has ended.')

export function ping(d: Draft, id: number, at: number): void {
  d.connection.pings = [...d.connection.pings, { id, sentAt: at }]
  keepAlivePinged(d.keepAlive, at)
  d.send({ type: 'pingreq' })
}
