/**
 * Effects that are packets, on their way to the encoder of a connection; and for whoever listens, as packets.
 */
import type { Packet } from 'mqtt-packet'
import type { Attempt } from './attempt.ts'
import { packets } from './channels.ts'
import { connectPacket, disconnectPacket, subscriptionPacket } from './connect-packet.ts'
import { BugError, unreachable } from './errors.ts'
import type { Ledger } from './ledger.ts'
import type { Link } from './link.ts'
import type { Resolved } from './options.ts'
import type { PublishRequest, SentRequest } from './packets.ts'
import type { Effect, PublishEffect, ServerPacket, State } from './protocol/contract.ts'

const NAMES = [
  ...(['publish', 'acknowledge', 'subscribe', 'unsubscribe'] as const),
  ...(['connect', 'pingreq', 'auth', 'disconnect'] as const),
]
export type WireEffect = Extract<Effect, { type: (typeof NAMES)[number] }>

export class Wire {
  readonly #resolved: Resolved
  readonly #ledger: Ledger
  /** SUBSCRIBE requests of the engine's own, by packet identifier. */
  #renewals: Map<number, SentRequest> | null = null

  constructor(resolved: Resolved, ledger: Ledger) {
    this.#resolved = resolved
    this.#ledger = ledger
  }

  /** The engine's own request that a SUBACK answers. */
  renewal(messageId: number): SentRequest | undefined {
    return this.#renewals?.get(messageId)
  }

  /** The connection is gone. */
  forget(): void {
    this.#renewals = null
  }

  publish(effect: PublishEffect, link: Link | null, state: State): void {
    const { handle, messageId, dup, expirySeconds, qos } = effect
    const slot = qos > 0 ? this.#ledger.get(handle) : this.#ledger.handOver(handle)
    if (slot?.kind === 'group') {
      link?.outbox.group(slot.encoded, slot.requests.length)
      if (packets.hasSubscribers) for (const one of slot.requests) tellPublish(effect, one, state)
      return
    }
    if (slot?.kind !== 'publish') throw new BugError('a handle is of another kind')
    link?.outbox.encoder.publish(slot, messageId, dup, expirySeconds)
    if (qos === 0) link?.outbox.countPublishes(1)
    if (packets.hasSubscribers) tellPublish(effect, slot.request, state)
  }

  send(
    effect: Exclude<WireEffect, PublishEffect>,
    link: Link | null,
    attempt: Attempt | null,
    state: State,
  ): void {
    const outbox = link?.outbox
    switch (effect.type) {
      case 'acknowledge':
        outbox?.encoder.ack(effect.cmd, effect.messageId, effect.reasonCode)
        if (packets.hasSubscribers) {
          const { cmd, messageId, reasonCode } = effect
          tell('sent', { cmd, messageId, reasonCode }, state)
        }
        return
      case 'pingreq':
        outbox?.countPing()
        break
      case 'subscribe':
      case 'unsubscribe':
      case 'connect':
      case 'auth':
      case 'disconnect':
        break
      default:
        return unreachable(effect)
    }
    const packet = this.#packetOf(effect, attempt, state)
    outbox?.encoder.packet(packet)
    if (packets.hasSubscribers) tell('sent', withoutSecrets(packet), state)
  }

  #packetOf(
    effect: Exclude<WireEffect, { type: 'publish' | 'acknowledge' }>,
    attempt: Attempt | null,
    state: State,
  ): Packet {
    switch (effect.type) {
      case 'connect': {
        const { options, config } = this.#resolved
        const { keepAlive } = state.connection
        const here = { options: attempt?.options ?? options, config: { ...config, keepAlive } }
        const { protocolVersion, cleanStart } = effect
        const data = attempt?.authenticationData ?? null
        return connectPacket(here, state.session.clientId, protocolVersion, cleanStart, data)
      }
      case 'auth': {
        const { reasonCode, data } = effect
        const authenticationMethod = this.#resolved.config.authenticationMethod ?? ''
        const said = data === null ? {} : { authenticationData: data as Buffer }
        return { cmd: 'auth', reasonCode, properties: { authenticationMethod, ...said } }
      }
      case 'disconnect':
        return disconnectPacket(effect)
      case 'pingreq':
        return { cmd: 'pingreq' }
      default: {
        const packet = subscriptionPacket(effect, this.#ledger)
        if (effect.facts.handle === 0) {
          this.#renewals ??= new Map()
          this.#renewals.set(effect.messageId, packet as SentRequest)
        }
        return packet
      }
    }
  }
}

/** What the server sent, for whoever listens. */
export function tellReceived(received: readonly ServerPacket[], state: State): void {
  for (const packet of received) tell('received', withoutSecrets(packet as Packet), state)
}

function tellPublish(
  { messageId, dup, qos }: PublishEffect,
  request: PublishRequest,
  state: State,
): void {
  const { topic, payload = '', retain = false, properties } = request
  const numbered = qos === 0 ? {} : { messageId }
  const more = properties === undefined ? {} : { properties }
  tell('sent', { cmd: 'publish', topic, payload, qos, retain, dup, ...numbered, ...more }, state)
}

function tell(direction: 'sent' | 'received', packet: object, { session }: State): void {
  packets.publish({ clientId: session.clientId, direction, packet })
}

/** Passwords and tokens are for the server alone. */
function withoutSecrets(packet: Packet): object {
  if (packet.cmd !== 'connect' && packet.cmd !== 'auth' && packet.cmd !== 'connack') return packet
  const { properties, ...rest } = packet
  const { authenticationData, ...said } = properties ?? {}
  const shown = properties === undefined ? rest : { ...rest, properties: said }
  if (packet.cmd !== 'connect') return shown
  const { password, ...connect } = shown as typeof packet
  return connect
}
