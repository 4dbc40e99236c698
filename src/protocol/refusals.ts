/**
 * Must a request fail before it is sent, because it expired or because of a limit of the CONNACK?
 *
 * (I3, Message Expiry counts while a request is held; T7, the limits of the CONNACK are obeyed)
 */
import type { Draft } from './draft.ts'
import type {
  Failure,
  ProtocolVersion,
  RequestFacts,
  SubscribeFacts,
  SubscriptionFacts,
} from './facts.ts'
import type { Limits } from './state.ts'

/** @returns whether a message has expired. */
export function isExpired(facts: RequestFacts, at: number): boolean {
  return facts.kind === 'publish' && facts.expiresAt !== 0 && facts.expiresAt <= at
}

/**
 * @returns why the request cannot be sent, or null if it can. The server would refuse it with the
 * same reason code.
 */
export function refusalOf(facts: RequestFacts, limits: Limits, at: number): Failure | null {
  if (isExpired(facts, at)) {
    const message = 'The message expired before it could be sent (messageExpiryInterval).'
    return requestFailure('connection', 'MESSAGE_EXPIRED', message)
  }
  if (facts.bytes > limits.maximumPacketSize) {
    return refused(
      0x95,
      'PACKET_TOO_LARGE',
      `The packet has ${facts.bytes} bytes, the server takes ${limits.maximumPacketSize}` +
        ' (Maximum Packet Size).',
    )
  }
  if (facts.kind === 'publish') {
    if (facts.qos > limits.maximumQoS) {
      return refused(
        0x9b,
        'QOS_NOT_SUPPORTED',
        `QoS ${facts.qos} was asked, the server takes QoS ${limits.maximumQoS} at most.`,
      )
    }
    if (facts.retain && !limits.retainAvailable) {
      return refused(0x9a, 'RETAIN_NOT_SUPPORTED', 'The server does not take retained messages.')
    }
    return null
  }
  return facts.kind === 'subscribe' ? refusalOfFilters(facts, limits) : null
}

/**
 * A request that was taken before the first CONNACK was validated for MQTT 5, and the server may
 * accept 3.1.1 only.
 * @returns why the request cannot be sent in this version, or null if it can.
 */
export function versionRefusalOf(facts: RequestFacts, version: ProtocolVersion): Failure | null {
  if (version === 5) return null
  const field = fieldOfMqtt5(facts)
  return field === null ? null : requestFailure('usage', 'USAGE', needsMqtt5(field))
}

/** @returns a field of the request that MQTT 3 does not have, or null. */
function fieldOfMqtt5(facts: RequestFacts): string | null {
  if (facts.kind === 'publish') return facts.hasProperties ? 'publish.properties' : null
  if (facts.properties !== undefined) return `${facts.kind}.properties`
  if (facts.kind === 'unsubscribe') return null
  const index = facts.subscriptions.findIndex(({ nl, rap, rh }) => nl || rap || rh)
  if (index < 0) return null
  const { nl, rap } = facts.subscriptions[index]!
  return `subscribe.subscriptions[${index}].${nl ? 'nl' : rap ? 'rap' : 'rh'}`
}

/** @returns the message about a field that MQTT 3 does not have. */
export function needsMqtt5(field: string): string {
  return `${field} needs MQTT 5; this connection uses MQTT 3.1 or 3.1.1`
}

/**
 * The number of refused subscriptions that are remembered. A client that repeats them for ever has
 * bounded memory.
 */
const REFUSED_MAX = 100

/**
 * Remembers a refused subscription until its filter is granted or unsubscribed (T8, pings,
 * subscriptions and packets can be observed).
 */
export function noteRefused(
  { outgoing }: Draft,
  { topic, qos }: SubscriptionFacts,
  reasonCode: number,
  givenUp = false,
): void {
  const others = outgoing.refused.filter((refused) => refused.topic !== topic)
  outgoing.refused = [...others.slice(1 - REFUSED_MAX), { topic, qos, reasonCode, givenUp }]
}

/** Forgets that this filter was refused. */
export function forgetRefused({ outgoing }: Draft, topic: string): void {
  if (outgoing.refused.length === 0) return
  outgoing.refused = outgoing.refused.filter((refused) => refused.topic !== topic)
}

function refusalOfFilters(facts: SubscribeFacts, limits: Limits): Failure | null {
  for (const { topic } of facts.subscriptions) {
    if (!limits.sharedSubscriptionAvailable && topic.startsWith('$share/')) {
      const message = `The server has no shared subscriptions ("${topic}").`
      return refused(0x9e, 'SHARED_SUBSCRIPTIONS_NOT_SUPPORTED', message)
    }
    if (!limits.wildcardSubscriptionAvailable && /[+#]/.test(topic)) {
      const message = `The server has no wildcard subscriptions ("${topic}").`
      return refused(0xa2, 'WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED', message)
    }
  }
  if (
    !limits.subscriptionIdentifiersAvailable &&
    facts.properties?.['subscriptionIdentifier'] !== undefined
  ) {
    const message = 'The server has no subscription identifiers.'
    return refused(0xa1, 'SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED', message)
  }
  return null
}

export function requestFailure(source: Failure['source'], code: string, message: string): Failure {
  return { phase: 'request', source, code, retryable: source === 'connection', message }
}

function refused(reasonCode: number, code: string, message: string): Failure {
  return { phase: 'request', source: 'refused', code, retryable: false, message, reasonCode }
}
