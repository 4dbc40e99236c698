/**
 * What do the answers to requests settle: PUBACK, PUBREC, PUBCOMP, SUBACK and UNSUBACK?
 *
 * (D1, a request at QoS 1 or 2 survives lost connections; D2, every request taken is settled once,
 * or held; D4, the window is never exceeded)
 */
import type { Draft } from './draft.ts'
import type {
  AckPacket,
  Failure,
  SubscribeFacts,
  SubscriptionAckPacket,
  UnsubscribeFacts,
  Violation,
} from './facts.ts'
import { flush } from './outgoing.ts'
import { hex } from './reason-codes.ts'
import type { OpenRequest } from './session-state.ts'
import { settleOpen } from './settling.ts'
import { filtersAnswered, filtersSent, isBetweenParts, partAnswered } from './subscribing.ts'
import { deviates } from './tolerance.ts'
import { isCautious, isResending, leavesFlight, noteAnswered, proveAgain } from './window.ts'

/** @returns the rule that a PUBACK, PUBREC or PUBCOMP breaks, or null. */
export function publishAnswered(d: Draft, packet: AckPacket, at: number): Violation | null {
  const { cmd, messageId, reasonCode } = packet
  const request = d.open.get(messageId)
  if (request === undefined) {
    if (cmd === 'pubrec') {
      // The server must be able to finish a delivery that this client has forgotten. [MQTT-4.3.3-4]
      sendAcknowledgement(d, 'pubrel', messageId, 0x92)
    }
    warnUnknown(d, cmd, messageId)
    return null
  }
  const { facts, stage } = request
  noteAnswered(d, messageId)
  const violation = unusualAnswer(d, cmd, request, messageId)
  if (violation !== null) return violation
  if (cmd === 'pubcomp' && stage === 'cleared') {
    // The server answers the PUBREL that has cleared the identifier. An answer that comes twice
    // would look like that of the message, so nothing but a PUBREC counts on this connection.
    if (d.config.tolerance === 'strict') d.open.set(messageId, { ...request, stage: 'publish' })
    return null
  }
  d.yield(packet, facts.handle, facts.bytes)
  if (cmd === 'pubrec' && reasonCode < 0x80) {
    if (stage !== 'pubrel') {
      const unmatched = reasonCode === NO_MATCHING_SUBSCRIBERS ? { unmatched: packet } : {}
      d.open.set(messageId, { ...request, stage: 'pubrel', strikes: 0, ...unmatched })
    }
    sendAcknowledgement(d, 'pubrel', messageId, 0)
    if (d.isolation !== null) d.isolation.handed = 0
    return null
  }
  d.open.remove(messageId)
  if (request.epoch === d.connection.epoch) leavesFlight(d.outgoing, facts)
  else if (request.touchedEpoch === d.connection.epoch) d.outgoing.releasing--
  const isTaken = reasonCode < 0x80 || isRecovered(d, packet, request)
  if (isTaken) d.counters.acknowledged++
  const refusal = isTaken ? null : refusedBy(packet, reasonCode)
  settleOpen(d, request, refusal, refusal === null ? (request.unmatched ?? packet) : packet)
  if (isResending(d) || d.session.waiting.length > 0 || isCautious(d)) flush(d, at)
  return null
}

const IDENTIFIER_NOT_FOUND = 0x92
const NO_MATCHING_SUBSCRIBERS = 0x10

/**
 * A server that had completed the message before the connection was lost does not know the packet
 * identifier of a PUBREL that comes again, which is no error. (3.7.2.1)
 */
function isRecovered({ connection }: Draft, packet: AckPacket, request: OpenRequest): boolean {
  const comesAgain = request.stage === 'pubrel' && request.epoch !== connection.epoch
  return comesAgain && packet.cmd === 'pubcomp' && packet.reasonCode === IDENTIFIER_NOT_FOUND
}

/** @returns the rule that is broken if the answer does not belong to the QoS of the publish. */
function unusualAnswer(
  d: Draft,
  cmd: AckPacket['cmd'],
  request: OpenRequest,
  messageId: number,
): Violation | null {
  const { facts, stage } = request
  const isPublish = facts.kind === 'publish'
  if (!isPublish || (cmd === 'puback') !== (facts.qos === 1)) {
    const kind = isPublish ? 'ACKNOWLEDGED_AT_OTHER_QOS' : 'OTHER_REQUEST_ANSWERED'
    const clause = cmd === 'puback' ? 'MQTT-4.3.2-1' : 'MQTT-4.3.3-1'
    return deviates(d, kind, mismatch(cmd, request, messageId), clause)
  }
  if (cmd !== 'pubcomp' || stage === 'pubrel' || stage === 'cleared') return null
  const what = `PUBCOMP before PUBREC for packet identifier ${messageId}`
  return deviates(d, 'PUBCOMP_WITHOUT_PUBREC', what)
}

/** A request that was answered, and the code for each of its filters. */
interface Answered {
  readonly request: OpenRequest
  readonly granted: readonly number[]
}

/**
 * Handles a SUBACK or UNSUBACK.
 * @returns the rule that it breaks, or the request that it answers (for the table of
 * subscriptions), or null if it answers none, or only a part of one.
 */
