/** Which retained messages does a subscription get, and which exist? (3.3.1.3, 3.8.3.1) */
import type {
  BrokerCore,
  BrokerMessage,
  BrokerSession,
  BrokerSubscription,
} from './broker-state.ts'
import { offer } from './delivery.ts'
import { matchesOf } from './routing.ts'

/** @returns the retained messages that have not expired. */
export function retainedNow(core: BrokerCore): readonly BrokerMessage[] {
  const now = core.clock.now()
  for (const [topic, { expiresAt }] of core.retained) {
    if (core.settings.retainedExpires && expiresAt <= now) core.retained.delete(topic)
  }
  return [...core.retained.values()]
}

/** Sends the retained messages that a subscription matches. */
export function sendRetained(
  core: BrokerCore,
  session: BrokerSession,
  subscription: BrokerSubscription,
): void {
  // A shared subscription gets none. (4.8.2)
  if (subscription.shared) return
  const { identifier, noLocal } = subscription
  for (const message of retainedNow(core)) {
    if (!matchesOf(subscription, message.topic)) continue
    if (noLocal && message.publisher === session.clientId) continue
    const expiresAt = core.settings.retainedExpires ? message.expiresAt : Number.POSITIVE_INFINITY
    offer(core, session, {
      message: { ...message, expiresAt },
      qos: Math.min(message.qos, subscription.qos) as 0 | 1 | 2,
      retain: true,
      identifiers: identifier === 0 ? [] : [identifier],
      share: null,
    })
  }
}
