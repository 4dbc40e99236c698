/**
 * `step`: the one place where the reducers meet.
 *
 * Each input is routed to what it concerns, and after each the same questions are asked again: may bytes be read, is the
 * loop done?
 */

import { unreachable } from '../errors.ts'
import { publishAnswered, subscriptionAnswered } from './acknowledgements.ts'
import { answer, authReceived, ended, reauthenticate } from './authentication.ts'
import type { Config } from './config.ts'
import {
  close,
  connackReceived,
  connectivity,
  dial,
  drop,
  endWhenDone,
  failure,
  handOver,
  lost,
  network,
  opened,
  ping,
  reconnect,
  suspend,
  suspendsAt,
  verified,
  violation,
} from './connection.ts'
import type { Input, Step } from './contract.ts'
import { diverted, probeDueAt, tickDivert } from './divert.ts'
import { Draft } from './draft.ts'
import type { Failure, ReasonPacket, ServerPacket } from './facts.ts'
import { activeAt, decideReading, setPaused } from './flow.ts'
import { DEFAULT_LIMITS, disconnectFailure, SUSPICIOUS } from './handshake.ts'
import {
  acknowledged,
  forgottenAt,
  handledThrough,
  headOf,
  publishReceived,
  pubrelReceived,
} from './incoming.ts'
import {
  deadAt,
  keepAliveReceived,
  keepAliveSent,
  keepAliveStart,
  keepAliveWritten,
  pingDueAt,
} from './keepalive.ts'
import { isWaiting } from './lifecycle.ts'
import {
  cancel,
  confirmed,
  expire,
  flush,
  oldestSentAt,
  take,
  takeBirths,
  takenApart,
  timeOut,
} from './outgoing.ts'
import { emptyTable } from './packet-table.ts'
import { hex } from './reason-codes.ts'
import type { SessionState } from './session-state.ts'
import type { State } from './state.ts'
import { renewed, subscribed, unsubscribed } from './subscriptions.ts'

/** One for all states that have none. */
const NONE: readonly never[] = []
const NO_RECONNECTIONS = {}

export function initialSession(clientId: string): SessionState {
  return {
    clientId,
    protocolVersion: 0,
    open: emptyTable(),
    owed: 0,
    waiting: NONE,
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
      afterClose: null,
      drainBy: Infinity,
      connack: null,
      limits: DEFAULT_LIMITS,
      birthsPending: false,
      pings: NONE,
      pingAnswered: false,
      exchange: null,
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
      host: 0,
      redirects: 0,
      moved: null,
      outage: null,
    },
    outgoing: {
      inFlight: 0,
      resend: NONE,
      resendAt: 0,
      subscribing: 0,
      unconfirmed: 0,
      apart: 0,
      ackCheckAt: Infinity,
      refused: NONE,
    },
    incoming: {
      pending: emptyTable(),
      pendingFrom: 1,
      nextSequence: 1,
      epochFrom: 1,
      yieldedThrough: 0,
      unhandledEarlier: 0,
      warnedFrom: 0,
      unacknowledged: 0,
      repeats: 0,
      aliases: NONE,
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
      diverting: false,
      diverted: 0,
    },
    counters: {
      taken: 0,
      settled: 0,
      sent: 0,
      received: 0,
      acknowledged: 0,
      reconnections: NO_RECONNECTIONS,
      roundTripMs: -1,
    },
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
  if (isOver(d)) {
    // What the consumer handles after the end, and what was taken before it, is remembered all the same.
    const counts = input.type === 'pulled' || input.type === 'diverted'
    if (counts || (input.type === 'requests' && input.hold)) route(d, input)
    return
  }
  d.input = input.type
  route(d, input)
  if (isOver(d)) return
  endWhenDone(d, input.at)
  if (isOver(d)) return
  decideReading(d, input.at)
  if (d.sent) keepAliveSent(d.keepAlive, input.at)
  d.sent = false
}

function isOver(d: Draft): boolean {
  return d.connection.kind === 'closed' || d.connection.kind === 'failed'
}

