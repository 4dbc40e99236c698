/**
 * CONNECT … CONNACK: is the answer good, what was agreed to, and if it was no: for how long? (N2, T7)
 */
import type { Config } from './config.ts'
import type { ConnackPacket, Failure, QoS, ReasonPacket } from './facts.ts'
import { hex } from './reason-codes.ts'
import type { Limits } from './state.ts'

/** Before a CONNACK, and what holds where it does not say otherwise. */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  receiveMaximum: 65_535,
  maximumPacketSize: 268_435_460,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  sharedSubscriptionAvailable: true,
  sessionExpiryInterval: 0,
  topicAliasMaximum: 0,
})

export function limitsOf(connack: ConnackPacket, config: Config): Limits {
  const p = connack.properties ?? {}
  return {
    receiveMaximum: (p['receiveMaximum'] as number | undefined) ?? DEFAULT_LIMITS.receiveMaximum,
    maximumPacketSize:
      (p['maximumPacketSize'] as number | undefined) ?? DEFAULT_LIMITS.maximumPacketSize,
    maximumQoS: (p['maximumQoS'] as QoS | undefined) ?? 2,
    retainAvailable: p['retainAvailable'] !== false,
    wildcardSubscriptionAvailable: p['wildcardSubscriptionAvailable'] !== false,
    subscriptionIdentifiersAvailable: p['subscriptionIdentifiersAvailable'] !== false,
    sharedSubscriptionAvailable: p['sharedSubscriptionAvailable'] !== false,
    sessionExpiryInterval:
      (p['sessionExpiryInterval'] as number | undefined) ?? config.sessionExpiryInterval,
    topicAliasMaximum: (p['topicAliasMaximum'] as number | undefined) ?? 0,
  }
}

interface Verdict {
  readonly code: string
  readonly retryable: boolean
  readonly says: string
}

/** Reason codes of MQTT 5 in CONNACK and DISCONNECT. What a later attempt can cure is retryable. */
const REASONS = {
  128: { code: 'UNSPECIFIED_ERROR', retryable: true, says: 'unspecified error' },
  129: { code: 'MALFORMED_PACKET', retryable: true, says: 'malformed packet' },
  130: { code: 'PROTOCOL_ERROR', retryable: true, says: 'protocol error' },
  131: { code: 'IMPLEMENTATION_ERROR', retryable: true, says: 'implementation specific error' },
  132: { code: 'UNSUPPORTED_VERSION', retryable: false, says: 'unsupported protocol version' },
  133: { code: 'CLIENT_ID_REFUSED', retryable: false, says: 'client identifier not valid' },
  134: { code: 'BAD_CREDENTIALS', retryable: false, says: 'bad user name or password' },
  135: { code: 'NOT_AUTHORIZED', retryable: false, says: 'not authorized' },
  136: { code: 'SERVER_UNAVAILABLE', retryable: true, says: 'server unavailable' },
  137: { code: 'SERVER_BUSY', retryable: true, says: 'server busy' },
  138: { code: 'BANNED', retryable: false, says: 'banned' },
  139: { code: 'SERVER_SHUTTING_DOWN', retryable: true, says: 'server shutting down' },
  140: { code: 'BAD_AUTHENTICATION_METHOD', retryable: false, says: 'bad authentication method' },
  141: { code: 'KEEP_ALIVE_TIMEOUT', retryable: true, says: 'keep alive timeout' },
  142: {
    code: 'SESSION_TAKEN_OVER',
    retryable: false,
    says: 'session taken over by another client with the same client identifier',
  },
  143: { code: 'TOPIC_FILTER_INVALID', retryable: true, says: 'topic filter invalid' },
  144: { code: 'TOPIC_NAME_INVALID', retryable: true, says: 'topic name invalid' },
  147: { code: 'RECEIVE_MAXIMUM_EXCEEDED', retryable: true, says: 'receive maximum exceeded' },
  148: { code: 'TOPIC_ALIAS_INVALID', retryable: true, says: 'topic alias invalid' },
  149: { code: 'PACKET_TOO_LARGE', retryable: true, says: 'packet too large' },
  150: { code: 'MESSAGE_RATE_TOO_HIGH', retryable: true, says: 'message rate too high' },
  151: { code: 'QUOTA_EXCEEDED', retryable: true, says: 'quota exceeded' },
  152: { code: 'ADMINISTRATIVE_ACTION', retryable: true, says: 'administrative action' },
  153: { code: 'PAYLOAD_FORMAT_INVALID', retryable: true, says: 'payload format invalid' },
  154: { code: 'RETAIN_NOT_SUPPORTED', retryable: true, says: 'retain not supported' },
  155: { code: 'QOS_NOT_SUPPORTED', retryable: true, says: 'QoS not supported' },
  156: { code: 'USE_ANOTHER_SERVER', retryable: true, says: 'use another server' },
  157: { code: 'SERVER_MOVED', retryable: false, says: 'server moved' },
  158: {
    code: 'SHARED_SUBSCRIPTIONS_NOT_SUPPORTED',
    retryable: true,
    says: 'shared subscriptions not supported',
  },
  159: { code: 'CONNECTION_RATE_EXCEEDED', retryable: true, says: 'connection rate exceeded' },
  160: { code: 'MAXIMUM_CONNECT_TIME', retryable: true, says: 'maximum connect time' },
  161: {
    code: 'SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED',
    retryable: true,
    says: 'subscription identifiers not supported',
  },
  162: {
    code: 'WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED',
    retryable: true,
    says: 'wildcard subscriptions not supported',
  },
} as const satisfies Record<number, Verdict>

