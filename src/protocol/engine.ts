/**
 * `step`: the one place where the reducers meet.
 *
 * Each input is routed to what it concerns, and after each the same questions are asked again: may bytes be read, is a ping
 * due, is the loop done? A connection goes down in two parts: `drop` decides (what the loss means for requests and messages,
 * and what comes after), then `lost` reports that the transport is really gone, and only then a new one is dialled.
 */
import { unreachable } from '../errors.ts'
import type {
  Config,
  ConnackPacket,
  Failure,
  Input,
  ReasonPacket,
  ServerPacket,
  SessionState,
  State,
  Step,
} from './contract.ts'
import { Draft } from './draft.ts'
import { activeAt, decideReading, setPaused } from './flow.ts'
import {
  connackRefusal,
  DEFAULT_LIMITS,
  disconnectFailure,
  limitsOf,
  SUSPICIOUS,
} from './handshake.ts'
import {
  acknowledged,
  handledThrough,
  incomingConnected,
  incomingLost,
  oldestPendingAt,
  publishReceived,
  pubrelReceived,
} from './incoming.ts'
import {
  deadAt,
  keepAlivePinged,
  keepAliveReceived,
  keepAliveSent,
  keepAliveStart,
  keepAliveWritten,
  pingDueAt,
} from './keepalive.ts'
import {
  ANSWER_BYTES,
  cancel,
  confirmed,
  expire,
  flush,
  oldestSentAt,
  outgoingConnected,
  outgoingLost,
  publishAnswered,
  sendRenewal,
  sortWaiting,
  subscriptionAnswered,
  take,
  takeBirths,
  timeOut,
  waitingCount,
} from './outgoing.ts'
import { emptyTable } from './packet-table.ts'
import { mayRetry, retryDelayMs } from './reconnect.ts'
import { renewals, renewed, subscribed, unsubscribed } from './subscriptions.ts'
import { hex } from './words.ts'

/** How long a transport may take to close once nothing more is written (E2). */
const CLOSE_MS = 1000
/** A server that closes this soon after its CONNACK, so often in a row, has probably another client with our identifier. */
const QUICK_CLOSE_MS = 5000
const QUICK_CLOSES = 5

export function initialSession(clientId: string): SessionState {
  return {
    clientId,
    protocolVersion: 0,
    open: emptyTable(),
    owed: 0,
    waiting: [],
    waitingAt: 0,
    waitingExpiresAt: Infinity,
    nextMessageId: 1,
    nextOrder: 1,
    cautiousBelow: 0,
    received: emptyTable(),
    nextDeliveryId: 1,
    subscriptions: emptyTable(),
    subscriptionCount: 0,
    adopted: false,
  }
}

export function initialState(config: Config, session: SessionState): State {
  return {
    config,
    session,
    connection: {
      kind: 'idle',
      reason: null,
      epoch: 0,
      engaged: false,
      opened: false,
      protocolVersion: config.protocolVersion,
      heard: false,
      connectBy: Infinity,
      connackAt: -1,
      retryAt: Infinity,
      closeBy: Infinity,
      verdict: null,
      drainBy: Infinity,
      connack: null,
      limits: DEFAULT_LIMITS,
      birthsPending: false,
      pings: 0,
      pingAnswered: false,
      endsWith: null,
    },
    keepAlive: keepAliveStart(0, 0),
    reconnect: {
      policy: config.reconnect,
      attempt: 0,
      everConnected: false,
      version: config.protocolVersion,
      versionMayFall: config.versionMayFall,
      quickCloses: 0,
    },
    outgoing: {
      inFlight: 0,
      resend: [],
      resendAt: 0,
      subscribing: 0,
      unconfirmed: 0,
      ackCheckAt: Infinity,
    },
    incoming: {
      pending: emptyTable(),
      pendingFrom: 1,
      nextSequence: 1,
      epochFrom: 1,
      yieldedThrough: 0,
      inHand: 0,
      unacknowledged: 0,
      aliases: [],
    },
    flow: {
      bufferedPackets: 0,
      bufferedBytes: 0,
      paused: false,
      pausedUntil: Infinity,
      perSecond: 0,
      nextTransmissionAt: 0,
      congested: false,
      requestsEnded: false,
      consumerAwaitedSince: -1,
      warned: false,
      pausedMs: 0,
      pausedSince: 0,
    },
    counters: { taken: 0, settled: 0, sent: 0, received: 0, acknowledged: 0, reconnections: {} },
  }
}