function route(d: Draft, input: Input): void {
  const { at } = input
  switch (input.type) {
    case 'start':
      if (d.connection.kind === 'idle') dial(d, at)
      return
    case 'opened':
      return opened(d, input.attempt, at)
    case 'connectivity':
      return connectivity(d, input.online, at)
    case 'network':
      return network(d, input.online, at)
    case 'authenticated':
      return authenticated(d, input.data, at)
    case 'unauthenticated':
      return unauthenticated(d, input.failure, at)
    case 'reauthenticate':
      if (mayReauthenticate(d)) reauthenticate(d, at)
      return
    case 'diverted':
      return diverted(d, input.handle, input.failure)
    case 'received':
      return received(d, input.packets, at)
    case 'malformed':
      return violation(d, at, input.reasonCode, input.clause, input.message)
    case 'written':
      keepAliveWritten(d.keepAlive, at, input.ping, input.more)
      return confirmed(d, input.publishes)
    case 'released':
      d.sent = true
      return
    case 'congestion':
      d.flow.congested = input.congested
      return
    case 'unwritable':
      d.connection.opened = false
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
    case 'apart':
      return takenApart(d, input.handle, input.requests, at)
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
      if (d.connection.kind === 'connected') ping(d, input.id, at)
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
  // The authenticator judges the CONNACK: what follows it is not ours yet, and comes again.
  if (d.connection.exchange?.turn === 'verifying') {
    if (packet.cmd !== 'disconnect') return
    return drop(d, at, disconnectFailure(packet), 'retry', false)
  }
  if (packet.cmd === 'connack') return connackReceived(d, packet, at)
  if (packet.cmd === 'auth') return authenticate(d, packet, at)
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
      return pingAnswered(d, at)
    case 'disconnect': {
      handOver(d, packet)
      const said = disconnectFailure(packet)
      return drop(d, at, said, 'retry', SUSPICIOUS.has(packet.reasonCode))
    }
    case 'auth':
      return authenticate(d, packet, at)
    case 'connack':
      return violation(d, at, 0x82, 'MQTT-3.2.0-2', 'A second CONNACK')
    default:
      return unreachable(packet)
  }
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

/** What nobody asked for answers nothing. */
function pingAnswered(d: Draft, at: number): void {
  const [answered, ...others] = d.connection.pings
  if (answered === undefined) return
  d.connection.pings = others
  d.connection.pingAnswered = true
  d.counters.roundTripMs = at - answered.sentAt
  d.flow.diverting = false
  d.effects.push({ type: 'pong', id: answered.id })
  flush(d, at)
}

// -------------------------------------------------------------------------------------------------------- authentication

/** Implementation specific error: the codes that say "not authorized" are the server's. (3.14.2.1) */
const GIVES_UP = 0x83

function authenticate(d: Draft, packet: ReasonPacket, at: number): void {
  const { config, connection } = d
  const method = config.authenticationMethod
  const asked = method !== null && packet.properties?.['authenticationMethod'] === method
  const mute = config.authenticator === 'none' && connection.kind === 'connecting'
  if (asked && mute && packet.reasonCode === 0x18) {
    const message = `The server goes on with authentication method "${method}", for which there is no authenticator.`
    const reason = failure('handshake', 'usage', 'NO_AUTHENTICATOR', false, message)
    return unauthenticated(d, reason, at)
  }
  const broken = authReceived(d, packet, at)
  if (broken !== null) return violation(d, at, 0x82, broken.clause, broken.message)
  handOver(d, packet)
}

/** The authenticator has answered, or is content. What comes too late finds no exchange that waits for it. */
function authenticated(d: Draft, data: Uint8Array | null, at: number): void {
  const { exchange, kind } = d.connection
  if (exchange === null || exchange.turn === 'theirs') return
  if (exchange.turn === 'ours') {
    if (answer(d, exchange, data)) return
    const message = 'The answer of the authenticator is larger than a packet that the server takes.'
    return unauthenticated(d, failure(phaseOf(d), 'usage', 'PACKET_TOO_LARGE', false, message), at)
  }
  if (kind === 'connecting') verified(d, at)
  else ended(d, null)
}

function phaseOf({ connection }: Draft): 'handshake' | 'connected' {
  return connection.kind === 'connected' ? 'connected' : 'handshake'
}

/** The authenticator could not go on, or does not trust the server. [MQTT-4.12.1-2] */
function unauthenticated(d: Draft, reason: Failure, at: number): void {
  const { kind, opened: open } = d.connection
  if (kind !== 'connected' && kind !== 'connecting') return
  if (open) d.send({ type: 'disconnect', reasonCode: GIVES_UP, properties: undefined })
  drop(d, at, reason, reason.retryable ? 'retry' : 'fail', false)
}

function mayReauthenticate({ connection, config }: Draft): boolean {
  return (
    connection.kind === 'connected' &&
    connection.protocolVersion === 5 &&
    config.authenticator !== 'none'
  )
}

// ------------------------------------------------------------------------------------------------------------------- time

function tick(d: Draft, at: number): void {
  const { connection, flow, session } = d
  if (at >= connection.closeBy) {
    connection.closeBy = Infinity
    d.effects.push({ type: 'destroy' })
  }
  if (isWaiting(connection.kind) && !connection.engaged) {
    if (at >= (d.outage?.checking?.by ?? Infinity)) return connectivity(d, false, at)
    if (at >= connection.retryAt) return dial(d, at)
    if (at >= suspendsAt(d)) suspend(d, at)
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
  tickDivert(d, at)
  if (connection.kind !== 'connected') return
  flush(d, at)
  tickAcknowledgements(d, at)
  tickAuthentication(d, at)
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
  } else if (at >= Math.min(pingDueAt(keepAlive), probeDueAt(d))) {
    ping(d, 0, at)
  }
}

function tickAuthentication(d: Draft, at: number): void {
  const { exchange } = d.connection
  if (exchange === null || at < exchange.until) return
  const message = `The authentication did not come to its end within ${d.config.connectTimeoutMs} ms (connectTimeout).`
  const reason = failure('connected', 'connection', 'AUTHENTICATION_TIMEOUT', true, message)
  unauthenticated(d, reason, at)
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
  const { flow, config, incoming } = d
  const stalledAt = flow.consumerAwaitedSince
  if (!flow.warned && stalledAt >= 0 && at >= stalledAt + config.warnAfterMs) {
    flow.warned = true
    const message = `${flow.bufferedPackets} packets wait for next() since ${config.warnAfterMs} ms, and no more are read. A loop body that awaits the outcome of its own request waits for ever.`
    d.effects.push({ type: 'warn', code: 'CONSUMER_STALLED', message })
  }
  if (at >= forgottenAt(config, incoming, headOf(d))) {
    incoming.warnedFrom = incoming.pendingFrom
    const message = `A message was received ${config.warnAfterMs} ms ago and is not acknowledged; those behind it cannot be either. Call ack(packet).`
    d.effects.push({ type: 'warn', code: 'ACKNOWLEDGEMENT_FORGOTTEN', message })
  }
}
