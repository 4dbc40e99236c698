/**
 * What a request fails with before it is sent: it expired, or the server said in its CONNACK that it will not take it. (I3, T7)
 */
import type { Draft } from './draft.ts'
import type { Failure, RequestFacts, SubscribeFacts, SubscriptionFacts } from './facts.ts'
import type { Limits } from './state.ts'

export function isExpired(facts: RequestFacts, at: number): boolean {
  return facts.kind === 'publish' && facts.expiresAt !== 0 && facts.expiresAt <= at
}

/** What the server said in its CONNACK that it will not take, said here instead. */
export function refusalOf(facts: RequestFacts, limits: Limits, at: number): Failure | null {
  if (isExpired(facts, at)) {
    const message = 'The message expired before it could be sent (messageExpiryInterval).'
    return requestFailure('connection', 'MESSAGE_EXPIRED', message)
  }
  if (facts.bytes > limits.maximumPacketSize) {
    return refused(
      0x95,
      'PACKET_TOO_LARGE',
      `The packet has ${facts.bytes} bytes, the server takes ${limits.maximumPacketSize} (Maximum Packet Size).`,
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

/** Refused subscriptions that are remembered, so that a client that asks for ever keeps its memory. */
const REFUSED_MAX = 100

/** Shown until the filter is granted, unsubscribed or asked for again. (T8) */
export function noteRefused(
  { outgoing }: Draft,
  { topic, qos }: SubscriptionFacts,
  reasonCode: number,
): void {
  const others = outgoing.refused.filter((refused) => refused.topic !== topic)
  outgoing.refused = [...others.slice(1 - REFUSED_MAX), { topic, qos, reasonCode }]
}

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
