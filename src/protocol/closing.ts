/**
 * How does a connection end, and how does the loop? (E1, when the loop ends by itself; E2, an
 * orderly end)
 *
 * A connection ends in two parts. `drop` decides what the loss means for requests and messages, and
 * what comes afterwards. The input `lost` (see `retrying.ts`) reports that the transport has
 * closed, and only then the next one is dialled.
 */
import type { Draft } from './draft.ts'
import { type Failure, makeFailure, type Violation } from './facts.ts'
import { incomingLost } from './incoming.ts'
import { enter } from './lifecycle.ts'
import { noteKept } from './renewing.ts'
import { outgoingLost } from './resuming.ts'
import { beginOutage } from './servers.ts'
import type { AfterClose } from './state.ts'
import { noteFiltersLost } from './subscribing.ts'
import { type Evidence, noteLoss } from './suspicion.ts'
import { waitingCount } from './window.ts'

/** How long a transport may take to close after the last write, in ms. */
const CLOSE_MS = 1000

/** The size of a DISCONNECT with a reason code. */
const DISCONNECT_BYTES = 3

/** The size of a DISCONNECT with a Session Expiry Interval. */
const EXPIRING_DISCONNECT_BYTES = 9

/** The Session Expiry Interval of a session that never expires. (3.1.2.11.2) */
export const NEVER_EXPIRES = 0xffff_ffff

// ---------------------------------------------------------------------------------- one connection

/**
 * Closes the connection because the server broke a rule. MQTT 5 reports the rule in a DISCONNECT.
 * [MQTT-4.13.1-1; in 3.1.1: MQTT-4.8.0-1] With `fatal` the loop ends.
 */
export function violated(d: Draft, at: number, violation: Violation, fatal = false): void {
  const { kind, protocolVersion, limits, opened } = d.connection
  if (kind !== 'connected' && kind !== 'connecting') return
  const { reasonCode, clause, message, code = 'PROTOCOL' } = violation
  if (protocolVersion === 5 && opened && limits.maximumPacketSize >= DISCONNECT_BYTES) {
    d.send({ type: 'disconnect', reasonCode, properties: undefined })
  }
  const phase = kind === 'connected' ? 'connected' : 'handshake'
  const reason: Failure = {
    ...makeFailure(phase, 'protocol', code, !fatal, `${message} [${clause}].`),
    reasonCode,
    clause,
  }
  drop(d, at, reason, fatal ? 'fail' : 'retry', 'closed')
}

/**
 * Gives the connection up for `reason` and closes its transport. `evidence`: what that says about
 * the requests that were open.
 */
export function drop(
  d: Draft,
  at: number,
  reason: Failure,
  afterClose: AfterClose,
  evidence: Evidence,
): void {
  connectionLost(d, at, reason, evidence)
  enter(d, 'disconnected', at)
  d.connection.afterClose = afterClose
  d.connection.closeBy = at + CLOSE_MS
  d.effects.push({ type: 'close', patient: false })
}

/** Notes what the end of a connection means for requests and messages. */
export function connectionLost(d: Draft, at: number, reason: Failure, evidence: Evidence): void {
  const { connection, reconnect } = d
  noteLoss(d, at, reason, evidence)
  connection.reason = reason
  if (connection.kind === 'connected' || connection.kind === 'closing') {
    if (evidence !== 'none') noteFiltersLost(d, evidence === 'closed')
    outgoingLost(d, reason)
    noteKept(d)
    incomingLost(d)
    beginOutage(d, at, sessionExpiresAt(d, at))
  }
  const stable = connection.connackAt >= 0 && at - connection.connackAt >= reconnect.policy.stableMs
  // -1 means "the last connection was stable". A reconnect without delay leaves it at -1, so it is
  // raised to 0 here if the connection that ends now was not stable.
  reconnect.attempt = stable ? -1 : Math.max(0, reconnect.attempt)
  if (stable) reconnect.redirects = 0
  connection.birthsPending = false
  connection.exchange = null
  connection.connack = null
  d.flow.congested = false
}

/**
 * The server may notice the end of the connection as late as 1.5 × Keep Alive.
 * @returns when the server must have ended the session, or Infinity if that is unknown.
 * (3.1.2.11.2)
 */