/** `step(s, [a, b])` is stepping a, then b. */
export function step(state: State, input: Input | readonly Input[]): Step {
  const d = new Draft(state)
  if (isList(input)) for (const one of input) handle(d, one)
  else handle(d, input)
  return { state: d.finish(), effects: d.effects }
}

function isList(input: Input | readonly Input[]): input is readonly Input[] {
  return Array.isArray(input)
}

function handle(d: Draft, input: Input): void {
  if (d.connection.kind === 'closed' || d.connection.kind === 'failed') return
  route(d, input)
  endWhenDone(d, input.at)
  decideReading(d, input.at)
  if (d.sent) keepAliveSent(d.keepAlive, input.at)
  d.sent = false
}

function route(d: Draft, input: Input): void {
  const { at } = input
  switch (input.type) {
    case 'start':
      if (d.connection.kind === 'idle') dial(d, at, at + d.config.connectTimeoutMs)
      return
    case 'opened':
      return opened(d)
    case 'received':
      return received(d, input.packets, at)
    case 'malformed':
      return violation(d, at, input.reasonCode, input.clause, input.message)
    case 'written':
      keepAliveWritten(d.keepAlive, at, input.ping, input.more)
      return confirmed(d, input.publishes)
    case 'congestion':
      d.flow.congested = input.congested
      return
    case 'lost':
      return lost(d, input)
    case 'requests':
      for (const facts of input.requests) take(d, facts, at, input.hold)
      return
    case 'refused':
      d.counters.taken += input.count
      d.counters.settled += input.count
      return
    case 'births':
      takeBirths(d, input.requests, at)
      d.connection.birthsPending = false
      return flush(d, at)
    case 'requestsEnded':
      d.flow.requestsEnded = true
      return
    case 'cancel':
      return cancel(d, input.handle, input.cause)
    case 'pulled':
      d.flow.bufferedPackets -= input.packets
      d.flow.bufferedBytes -= input.bytes
      d.incoming.yieldedThrough = Math.max(d.incoming.yieldedThrough, input.yieldedThrough)
      if (input.handledThrough > 0) handledThrough(d, input.handledThrough)
      return
    case 'ack':
      return acknowledged(d, input.sequence, input.messageId, input.reasonCode)
    case 'pause':
      return setPaused(d, at, input.ms === Infinity ? Infinity : at + input.ms)
    case 'resume':
      return setPaused(d, at, null)
    case 'throttle':
      d.flow.perSecond = input.perSecond
      d.flow.nextTransmissionAt = at
      return flush(d, at)
    case 'reconnect':
      return reconnect(d, input.policy, at)
    case 'ping':
      if (d.connection.kind === 'connected') ping(d)
      return
    case 'disconnect':
      d.connection.drainBy = Math.min(d.connection.drainBy, at + input.timeoutMs)
      d.connection.endsWith ??= input.failure
      return
    case 'shutdown':
      d.connection.endsWith ??= input.failure
      return close(d, at)
    case 'tick':
      return tick(d, at)
    default:
      return unreachable(input)
  }
}

// ------------------------------------------------------------------------------------------------------------- connecting

function dial(d: Draft, at: number, connectBy: number): void {
  const { connection } = d
  connection.kind = 'connecting'
  connection.engaged = true
  connection.opened = false
  connection.heard = false
  connection.verdict = null
  connection.closeBy = Infinity
  connection.retryAt = Infinity
  connection.connectBy = Math.max(connectBy, at)
  connection.protocolVersion = d.reconnect.version
  connection.connackAt = -1
  connection.pings = 0
  connection.pingAnswered = false
  d.keepAlive = keepAliveStart(0, at)
  d.effects.push({ type: 'dial', protocolVersion: d.reconnect.version })
}

function opened(d: Draft): void {
  const { connection } = d
  if (connection.kind !== 'connecting') return
  connection.opened = true
  const { protocolVersion } = connection
  d.send({ type: 'connect', cleanStart: asksCleanStart(d), protocolVersion })
}