export function subscriptionAnswered(
  d: Draft,
  packet: SubscriptionAckPacket,
  at: number,
): Violation | Answered | null {
  const { cmd, messageId } = packet
  const request = d.open.get(messageId)
  if (request === undefined || isBetweenParts(d, messageId)) {
    warnUnknown(d, cmd, messageId)
    return null
  }
  const { facts } = request
  if (facts.kind === 'publish' || (facts.kind === 'subscribe') !== (cmd === 'suback')) {
    return deviates(d, 'OTHER_REQUEST_ANSWERED', mismatch(cmd, request, messageId))
  }
  noteAnswered(d, messageId)
  const filters = filtersOf(d, messageId, facts)
  // UNSUBACK has no reason codes in MQTT 3.
  const coded = cmd === 'suback' || d.connection.protocolVersion === 5
  const violation = coded ? unusualCount(d, packet, filters) : null
  if (violation !== null) return violation
  const complete = coded ? withCodes(packet, filters) : packet
  if (facts.kind === 'subscribe' && request.stage !== 'renewal') {
    d.session.filtersGranted = Math.max(d.session.filtersGranted, filters)
  }
  if (facts.kind === 'subscribe') proveAgain(d, filtersAnswered(d, messageId, facts))
  const whole = partAnswered(d, complete, request)
  if (whole === null) {
    flush(d, at)
    return null
  }
  d.open.remove(messageId)
  if (request.epoch === d.connection.epoch) d.outgoing.subscribing--
  // A renewal has no outcome, so its answer is given to every consumer.
  d.yield(whole, facts.handle, facts.bytes, request.stage === 'renewal')
  const refusal = whole.granted.find((code) => code >= 0x80)
  if (request.stage !== 'renewal') {
    settleOpen(d, request, refusal === undefined ? null : refusedBy(whole, refusal), whole)
  }
  flush(d, at)
  return { request, granted: whole.granted }
}

/** @returns how many filters the packet has that was sent under this identifier. */
function filtersOf(d: Draft, messageId: number, facts: SubscribeFacts | UnsubscribeFacts): number {
  if (facts.kind === 'unsubscribe') return facts.unsubscriptions.length
  return filtersSent(d, messageId, facts)
}

/** @returns the rule that is broken if there is not one reason code for each filter, or null. */
function unusualCount(
  d: Draft,
  { cmd, granted }: SubscriptionAckPacket,
  filters: number,
): Violation | null {
  const { length } = granted
  if (length === filters) return null
  // The decoder has noted a packet without codes.
  if (length === 0 && d.config.tolerance === 'field') return null
  const contradicts = granted.some((code, i) => i >= filters && code >= 0x80)
  const surplus = contradicts ? 'CONTRADICTING_CODES' : 'SURPLUS_REASON_CODES'
  const kind = length > filters ? surplus : 'MISSING_REASON_CODES'
  const what = `${cmd.toUpperCase()} with ${length} reason codes for ${filters} filters`
  return deviates(d, kind, what, cmd === 'suback' ? 'MQTT-3.8.4-6' : 'MQTT-3.11.3-1')
}

/** The code of a filter for which the server sent none. */
const UNSPECIFIED = 0x80

/** @returns the packet with one code for each filter. An UNSUBACK need not have any. */
function withCodes(packet: SubscriptionAckPacket, filters: number): SubscriptionAckPacket {
  const { cmd, granted } = packet
  if (granted.length === filters) return packet
  if (granted.length > filters) return { ...packet, granted: granted.slice(0, filters) }
  if (cmd === 'unsuback') return packet
  const all = Array.from({ length: filters }, (_, i) => granted[i] ?? UNSPECIFIED)
  return { ...packet, granted: all }
}

/** The packet identifier belongs to a request of another kind than the packet answers. */
function mismatch(cmd: string, { facts }: OpenRequest, messageId: number): string {
  const name = facts.kind === 'publish' ? `PUBLISH at QoS ${facts.qos}` : facts.kind.toUpperCase()
  return `${cmd.toUpperCase()} for packet identifier ${messageId}, which is a ${name}`
}

function refusedBy(packet: AckPacket | SubscriptionAckPacket, reasonCode: number): Failure {
  const reason = packet.properties?.['reasonString']
  const name = packet.cmd.toUpperCase()
  const explanation = typeof reason === 'string' ? `: ${reason}` : '.'
  return {
    phase: 'request',
    source: 'refused',
    code: 'NEGATIVE_ACKNOWLEDGEMENT',
    retryable: false,
    reasonCode,
    packet,
    message: `The server refused with ${hex(reasonCode)} in its ${name}${explanation}`,
  }
}

function warnUnknown(d: Draft, cmd: string, messageId: number): void {
  const what = `${cmd.toUpperCase()} for packet identifier ${messageId}, which is not in use`
  if (d.config.tolerance === 'strict') d.warn('UNKNOWN_PACKET_IDENTIFIER', `${what}; ignored.`)
  else deviates(d, 'UNKNOWN_IDENTIFIER', what)
}

function sendAcknowledgement(
  d: Draft,
  cmd: AckPacket['cmd'],
  messageId: number,
  reasonCode: number,
): void {
  d.send({ type: 'acknowledge', cmd, messageId, reasonCode })
}
