/**
 * What does a CONNACK or a DISCONNECT say: accepted or refused, within which limits, and is a retry
 * allowed?
 *
 * (N2, every failure is classified; T7, the limits of the CONNACK are obeyed)
 */
import type { Config } from './config.ts'
import type { Failure, QoS, ReasonPacket, ReceivedConnack } from './facts.ts'
import { hex, reasonOf, returnCodeReason } from './reason-codes.ts'
import { PACKET_BYTES_MAX } from './sizes.ts'
import type { Limits } from './state.ts'

/**
 * The limits before the CONNACK, and the defaults of those that a CONNACK does not set. (3.2.2.3)
 */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  receiveMaximum: 65_535,
  maximumPacketSize: PACKET_BYTES_MAX,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  sharedSubscriptionAvailable: true,
  sessionExpiryInterval: 0,
  topicAliasMaximum: 0,
})

export function limitsOf(connack: ReceivedConnack, config: Config): Limits {
  const p = connack.properties ?? {}
  const { knownLimits } = config
  return {
    receiveMaximum: (p['receiveMaximum'] as number | undefined) ?? DEFAULT_LIMITS.receiveMaximum,
    maximumPacketSize: Math.min(
      (p['maximumPacketSize'] as number | undefined) ?? DEFAULT_LIMITS.maximumPacketSize,
      knownLimits.maximumPacketSize,
    ),
    maximumQoS: (p['maximumQoS'] as QoS | undefined) ?? 2,
    retainAvailable: p['retainAvailable'] !== false,
    wildcardSubscriptionAvailable: p['wildcardSubscriptionAvailable'] !== false,
    subscriptionIdentifiersAvailable: p['subscriptionIdentifiersAvailable'] !== false,
    sharedSubscriptionAvailable:
      p['sharedSubscriptionAvailable'] !== false && knownLimits.sharedSubscriptionAvailable,
    sessionExpiryInterval:
      (p['sessionExpiryInterval'] as number | undefined) ?? config.sessionExpiryInterval,
    topicAliasMaximum: (p['topicAliasMaximum'] as number | undefined) ?? 0,
  }
}

/**
 * In a CONNACK these codes are about the contents of the CONNECT, so the next one would be refused
 * as well.
 */
const CONNECT_AT_FAULT: ReadonlySet<number> = new Set([0x81, 0x82, 0x90, 0x95, 0x99, 0x9a, 0x9b])

/**
 * In a DISCONNECT, 0x87 is about something that was sent and not about the credentials (D6, one bad
 * request never stalls the others), so it is retried.
 */
const RETRYABLE_IN_DISCONNECT: ReadonlySet<number> = new Set([0x87])

/** @returns the failure if the CONNACK refuses the connection, or null if it accepts. */
export function connackRefusal(packet: ReceivedConnack): Failure | null {
  const code = packet.reasonCode ?? packet.returnCode ?? 0
  if (code === 0) return null
  const reason = packet.reasonCode === undefined ? returnCodeReason(code) : reasonOf(code)
  const ours = packet.reasonCode !== undefined && CONNECT_AT_FAULT.has(code)
  return {
    phase: 'handshake',
    source: 'refused',
    code: reason.code,
    retryable: reason.retryable && !ours,
    reasonCode: code,
    packet,
    message: `The server refused the connection: ${reasonText(reason.description, code, packet)}.`,
  }
}

export function disconnectFailure(packet: ReasonPacket): Failure {
  const { reasonCode } = packet
  const reason = reasonOf(reasonCode)
  const description = reasonCode === 0 ? 'normal disconnection' : reason.description
  return {
    phase: 'connected',
    source: 'refused',
    code: reasonCode === 0 ? 'SERVER_DISCONNECTED' : reason.code,
    retryable: reason.retryable || RETRYABLE_IN_DISCONNECT.has(reasonCode),
    reasonCode,
    packet,
    message: `The server closed the connection: ${reasonText(description, reasonCode, packet)}.`,
  }
}

/**
 * @returns the description and its code, with the Reason String and Server Reference of the packet.
 */
function reasonText(
  description: string,
  code: number,
  packet: ReceivedConnack | ReasonPacket,
): string {
  const text = `${description} (${hex(code)})`
  const reason = packet.properties?.['reasonString']
  const reference = packet.properties?.['serverReference']
  const explained = typeof reason === 'string' ? `${text}, "${reason}"` : text
  if (typeof reference !== 'string') return explained
  return `${explained}, it names ${reference} instead`
}
