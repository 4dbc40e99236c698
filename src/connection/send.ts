/**
 * How do effects that are packets reach the encoder of a connection? And which packets does the
 * diagnostics channel get?
 */

import { packetChannel } from '#runtime'
import { BugError, unreachable } from '../errors.ts'
import { connectPacket } from '../options/connect-packet.ts'
import type { Resolved } from '../options/resolve.ts'
import type { PublishEffect } from '../protocol/contract.ts'
import type { PacketEffect } from '../protocol/effects.ts'
import type { ServerPacket } from '../protocol/facts.ts'
import type { ClientPacket } from '../protocol/packets.ts'
import type { State } from '../protocol/state.ts'
import type { Ledger } from '../requests/ledger.ts'
import type { PublishRequest } from '../requests/vocabulary.ts'
import type { Attempt } from './attempt.ts'
import type { Link } from './link.ts'

/** Encodes a PUBLISH, or a group of them. */
export function sendPublish(
  effect: PublishEffect,
  link: Link | null,
  ledger: Ledger,
  state: State,
): void {
  const { handle, messageId, dup, expirySeconds, qos } = effect
  const slot = qos > 0 ? ledger.get(handle) : ledger.handOver(handle)
  if (slot?.kind === 'group') {
    link?.outbox.group(slot.encoded, slot.requests.length)
    if (packetChannel.hasSubscribers)
      for (const one of slot.requests) reportPublish(effect, one, state)
    return
  }
  if (slot?.kind !== 'publish') throw new BugError('a handle is of another kind')
  link?.outbox.encoder.publish(slot, messageId, dup, expirySeconds)
  if (qos === 0) link?.outbox.countPublishes(1)
  if (packetChannel.hasSubscribers) reportPublish(effect, slot.request, state)
}

/**
 * Encodes a packet that is not a PUBLISH.
 * @returns the packet, or null for an acknowledgement, which never becomes an object.
 */
export function sendPacket(
  effect: Exclude<PacketEffect, PublishEffect>,
  link: Link | null,
  resolved: Resolved,
  attempt: Attempt | null,
  state: State,
): ClientPacket | null {
  const outbox = link?.outbox
  if (effect.type === 'acknowledge') {
    const { cmd, messageId, reasonCode } = effect
    outbox?.encoder.ack(cmd, messageId, reasonCode)
    if (packetChannel.hasSubscribers) report('sent', { cmd, messageId, reasonCode }, state)
    return null
  }
  if (effect.type === 'pingreq') outbox?.countPing()
  const packet = packetOf(effect, resolved, attempt)
  outbox?.encoder.packet(packet)
  if (packetChannel.hasSubscribers) report('sent', withoutSecrets(packet), state)
  return packet
}

/** @returns the packet that an effect stands for. */
function packetOf(
  effect: Exclude<PacketEffect, { type: 'publish' | 'acknowledge' }>,
  { options, config }: Resolved,
  attempt: Attempt | null,
): ClientPacket {
  switch (effect.type) {
    case 'connect': {
      const { clientId, protocolVersion, cleanStart, keepAlive } = effect
      const current = { options: attempt?.options ?? options, config: { ...config, keepAlive } }
      const data = attempt?.authenticationData ?? null
      return connectPacket(current, clientId, protocolVersion, cleanStart, data)
    }
    case 'auth': {
      const { reasonCode, data } = effect
      const authenticationMethod = config.authenticationMethod ?? ''
      const optional = data === null ? {} : { authenticationData: data }
      return { cmd: 'auth', reasonCode, properties: { authenticationMethod, ...optional } }
    }
    case 'disconnect':
      return disconnectPacket(effect)
    case 'pingreq':
      return { cmd: 'pingreq' }
    case 'subscribe':
    case 'unsubscribe':
      return subscriptionPacket(effect)
    default:
      return unreachable(effect)
  }
}

function subscriptionPacket({
  type,
  messageId,
  facts,
}: Extract<PacketEffect, { type: 'subscribe' | 'unsubscribe' }>): ClientPacket {
  const list =
    type === 'subscribe'
      ? { cmd: type, messageId, subscriptions: [...facts.subscriptions] }
      : { cmd: type, messageId, unsubscriptions: [...facts.unsubscriptions] }
  const { properties } = facts
  return properties === undefined ? list : { ...list, properties }
}

function disconnectPacket({
  reasonCode,
  properties,
}: Extract<PacketEffect, { type: 'disconnect' }>): ClientPacket {
  return properties === undefined
    ? { cmd: 'disconnect', reasonCode }
    : { cmd: 'disconnect', reasonCode, properties }
}

/** Reports packets from the server to the diagnostics channel. */
export function reportReceived(received: readonly ServerPacket[], state: State): void {
  for (const packet of received) report('received', withoutSecrets(packet), state)
}

function reportPublish(
  { messageId, dup, qos }: PublishEffect,
  request: PublishRequest,
  state: State,
): void {
  const { topic, payload = '', retain = false, properties } = request
  const numbered = qos === 0 ? {} : { messageId }
  const more = properties === undefined ? {} : { properties }
  report('sent', { cmd: 'publish', topic, payload, qos, retain, dup, ...numbered, ...more }, state)
}

function report(direction: 'sent' | 'received', packet: object, { session }: State): void {
  packetChannel.publish({ clientId: session.clientId, direction, packet })
}

/** @returns the packet without passwords and authentication data, which only the server may see. */
function withoutSecrets(packet: ClientPacket | ServerPacket): object {
  if (packet.cmd !== 'connect' && packet.cmd !== 'auth' && packet.cmd !== 'connack') return packet
  const { properties, ...rest } = packet
  const { authenticationData, ...open } = properties ?? {}
  const shown = properties === undefined ? rest : { ...rest, properties: open }
  if (packet.cmd !== 'connect') return shown
  const { password, ...connect } = shown as typeof packet
  return connect
}
