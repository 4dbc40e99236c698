/**
 * How does an attempt become a connection: dial, CONNECT, CONNACK, and what follows a good CONNACK?
 *
 * (D5, a lost session is rebuilt in order; T6, options for each attempt, and authentication; N2,
 * every failure is classified)
 */
import { authenticateConnect, verifyConnack } from './authentication.ts'
import { drop, violated } from './closing.ts'
import type { Draft, Mutable } from './draft.ts'
import {
  type AttemptFacts,
  makeFailure,
  NO_ITEMS,
  protocolError,
  type ReceivedConnack,
  type Violation,
} from './facts.ts'
import { connackRefusal, limitsOf } from './handshake.ts'
import { incomingConnected } from './incoming.ts'
import { keepAliveStart, sendPing } from './keepalive.ts'
import { enter } from './lifecycle.ts'
import { flush } from './outgoing.ts'
import { noteSessions, wantedRenewals, watchSilence } from './renewing.ts'
import { outgoingConnected, sortWaiting } from './resuming.ts'
import { beginOutage, beginRound } from './servers.ts'
import type { Limits, Outage } from './state.ts'
import { filtersAllowed, queueRenewals, sendRenewals } from './subscribing.ts'
import { makeRenewals, type Wanted } from './subscriptions.ts'
import { isAccused, isLockedOut, noteConnection } from './suspicion.ts'
import { deviates } from './tolerance.ts'
import { fallBackToVersion4, redial } from './versions.ts'
import { DELIVERIES_MS, MESSAGE_IDS } from './window.ts'

/** The size of a PUBACK without a reason code. A client that cannot send one can do nothing. */
const ACK_BYTES = 4

// ------------------------------------------------------------------------------ before the CONNACK

/** Begins a round of attempts, at the primary. */
export function dialNextRound(d: Draft, at: number): void {
  if (d.reconnect.outage === null) beginOutage(d, at, Infinity)
  beginRound(d)
  dialHost(d, at, at + d.config.connectTimeoutMs)
}

