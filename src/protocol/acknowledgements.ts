/**
 * What the server answers to requests: PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK, and what each settles. (D1, D2, D4)
 */
import type { Draft } from './draft.ts'
import type {
  AckPacket,
  Failure,
  ServerPacket,
  SubscriptionAckPacket,
  UnsubscribeFacts,
} from './facts.ts'
import { finish, flush, isCautious, isResending } from './outgoing.ts'
import { hex } from './reason-codes.ts'
import type { OpenRequest } from './session-state.ts'

/** A rule that the server broke, for the engine to act on; null: none. */
export type Violation = { readonly clause: string; readonly message: string } | null

/** PUBACK, PUBREC, PUBCOMP. */
export function publishAnswered(d: Draft, packet: AckPacket, at: number): Violation {
  const { cmd, messageId, reasonCode } = packet
  const request = d.open.get(messageId)
  if (request === undefined) {
    if (cmd === 'pubrec') {
      // The server must be able to finish a flow that we forgot. [MQTT-4.3.3-4]
      acknowledge(d, 'pubrel', messageId, 0x92)
    }
    warnUnknown(d, cmd, messageId)
    return null
  }
  const { facts, stage } = request
  if (facts.kind !== 'publish' || (cmd === 'puback') !== (facts.qos === 1)) {
    const message = `${cmd.toUpperCase()} for packet identifier ${messageId}, which is a ${nameOf(request)}`
    return { clause: cmd === 'puback' ? 'MQTT-4.3.2-1' : 'MQTT-4.3.3-1', message }
  }
  if (cmd === 'pubcomp' && stage !== 'pubrel') {
    return {
      clause: 'MQTT-4.3.3-1',
      message: `PUBCOMP before PUBREC for packet identifier ${messageId}`,
    }
  }
  answer(d, packet, facts.handle)
  if (cmd === 'pubrec' && reasonCode < 0x80) {
    if (stage === 'publish') d.open.set(messageId, { ...request, stage: 'pubrel' })
    acknowledge(d, 'pubrel', messageId, 0)
    return null
  }
  d.open.remove(messageId)
  if (request.epoch === d.connection.epoch) d.outgoing.inFlight--
  if (reasonCode < 0x80) d.counters.acknowledged++
  finish(d, request, reasonCode < 0x80 ? null : negative(packet, reasonCode), packet)
  if (isResending(d) || d.session.waiting.length > 0 || isCautious(d)) flush(d, at)
  return null
}

/** SUBACK, UNSUBACK. On success returns the request, for the table of subscriptions. */
export function subscriptionAnswered(
  d: Draft,
  packet: SubscriptionAckPacket,
  protocolVersion: number,
  at: number,
): Violation | OpenRequest {
  const { cmd, messageId, granted } = packet
  const request = d.open.get(messageId)
  if (request === undefined) {
    warnUnknown(d, cmd, messageId)
    return null
  }
  const { facts } = request
  const wanted = cmd === 'suback' ? 'subscribe' : 'unsubscribe'
  if (facts.kind !== wanted) {
    const message = `${cmd.toUpperCase()} for packet identifier ${messageId}, which is a ${nameOf(request)}`
    return { clause: 'MQTT-3.8.4-2', message }
  }
  const filters =
    facts.kind === 'subscribe'
      ? facts.subscriptions.length
      : (facts as UnsubscribeFacts).unsubscriptions.length
  const coded = cmd === 'suback' || protocolVersion === 5
  if (coded && granted.length !== filters) {
    const message = `${cmd.toUpperCase()} with ${granted.length} reason codes for ${filters} filters`
    return { clause: cmd === 'suback' ? 'MQTT-3.8.4-6' : 'MQTT-3.11.3-1', message }
  }
  d.open.remove(messageId)
  if (request.epoch === d.connection.epoch) d.outgoing.subscribing--
  answer(d, packet, facts.handle)
  const refusal = granted.find((code) => code >= 0x80)
  if (request.stage !== 'renewal') {
    finish(d, request, refusal === undefined ? null : negative(packet, refusal), packet)
  }
  flush(d, at)
  return request
}

function answer(d: Draft, packet: ServerPacket, handle: number): void {
  d.flow.bufferedPackets++
  d.flow.bufferedBytes += ANSWER_BYTES
  d.effects.push({
    type: 'yield',
    packet,
    handle,
    sequence: 0,
    deliveryId: 0,
    redelivered: false,
    bytes: ANSWER_BYTES,
  })
}

/** What a packet without payload counts for in the buffer. */
export const ANSWER_BYTES = 64

function nameOf(request: OpenRequest): string {
  if (request.facts.kind !== 'publish') return request.facts.kind.toUpperCase()
  return `PUBLISH at QoS ${request.facts.qos}`
}

function negative(packet: AckPacket | SubscriptionAckPacket, reasonCode: number): Failure {
  const reason = packet.properties?.['reasonString']
  return {
    phase: 'request',
    source: 'refused',
    code: 'NEGATIVE_ACKNOWLEDGEMENT',
    retryable: false,
    reasonCode,
    packet,
    message: `The server refused with ${hex(reasonCode)} in its ${packet.cmd.toUpperCase()}${
      typeof reason === 'string' ? `: ${reason}` : '.'
    }`,
  }
}

function warnUnknown(d: Draft, cmd: string, messageId: number): void {
  const message = `${cmd.toUpperCase()} for packet identifier ${messageId}, which is not in use; ignored.`
  d.effects.push({ type: 'warn', code: 'UNKNOWN_PACKET_IDENTIFIER', message })
}

function acknowledge(d: Draft, cmd: AckPacket['cmd'], messageId: number, reasonCode: number): void {
  d.send({ type: 'acknowledge', cmd, messageId, reasonCode })
}