/** The first connection as the user said; later ones ask to resume, but for MQTT 3 with Clean Session. */
function asksCleanStart(d: Draft): boolean {
  if (d.connection.epoch === 0 || d.connection.protocolVersion < 5) return d.config.cleanStart
  return false
}

function connackReceived(d: Draft, packet: ConnackPacket, at: number): void {
  const { connection, session, config } = d
  const refusal = connackRefusal(packet)
  if (refusal !== null) {
    if (refusal.code === 'UNSUPPORTED_VERSION' && fallBack(d, at)) return
    return drop(d, at, refusal, 'retry', false)
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
  const { sessionPresent } = packet
  const first = connection.epoch === 0
  connection.kind = 'connected'
  connection.epoch++
  connection.connackAt = at
  connection.connectBy = Infinity
  connection.connack = packet
  connection.limits = limits
  connection.birthsPending = config.hasBirths
  d.reconnect.everConnected = true
  d.reconnect.versionMayFall = false
  session.protocolVersion = connection.protocolVersion
  const assigned = packet.properties?.['assignedClientIdentifier']
  if (typeof assigned === 'string') session.clientId = assigned
  const seconds = packet.properties?.['serverKeepAlive'] as number | undefined
  d.keepAlive = keepAliveStart(seconds ?? config.keepAlive, at)
  session.adopted = sessionPresent && (session.adopted || (first && adopts(d)))
  incomingConnected(d, sessionPresent)
  handOver(d, packet)
  outgoingConnected(d, sessionPresent, config.onSessionLost)
  sortWaiting(d)
  if (!sessionPresent && session.subscriptionCount > 0) {
    for (const facts of renewals(d.subscriptions.finish(), limits.maximumPacketSize)) {
      sendRenewal(d, facts, at)
    }
  }
  if (session.cautiousBelow > 0) ping(d)
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
  if (packet.sessionPresent && asksCleanStart(d)) {
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
function fallBack(d: Draft, at: number): boolean {
  const { reconnect, connection } = d
  if (!reconnect.versionMayFall || connection.protocolVersion !== 5) return false
  reconnect.version = 4
  reconnect.versionMayFall = false
  if (connection.engaged && connection.verdict === null && connection.kind === 'connecting') {
    const message = 'The server does not speak MQTT 5; asking for 3.1.1.'
    connection.reason = failure('handshake', 'refused', 'UNSUPPORTED_VERSION', true, message)
    connection.verdict = 'now'
    connection.kind = 'disconnected'
    connection.closeBy = at
    d.effects.push({ type: 'destroy' })
  }
  return true
}

// -------------------------------------------------------------------------------------------------------------- receiving

function received(d: Draft, packets: readonly ServerPacket[], at: number): void {
  keepAliveReceived(d.keepAlive, at)
  d.connection.heard = true
  for (const packet of packets) {
    const { kind } = d.connection
    if (kind === 'connected') packetReceived(d, packet, at)
    else if (kind === 'connecting') firstReceived(d, packet, at)
    else return
  }
}

function firstReceived(d: Draft, packet: ServerPacket, at: number): void {
  if (packet.cmd === 'connack') return connackReceived(d, packet, at)
  if (packet.cmd === 'auth') return authReceived(d, packet, at)
  const code = packet.cmd === 'disconnect' ? ` (${hex(packet.reasonCode)})` : ''
  const message = `${packet.cmd.toUpperCase()}${code} before CONNACK`
  violation(d, at, 0x82, 'MQTT-3.2.0-1', message)
}

function packetReceived(d: Draft, packet: ServerPacket, at: number): void {
  switch (packet.cmd) {
    case 'publish': {
      const broken = publishReceived(d, packet, at)
      if (broken !== null) violation(d, at, broken.reasonCode, broken.clause, broken.message)
      return
    }
    case 'puback':
    case 'pubrec':
    case 'pubcomp': {
      const broken = unwantedInformation(d, packet) ?? publishAnswered(d, packet, at)
      if (broken !== null) violation(d, at, 0x82, broken.clause, broken.message)
      return
    }
    case 'pubrel': {
      const broken = pubrelReceived(d, packet)
      if (broken !== null) violation(d, at, broken.reasonCode, broken.clause, broken.message)
      else handOver(d, packet)
      return
    }
    case 'suback':
    case 'unsuback': {
      const result =
        unwantedInformation(d, packet) ??
        subscriptionAnswered(d, packet, d.connection.protocolVersion, at)
      if (result === null) return
      if ('clause' in result) return violation(d, at, 0x82, result.clause, result.message)
      const { facts, stage } = result
      if (facts.kind === 'unsubscribe') {
        unsubscribed(d, facts.unsubscriptions, packet.granted)
      } else if (facts.kind === 'subscribe') {
        if (stage === 'renewal') renewed(d, facts, packet.granted)
        else subscribed(d, facts, packet.granted)
      }
      return
    }
    case 'pingresp':
      handOver(d, packet)
      if (d.connection.pings === 0) return
      d.connection.pings--
      d.connection.pingAnswered = true
      d.effects.push({ type: 'pong' })
      return flush(d, at)
    case 'disconnect': {
      handOver(d, packet)
      const said = disconnectFailure(packet)
      return drop(d, at, said, 'retry', SUSPICIOUS.has(packet.reasonCode))
    }
    case 'auth':
      return authReceived(d, packet, at)
    case 'connack':
      return violation(d, at, 0x82, 'MQTT-3.2.0-2', 'A second CONNACK')
    default:
      return unreachable(packet)
  }
}

function handOver(d: Draft, packet: ServerPacket): void {
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

/** After Request Problem Information 0 only some packets may carry reasons. [MQTT-3.1.2-29] */
function unwantedInformation(
  d: Draft,
  packet: ServerPacket,
): { clause: string; message: string } | null {
  if (d.config.requestProblemInformation || !('properties' in packet)) return null
  const { properties } = packet
  if (properties?.['reasonString'] === undefined && properties?.['userProperties'] === undefined) {
    return null
  }
  const message = `${packet.cmd.toUpperCase()} with a reason although Request Problem Information is 0`
  return { clause: 'MQTT-3.1.2-29', message }
}

function authReceived(d: Draft, packet: ReasonPacket, at: number): void {
  const method = d.config.authenticationMethod
  const expected =
    method !== null &&
    d.connection.kind === 'connecting' &&
    packet.reasonCode === 0x18 &&
    packet.properties?.['authenticationMethod'] === method
  if (!expected) return violation(d, at, 0x82, 'MQTT-4.12.0-6', 'An AUTH that was not asked for')
  const message = `The server goes on with authentication method "${method}", for which there is no authenticator.`
  if (d.connection.protocolVersion === 5) {
    d.send({ type: 'disconnect', reasonCode: 0x8c, properties: undefined })
  }
  const said = failure('handshake', 'usage', 'NO_AUTHENTICATOR', false, message)
  drop(d, at, said, 'fail', false)
}

// ----------------------------------------------------------------------------------------------------------- going down

/** The peer broke a rule: MQTT 5 tells it which [MQTT-4.13.1-1], then the connection is closed [MQTT-4.8.0-1 in 3.1.1]. */
function violation(
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

function failure(
  phase: Failure['phase'],
  source: Failure['source'],
  code: string,
  retryable: boolean,
  message: string,
): Failure {
  return { phase, source, code, retryable, message }
}

/** We give this connection up, for `reason`; the transport is told to close. */
function drop(
  d: Draft,
  at: number,
  reason: Failure,
  verdict: 'retry' | 'now' | 'fail',
  suspicious: boolean,
): void {
  down(d, at, reason, suspicious)
  d.connection.kind = 'disconnected'
  d.connection.verdict = verdict
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
  }
  const stable = connection.connackAt >= 0 && at - connection.connackAt >= reconnect.policy.stableMs
  if (stable) reconnect.attempt = -1
  connection.birthsPending = false
  connection.connack = null
  d.flow.congested = false
}

function lost(d: Draft, input: Extract<Input, { type: 'lost' }>): void {
  const { connection, reconnect } = d
  const { at } = input
  if (!connection.engaged) return
  connection.engaged = false
  connection.opened = false
  connection.closeBy = Infinity
  let verdict = connection.verdict
  if (verdict === null) {
    const was = connection.kind
    const mute = was === 'connecting' && !connection.heard && input.byPeer
    if (mute && fallBack(d, at)) verdict = 'now'
    else {
      // MQTT 3 has no reason codes: a plain close is all that a server can say. (D6)
      const suspicious = input.byPeer && connection.protocolVersion < 5
      noteQuickClose(d, at, input.byPeer)
      down(d, at, input.failure, suspicious)
      verdict = 'retry'
    }
  }
  connection.verdict = null
  const reason = { ...(connection.reason ?? input.failure) }
  if (verdict === 'end') return finished(d, connection.endsWith)
  if (verdict === 'now') {
    connection.kind = 'disconnected'
    return dial(d, at, Math.min(connection.connectBy, at + d.config.connectTimeoutMs))
  }
  const judged = { ...reason, retryable: input.retryable ?? reason.retryable }
  const allowed = input.retryable === true ? whenAllows(d) : mayRetry(reconnect, judged)
  if (verdict === 'fail' || !allowed) return finished(d, connection.endsWith ?? judged)
  const stable = reconnect.attempt < 0
  const attempt = Math.max(0, reconnect.attempt)
  connection.kind = 'disconnected'
  connection.reason = judged
  connection.retryAt = at + retryDelayMs(reconnect.policy, attempt, judged, stable, input.random)
  reconnect.attempt = stable ? 0 : attempt + 1
  const { reconnections } = d.counters
  d.counters.reconnections = {
    ...reconnections,
    [judged.code]: (reconnections[judged.code] ?? 0) + 1,
  }
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

function reconnect(d: Draft, policy: State['reconnect']['policy'] | null, at: number): void {
  if (policy !== null) d.reconnect.policy = policy
  const { connection } = d
  if (connection.kind === 'connected') {
    d.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
    const message = 'The user asked to reconnect.'
    drop(d, at, failure('connected', 'usage', 'RECONNECT', true, message), 'now', false)
    connection.connectBy = Infinity
    const { reconnections } = d.counters
    d.counters.reconnections = {
      ...reconnections,
      RECONNECT: (reconnections['RECONNECT'] ?? 0) + 1,
    }
  } else if (connection.kind === 'disconnected' && !connection.engaged) {
    dial(d, at, at + d.config.connectTimeoutMs)
  }
}

// ----------------------------------------------------------------------------------------------------------------- ending

/** E1 and `disconnect`: nothing more can happen, or nothing more may. */
function endWhenDone(d: Draft, at: number): void {
  const { connection, session, outgoing } = d
  if (connection.kind === 'closing' || connection.verdict === 'end') return
  const settled = session.owed === 0 && waitingCount(session) === 0 && outgoing.unconfirmed === 0
  if (connection.drainBy < Infinity && (settled || at >= connection.drainBy)) return close(d, at)
  if (connection.kind !== 'connected' || connection.birthsPending || !settled) return
  const { until } = d.config
  if (until === 'closed' || !d.flow.requestsEnded || d.flow.bufferedPackets > 0) return
  if (until === 'idle' && (session.subscriptionCount > 0 || session.adopted)) return
  // What the consumer of `acks: 'manual'` has not acknowledged is its own business.
  if (d.config.acks !== 'manual' && (d.pending.size > 0 || d.received.size > 0)) return
  close(d, at)
}

/** Says goodbye and closes (E2); where there is nobody to say it to, ends at once. */
function close(d: Draft, at: number): void {
  const { connection } = d
  if (connection.verdict === 'end') return
  if (connection.kind === 'connected') {
    const forget = d.config.cleanStart && connection.limits.sessionExpiryInterval > 0
    const properties =
      connection.protocolVersion === 5 && forget ? { sessionExpiryInterval: 0 } : undefined
    const { disconnectReason: reasonCode } = d.config
    d.send({ type: 'disconnect', reasonCode, properties })
    d.effects.push({ type: 'close', patient: true })
    connection.closeBy = at + CLOSE_MS
  } else if (connection.engaged) {
    if (connection.verdict === null) d.effects.push({ type: 'destroy' })
  } else {
    return finished(d, connection.endsWith)
  }
  if (connection.kind === 'connected') incomingLost(d)
  connection.kind = 'closing'
  connection.verdict = 'end'
}

function finished(d: Draft, reason: Failure | null): void {
  const { connection } = d
  outgoingLost(d, false, reason ?? ENDED)
  connection.kind = reason === null ? 'closed' : 'failed'
  connection.reason = reason
  connection.retryAt = Infinity
  d.effects.push({ type: 'finished', failure: reason })
}

const ENDED = failure('connected', 'connection', 'CLOSED', false, 'The loop has ended.')

// ------------------------------------------------------------------------------------------------------------------- time

function ping(d: Draft): void {
  d.connection.pings++
  keepAlivePinged(d.keepAlive)
  d.send({ type: 'pingreq' })
}

function tick(d: Draft, at: number): void {
  const { connection, flow, session } = d
  if (at >= connection.closeBy) {
    connection.closeBy = Infinity
    d.effects.push({ type: 'destroy' })
  }
  if (connection.kind === 'disconnected' && !connection.engaged && at >= connection.retryAt) {
    return dial(d, at, at + d.config.connectTimeoutMs)
  }
  if (connection.kind === 'connecting' && at >= connection.connectBy) {
    const phase = connection.opened ? 'handshake' : 'dial'
    const message = `No CONNACK within ${d.config.connectTimeoutMs} ms (connectTimeout).`
    drop(d, at, failure(phase, 'connection', 'CONNECT_TIMEOUT', true, message), 'retry', false)
    d.effects.push({ type: 'destroy' })
    return
  }
  if (at >= flow.pausedUntil) setPaused(d, at, null)
  if (at >= session.waitingExpiresAt) expire(d, at)
  if (connection.kind !== 'connected') return
  flush(d, at)
  tickAcknowledgements(d, at)
  tickWarnings(d, at)
  if (connection.kind === 'connected') tickKeepAlive(d, at)
}

function tickKeepAlive(d: Draft, at: number): void {
  const { keepAlive } = d
  if (at >= deadAt(keepAlive)) {
    const message = `Nothing was heard within one and a half times the keep alive (${keepAlive.intervalMs / 1000} s).`
    drop(
      d,
      at,
      failure('connected', 'connection', 'KEEP_ALIVE_TIMEOUT', true, message),
      'retry',
      false,
    )
    d.effects.push({ type: 'destroy' })
  } else if (at >= pingDueAt(keepAlive)) {
    ping(d)
  }
}

function tickAcknowledgements(d: Draft, at: number): void {
  const { ackTimeout } = d.config
  const now = activeAt(d.flow, at)
  if (ackTimeout === null || d.flow.paused || now < d.outgoing.ackCheckAt) return
  const oldest = oldestSentAt(d.open.finish(), d.connection.epoch)
  const overdue = oldest + ackTimeout.afterMs <= now
  if (overdue && ackTimeout.then === 'reconnect') {
    const message = `The server did not acknowledge within ${ackTimeout.afterMs} ms (ackTimeout).`
    const reason = failure('connected', 'connection', 'ACK_TIMEOUT', true, message)
    return drop(d, at, reason, 'retry', false)
  }
  if (overdue) timeOut(d, now - ackTimeout.afterMs)
  const next = overdue ? oldestSentAt(d.open.finish(), d.connection.epoch) : oldest
  d.outgoing.ackCheckAt = next + ackTimeout.afterMs
}

/** A consumer that waits for its own outcome in the loop body, or forgets to acknowledge, is told so once. (C21, C24) */
function tickWarnings(d: Draft, at: number): void {
  const { flow, config } = d
  if (flow.warned) return
  if (flow.consumerAwaitedSince >= 0 && at >= flow.consumerAwaitedSince + config.warnAfterMs) {
    flow.warned = true
    const message = `${flow.bufferedPackets} packets wait for next() since ${config.warnAfterMs} ms, and no more are read. A loop body that awaits the outcome of its own request waits for ever.`
    d.effects.push({ type: 'warn', code: 'CONSUMER_STALLED', message })
  }
  if (config.acks === 'manual' && at >= oldestPendingAt(d.incoming) + config.warnAfterMs) {
    flow.warned = true
    const message = `A message was received ${config.warnAfterMs} ms ago and is not acknowledged; those behind it cannot be either. Call ack(packet).`
    d.effects.push({ type: 'warn', code: 'ACKNOWLEDGEMENT_FORGOTTEN', message })
  }
}