/** Dials the server that was chosen. The CONNACK must be received by `connectBy`. */
export function dialHost(d: Draft, at: number, connectBy: number): void {
  const { connection, reconnect } = d
  const outage = reconnect.outage!
  connection.engaged = true
  connection.opened = false
  connection.heard = false
  connection.afterClose = null
  connection.closeBy = Infinity
  connection.retryAt = Infinity
  connection.connectBy = Math.max(connectBy, at)
  connection.protocolVersion = reconnect.version
  connection.connackAt = -1
  connection.pings = NO_ITEMS
  connection.pingAnswered = false
  connection.deviations = NO_ITEMS
  connection.exchange = null
  outage.dials++
  reconnect.dials++
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

/** Sends CONNECT on a transport that has just opened. */
export function transportOpened(d: Draft, attempt: AttemptFacts | null, at: number): void {
  const { connection, session, config } = d
  if (connection.kind !== 'connecting' || connection.opened) return
  const { protocolVersion } = connection
  connection.opened = true
  const outage = d.reconnect.outage!
  outage.clientId = attempt?.clientId ?? session.clientId
  const ours = connection.epoch > 0 || config.resumes
  outage.foreign = ours && outage.clientId !== session.clientId
  outage.keepAlive = attempt?.keepAlive ?? config.keepAlive
  outage.asksCleanStart = asksCleanStart(d, outage, at)
  if (config.authenticator !== 'none' && protocolVersion === 5) authenticateConnect(d)
  const { clientId, asksCleanStart: cleanStart, keepAlive } = outage
  d.send({ type: 'connect', clientId, cleanStart, keepAlive, protocolVersion })
}

/**
 * @returns whether the next CONNECT asks for a new session. In MQTT 3 `config.cleanStart` alone
 * decides. In MQTT 5 it decides for the first connection too, and for each if it is `always`. Later
 * connections ask to resume, unless the server cannot have the session: it must have expired, or it
 * belongs to another client identifier. A session store that holds nothing asks to resume as well,
 * because there are servers that keep no session over their own restart that began with Clean
 * Start 1. If a message that cannot be accepted waits in the session, it is given up.
 */
function asksCleanStart(d: Draft, outage: Mutable<Outage>, at: number): boolean {
  const { config, connection } = d
  if (config.cleanStart === 'always' || isLockedOut(d)) return true
  if (connection.protocolVersion < 5) return config.cleanStart
  if (outage.foreign) return true
  if (connection.epoch > 0) return at >= outage.expiresAt
  return config.cleanStart
}

// ------------------------------------------------------------------------------------- the CONNACK

export function connackReceived(d: Draft, packet: ReceivedConnack, at: number): void {
  const { connection, config } = d
  const refusal = connackRefusal(packet)
  if (refusal !== null) {
    if (refusal.code === 'UNSUPPORTED_VERSION' && fallBackToVersion4(d, 'refused'))
      return redial(d, at)
    return drop(d, at, refusal, 'retry', 'none')
  }
  const { exchange } = connection
  if (exchange !== null && exchange.turn !== 'theirs') {
    return violated(d, at, protocolError('MQTT-4.12.0-6', 'CONNACK before the answer to an AUTH'))
  }
  if (resumesUnknownSession(d, packet)) return violated(d, at, UNKNOWN_SESSION, true)
  const violation = connackViolation(d, packet)
  if (violation !== null) return violated(d, at, violation)
  const limits = limitsOf(packet, config)
  if (limits.maximumPacketSize < ACK_BYTES) {
    const message =
      `The server takes packets of ${limits.maximumPacketSize} bytes at most:` +
      ' nothing can be sent.'
    const reason = makeFailure('handshake', 'refused', 'SERVER_LIMITS', false, message)
    return drop(d, at, reason, 'fail', 'none')
  }
  if (exchange === null) return accepted(d, packet, limits, at)
  connection.connack = packet
  verifyConnack(d, packet.properties)
  d.effects.push({ type: 'pauseReading' })
}

/** @returns the rule that an accepting CONNACK breaks, or null. */
function connackViolation(d: Draft, packet: ReceivedConnack): Violation | null {
  const { config } = d
  if (packet.sessionPresent && d.reconnect.outage!.asksCleanStart) {
    const what = 'CONNACK with Session Present 1 after Clean Start 1'
    const violation = deviates(d, 'SESSION_PRESENT_UNASKED', what)
    if (violation !== null) return violation
  }
  if (packet.properties?.['assignedClientIdentifier'] === '') {
    const what = 'CONNACK with an Assigned Client Identifier that is empty'
    const violation = deviates(d, 'PROPERTY_VALUE', what, '3.2.2.3.7')
    if (violation !== null) return violation
  }
  const method = packet.properties?.['authenticationMethod']
  if (config.authenticationMethod === null) {
    const data = packet.properties?.['authenticationData']
    if (method === undefined && data === undefined) return null
    const what = 'CONNACK with an Authentication Method that was not asked for'
    return deviates(d, 'UNASKED_AUTHENTICATION', what)
  }
  if (method !== undefined && method !== config.authenticationMethod) {
    const message = 'CONNACK with an Authentication Method that was not asked for'
    return protocolError('MQTT-4.12.0-5', message)
  }
  if (method === undefined) {
    const message = 'CONNACK without the Authentication Method of the CONNECT'
    return protocolError('MQTT-4.12.0-5', message)
  }
  return null
}

const UNKNOWN_SESSION = protocolError(
  'MQTT-3.2.2-4',
  'The server holds a session of which this process knows nothing. Pass the saved session as the' +
    ' option `session`, use the session of the server as it is with session: "adopt", or begin a' +
    ' new one with cleanStart: true',
)

/** @returns whether the server resumes a session that is not known here and may not be adopted. */
function resumesUnknownSession(
  { config, connection, reconnect }: Draft,
  packet: ReceivedConnack,
): boolean {
  if (!packet.sessionPresent || connection.protocolVersion < 5) return false
  if (reconnect.outage!.asksCleanStart) return false
  return connection.epoch === 0 && !config.resumes && !config.adopt
}

/** Continues after a CONNACK that the authenticator has accepted. */
export function verified(d: Draft, at: number): void {
  const { connack } = d.connection
  d.connection.exchange = null
  d.effects.push({ type: 'resumeReading' })
  if (connack !== null) accepted(d, connack, limitsOf(connack, d.config), at)
}

// ------------------------------------------------------------------------------- after the CONNACK

function accepted(d: Draft, packet: ReceivedConnack, limits: Limits, at: number): void {
  const { config, reconnect } = d
  const outage = reconnect.outage!
  // MQTT 3 cannot ask for a new session that survives its connection, so the server may resume that
  // of another identifier.
  const sessionPresent = packet.sessionPresent && !outage.foreign && !outage.asksCleanStart
  noteSessions(d, packet.sessionPresent)
  noteConnected(d, packet, limits, outage, at)
  enter(d, 'connected', at, sessionPresent)
  incomingConnected(d, sessionPresent)
  // Whoever takes only messages must know, too, which of them came on an earlier connection.
  d.yield(packet, 0, 0, true)
  const unanswered = outgoingConnected(d, sessionPresent, config.onSessionLost)
  noteConnection(d)
  sortWaiting(d)
  renew(d, wantedRenewals(d, sessionPresent, unanswered), at)
  watchSilence(d, sessionPresent, at)
  const { cautious } = d.session
  d.connection.pingAnswered = cautious && d.progress.unprovable
  if ((cautious && !d.progress.unprovable) || d.flow.diverting) sendPing(d, 0, at)
  if (d.connection.birthsPending) d.effects.push({ type: 'births', packet })
  else flush(d, at)
}

/** Renews subscriptions together, and those that are suspected one at a time (`window.ts`). */
function renew(d: Draft, wanted: readonly Wanted[], at: number): void {
  const { cautious } = d.session
  const apart = cautious ? wanted.filter((one) => isApart(d, one)) : NO_ITEMS
  const together = apart.length === 0 ? wanted : wanted.filter((one) => !isApart(d, one))
  const renewals = makeRenewals(d, together, filtersAllowed(d, true))
  queueRenewals(d, renewals, makeRenewals(d, apart, 1))
  d.isolation = null
  if (cautious) {
    d.isolation = {
      unproven: NO_ITEMS,
      pingsAhead: 0,
      sentAt: at,
      handed: 0,
      deliveriesBy: at + DELIVERIES_MS,
      birthsDeferred: d.config.hasBirths,
      excused: NO_ITEMS,
    }
  }
  sendRenewals(d, at)
}

function isApart({ progress }: Draft, { subscription }: Wanted): boolean {
  return isAccused(progress, subscription.topic)
}

function noteConnected(
  d: Draft,
  packet: ReceivedConnack,
  limits: Limits,
  outage: Outage,
  at: number,
): void {
  const { connection, session, reconnect } = d
  noteAdoption(d, outage, packet.sessionPresent)
  connection.epoch++
  connection.connackAt = at
  connection.connectBy = Infinity
  connection.connack = packet
  connection.limits = limits
  // While something is suspected, births would only add to it.
  connection.birthsPending = d.config.hasBirths && !session.cautious
  connection.reason = null
  reconnect.everConnected = true
  reconnect.versionMayFall = false
  if (outage.redirect?.permanent) reconnect.moved = outage.redirect.reference
  reconnect.outage = null
  session.protocolVersion = connection.protocolVersion
  const assigned = packet.properties?.['assignedClientIdentifier']
  session.clientId = typeof assigned === 'string' && assigned !== '' ? assigned : outage.clientId
  const seconds = packet.properties?.['serverKeepAlive'] as number | undefined
  d.keepAlive = keepAliveStart(seconds ?? outage.keepAlive, at)
}

/**
 * A session that the server has and this process does not know is adopted. An earlier process may
 * have left any packet identifier in use there, and so may one in a session that the server resumed
 * although a new one was due.
 */
function noteAdoption(d: Draft, outage: Outage, sessionPresent: boolean): void {
  const { session, connection, config } = d
  const first = connection.epoch === 0 && !config.resumes && !config.generatedClientId
  const unknown = first && !outage.asksCleanStart
  session.adopted = sessionPresent && (session.adopted || unknown)
  if (!sessionPresent) session.doubtfulIds = 0
  else if (unknown || outage.asksCleanStart || outage.foreign) session.doubtfulIds = MESSAGE_IDS
}
