/**
 * What does each packet from the server do? It is routed to the reducers that it concerns.
 *
 * The second half couples enhanced authentication with the connection: `authentication.ts` decides
 * whether an AUTH is allowed and whose turn it is; a refusal ends the connection, and an accepted
 * CONNACK continues in `connecting.ts`.
 */

import { unreachable } from '../errors.ts'
import { publishAnswered, subscriptionAnswered } from './acknowledgements.ts'
import { authReceived, CONTINUE, endExchange, sendAuth } from './authentication.ts'
import { drop, violated } from './closing.ts'
import { connackReceived, verified } from './connecting.ts'
import type { Draft } from './draft.ts'
import {
  type Failure,
  makeFailure,
  protocolError,
  type ReasonPacket,
  type ServerPacket,
  type SubscriptionAckPacket,
  type Violation,
} from './facts.ts'
import { disconnectFailure } from './handshake.ts'
import { publishReceived, pubrelReceived } from './incoming.ts'
import { keepAliveReceived } from './keepalive.ts'
import { flush } from './outgoing.ts'
import { hex } from './reason-codes.ts'
import { renewed, subscribed, unsubscribed } from './subscriptions.ts'
import { proved } from './suspicion.ts'
import { deviates } from './tolerance.ts'

export function packetsReceived(d: Draft, packets: readonly ServerPacket[], at: number): void {
  keepAliveReceived(d.keepAlive, at)
  d.connection.heard = true
  for (const packet of packets) {
    const { kind } = d.connection
    d.reading = packet
    if (kind === 'connected') packetReceived(d, packet, at)
    else if (kind === 'connecting') firstReceived(d, packet, at)
    else break
  }
  d.reading = null
}

/** Handles a packet before the connection is accepted: CONNACK, AUTH or a refusal. */
function firstReceived(d: Draft, packet: ServerPacket, at: number): void {
  // While the authenticator checks the CONNACK, the loop keeps the packets that follow it and gives
  // them again.
  if (d.connection.exchange?.turn === 'verifying') {
    if (packet.cmd !== 'disconnect') return
    return drop(d, at, disconnectFailure(packet), 'retry', 'none')
  }
  if (packet.cmd === 'connack') return connackReceived(d, packet, at)
  if (packet.cmd === 'auth') return authenticate(d, packet, at)
  const code = packet.cmd === 'disconnect' ? ` (${hex(packet.reasonCode)})` : ''
  const message = `${packet.cmd.toUpperCase()}${code} before CONNACK`
  violated(d, at, protocolError('MQTT-3.2.0-1', message))
}

function packetReceived(d: Draft, packet: ServerPacket, at: number): void {
  switch (packet.cmd) {
    case 'publish':
      return checked(d, publishReceived(d, packet, at), at)
    case 'puback':
    case 'pubrec':
    case 'pubcomp':
      return checked(d, unwantedInformation(d, packet) ?? publishAnswered(d, packet, at), at)
    case 'pubrel': {
      const violation = pubrelReceived(d, packet)
      if (violation !== null) violated(d, at, violation)
      else d.yield(packet)
      return
    }
    case 'suback':
    case 'unsuback':
      return subscriptionReceived(d, packet, at)
    case 'pingresp':
      d.yield(packet)
      return pingAnswered(d, at)
    case 'pingreq':
      return checked(d, deviates(d, 'PINGREQ_FROM_SERVER', 'PINGREQ from the server'), at)
    case 'disconnect':
      d.yield(packet)
      return drop(d, at, disconnectFailure(packet), 'retry', 'closed')
    case 'auth':
      return authenticate(d, packet, at)
    case 'connack':
      return violated(d, at, protocolError('MQTT-3.2.0-2', 'A second CONNACK'))
    default:
      return unreachable(packet)
  }
}

function checked(d: Draft, violation: Violation | null, at: number): void {
  if (violation !== null) violated(d, at, violation)
}