function sessionExpiresAt({ connection, keepAlive }: Draft, at: number): number {
  const { sessionExpiryInterval: seconds } = connection.limits
  const known = connection.protocolVersion === 5 && keepAlive.intervalMs > 0
  if (!known || seconds === NEVER_EXPIRES) return Infinity
  return at + 1.5 * keepAlive.intervalMs + seconds * 1000
}

// ---------------------------------------------------------------------------------------- the loop

/** Ends the loop if nothing more can happen, or if everything is settled after `disconnect`. */
export function endWhenDone(d: Draft, at: number): void {
  const { connection, session, outgoing } = d
  if (connection.kind === 'closing') return
  const settled =
    session.owed === 0 &&
    waitingCount(session) === 0 &&
    outgoing.unconfirmed === 0 &&
    d.flow.diverted === 0
  if (!settled) return
  if (connection.drainBy < Infinity) {
    if (!owesAcknowledgements(d)) close(d, at)
    return
  }
  if (connection.kind !== 'connected' || connection.birthsPending) return
  if (d.isolation?.birthsDeferred) return
  const { until } = d.config
  if (until === 'closed' || !d.flow.requestsEnded || d.flow.bufferedPackets > 0) return
  if (until === 'idle' && (session.subscriptionCount > 0 || session.adopted)) return
  // Messages that the consumer has to acknowledge by itself do not keep the loop alive.
  if (isAcknowledging(d) && (d.pending.size > 0 || d.received.size > 0)) return
  close(d, at)
}

/** @returns whether messages are acknowledged without the consumer calling `ack()`. */
function isAcknowledging({ config }: Draft): boolean {
  return config.acks === 'pull' || config.acks === 'receipt'
}

/** @returns whether the consumer had messages when draining began that are not acknowledged. */
function owesAcknowledgements({ connection, incoming, config }: Draft): boolean {
  if (connection.kind !== 'connected' || config.acks === 'none') return false
  return incoming.pendingFrom <= connection.drainThrough
}

/**
 * Takes nothing more, and closes once everything is settled and the consumer has acknowledged what
 * it had, at `drainBy` at the latest. A failure waits for no consumer.
 */
export function drain(d: Draft, at: number, drainBy: number, failure: Failure | null): void {
  const { connection } = d
  const begins = connection.drainBy === Infinity
  if (begins && failure === null) connection.drainThrough = d.incoming.yieldedThrough
  connection.drainBy = Math.min(connection.drainBy, drainBy)
  connection.endsWith ??= failure
  if (at >= connection.drainBy) close(d, at)
}

/** Sends DISCONNECT and closes. If there is no transport, the loop ends immediately. */
export function close(d: Draft, at: number): void {
  const { connection } = d
  if (connection.kind === 'closing') return
  if (connection.kind === 'connected') {
    const properties = endsSession(d) ? { sessionExpiryInterval: 0 } : undefined
    const { disconnectReason: reasonCode } = d.config
    d.send({ type: 'disconnect', reasonCode, properties })
    d.effects.push({ type: 'close', patient: true })
    connection.closeBy = at + CLOSE_MS
    incomingLost(d)
  } else if (connection.engaged) {
    if (connection.afterClose === null) d.effects.push({ type: 'destroy' })
  } else {
    return endLoop(d, connection.endsWith, at)
  }
  connection.exchange = null
  enter(d, 'closing', at)
  connection.afterClose = 'end'
}

/**
 * A session that nobody will resume ends with the loop, so that the server queues nothing for it.
 * The session of a generated client identifier is one, unless the user asked to keep it and
 * something is in flight: then `loop.session` may go to another loop.
 */
function endsSession({ config, connection, open, received }: Draft): boolean {
  const { maximumPacketSize, sessionExpiryInterval } = connection.limits
  if (connection.protocolVersion < 5 || sessionExpiryInterval === 0) return false
  if (maximumPacketSize < EXPIRING_DISCONNECT_BYTES) return false
  if (config.cleanStart !== false) return true
  return config.generatedClientId && open.size === 0 && received.size === 0
}

/** Ends the loop. `reason` is null if it ends well. */
export function endLoop(d: Draft, reason: Failure | null, at: number): void {
  const { connection } = d
  outgoingLost(d, reason ?? ENDED)
  connection.reason = reason
  connection.retryAt = Infinity
  enter(d, reason === null ? 'closed' : 'failed', at)
  d.effects.push({ type: 'finished', failure: reason })
}

const ENDED = makeFailure('connected', 'connection', 'CLOSED', false, 'The loop has ended.')