/** A CONNECT that was refused for its own contents will be refused again. */
const OURS_IN_CONNACK: ReadonlySet<number> = new Set([129, 130, 144, 149, 153, 154, 155])

/** Return codes of MQTT 3. */
const RETURN_CODES = {
  1: REASONS[132],
  2: REASONS[133],
  3: REASONS[136],
  4: REASONS[134],
  5: REASONS[135],
} as const satisfies Record<number, Verdict>

/**
 * In a DISCONNECT, 0x87 speaks of what we sent, not of who we are (D6), and so is retried.
 */
const RETRYABLE_IN_DISCONNECT: ReadonlySet<number> = new Set([135])

const UNDEFINED_CODE: Verdict = {
  code: 'UNSPECIFIED_ERROR',
  retryable: true,
  says: 'no defined reason',
}

export function connackRefusal(packet: ConnackPacket): Failure | null {
  const code = packet.reasonCode ?? packet.returnCode ?? 0
  if (code === 0) return null
  const table: Readonly<Record<number, Verdict>> =
    packet.reasonCode === undefined ? RETURN_CODES : REASONS
  const verdict = table[code] ?? UNDEFINED_CODE
  const ours = packet.reasonCode !== undefined && OURS_IN_CONNACK.has(code)
  return {
    phase: 'handshake',
    source: 'refused',
    code: verdict.code,
    retryable: verdict.retryable && !ours,
    reasonCode: code,
    packet,
    message: `The server refused the connection: ${verdict.says} (${hex(code)})${words(packet)}.`,
  }
}

export function disconnectFailure(packet: ReasonPacket): Failure {
  const table: Readonly<Record<number, Verdict>> = REASONS
  const verdict = table[packet.reasonCode] ?? UNDEFINED_CODE
  return {
    phase: 'connected',
    source: 'refused',
    code: packet.reasonCode === 0 ? 'SERVER_DISCONNECTED' : verdict.code,
    retryable: verdict.retryable || RETRYABLE_IN_DISCONNECT.has(packet.reasonCode),
    reasonCode: packet.reasonCode,
    packet,
    message: `The server closed the connection: ${
      packet.reasonCode === 0 ? 'normal disconnection' : verdict.says
    } (${hex(packet.reasonCode)})${words(packet)}.`,
  }
}

/** What the server adds in its own words. */
function words(packet: ConnackPacket | ReasonPacket): string {
  const reason = packet.properties?.['reasonString']
  const reference = packet.properties?.['serverReference']
  const said = typeof reason === 'string' ? `, "${reason}"` : ''
  return typeof reference === 'string' ? `${said}, it names ${reference} instead` : said
}

/** A close that may be a verdict on a message of ours (D6): these codes; in MQTT 3, which has none, a plain close. */
export const SUSPICIOUS: ReadonlySet<number> = new Set([0x81, 0x82, 0x87, 0x90, 0x95, 0x99, 0x9b])