function subscriptionReceived(d: Draft, packet: SubscriptionAckPacket, at: number): void {
  const result = unwantedInformation(d, packet) ?? subscriptionAnswered(d, packet, at)
  if (result === null) return
  if ('clause' in result) return violated(d, at, result)
  const { request, granted } = result
  const { facts, stage } = request
  if (facts.kind === 'unsubscribe') {
    unsubscribed(d, facts.unsubscriptions, granted)
  } else if (facts.kind === 'subscribe') {
    if (stage === 'renewal') renewed(d, facts, granted)
    else subscribed(d, facts, granted)
  }
}

/** After Request Problem Information 0 only some packets may carry reasons. [MQTT-3.1.2-29] */
function unwantedInformation(d: Draft, packet: ServerPacket): Violation | null {
  if (d.config.requestProblemInformation || !('properties' in packet)) return null
  const { properties } = packet
  if (properties?.['reasonString'] === undefined && properties?.['userProperties'] === undefined) {
    return null
  }
  const what = `${packet.cmd.toUpperCase()} with a reason, but Request Problem Information is 0`
  return deviates(d, 'UNWANTED_REASONS', what)
}

/** A PINGRESP answers the oldest PINGREQ. One that nobody asked for answers nothing. */
function pingAnswered(d: Draft, at: number): void {
  const [answered, ...others] = d.connection.pings
  if (answered === undefined) {
    deviates(d, 'UNASKED_PINGRESP', 'PINGRESP without a PINGREQ')
    return
  }
  d.connection.pings = others
  if (d.isolation !== null && d.isolation.pingsAhead > 0) d.isolation.pingsAhead--
  else {
    d.connection.pingAnswered = true
    proved(d)
  }
  d.counters.roundTripMs = at - answered.sentAt
  d.flow.diverting = false
  d.effects.push({ type: 'pong', id: answered.id })
  flush(d, at)
}

// ---------------------------------------------------------------------------------- authentication

/**
 * The reason code "implementation specific error". Codes like "not authorized" are for servers.
 * (3.14.2.1)
 */
const CLIENT_GIVES_UP = 0x83

/** Handles an AUTH. */
function authenticate(d: Draft, packet: ReasonPacket, at: number): void {
  const { config, connection } = d
  const method = config.authenticationMethod
  const asked = method !== null && packet.properties?.['authenticationMethod'] === method
  const unable = config.authenticator === 'none' && connection.kind === 'connecting'
  if (asked && unable && packet.reasonCode === CONTINUE) {
    const message =
      `The server goes on with authentication method "${method}",` +
      ' for which there is no authenticator.'
    const reason = makeFailure('handshake', 'usage', 'NO_AUTHENTICATOR', false, message)
    return authenticationFailed(d, reason, at)
  }
  const violation = authReceived(d, packet, at)
  if (violation !== null) violated(d, at, violation)
  else d.yield(packet)
}

/** Handles the answer of the authenticator. If it comes too late, no exchange waits for it. */
export function authenticatorAnswered(d: Draft, data: Uint8Array | null, at: number): void {
  const { exchange, kind } = d.connection
  if (exchange === null || exchange.turn === 'theirs') return
  if (exchange.turn === 'ours') {
    if (sendAuth(d, exchange, data)) return
    const phase = kind === 'connected' ? 'connected' : 'handshake'
    const message = 'The answer of the authenticator is larger than a packet that the server takes.'
    return authenticationFailed(
      d,
      makeFailure(phase, 'usage', 'PACKET_TOO_LARGE', false, message),
      at,
    )
  }
  if (kind === 'connecting') verified(d, at)
  else endExchange(d, null)
}

/**
 * Ends the connection because the authenticator failed, or does not accept the server.
 * [MQTT-4.12.1-2]
 */
export function authenticationFailed(d: Draft, reason: Failure, at: number): void {
  const { kind, opened } = d.connection
  if (kind !== 'connected' && kind !== 'connecting') return
  if (opened) d.send({ type: 'disconnect', reasonCode: CLIENT_GIVES_UP, properties: undefined })
  drop(d, at, reason, reason.retryable ? 'retry' : 'fail', 'none')
}
