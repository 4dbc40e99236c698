/** What does the broker answer to SUBSCRIBE and UNSUBSCRIBE? (3.8, 3.10) */
import type {
  SubscribePacket,
  SubscriptionOptions,
  UnsubscribePacket,
} from '../protocol/packets.ts'
import { hasWildcard, isShared } from '../protocol/topics.ts'
import type {
  BrokerConnection,
  BrokerCore,
  BrokerSession,
  BrokerSubscription,
} from './broker-state.ts'
import type { ActiveFault } from './fault-list.ts'
import { sendRetained } from './retained-messages.ts'
import { transmit } from './wire.ts'

/** How long retained messages take with `retainedTiming: 'late'`, in ms. */
const LATE_MS = 10

/** Handles a SUBSCRIBE, of which a fault may refuse one filter or all. */
export function handleSubscribe(
  core: BrokerCore,
  connection: BrokerConnection,
  session: BrokerSession,
  packet: SubscribePacket,
  fault: ActiveFault | null,
): void {
  const { messageId = 0, subscriptions, properties } = packet
  const identifier = properties?.subscriptionIdentifier ?? 0
  const isMqtt5 = connection.version === 5
  const granted: number[] = []
  const wanting: BrokerSubscription[] = []
  for (const options of subscriptions) {
    const refused = fault !== null && [undefined, options.topic].includes(fault.topic)
    const code = refused ? fault.reasonCode : problemWith(core, options, identifier, isMqtt5)
    if (code !== 0) {
      granted.push(isMqtt5 ? code : 0x80)
      continue
    }
    const subscription = subscriptionFor(core, options, identifier, isMqtt5)
    const isNew = !session.subscriptions.has(options.topic)
    session.subscriptions.set(options.topic, subscription)
    granted.push(subscription.qos)
    const { rh = 0 } = options
    if (rh === 0 || (rh === 1 && isNew)) wanting.push(subscription)
  }
  const sendAll = (): void => {
    for (const subscription of wanting) sendRetained(core, session, subscription)
  }
  const { retainedTiming } = core.settings
  if (retainedTiming === 'beforeSuback') sendAll()
  transmit(core, connection, { cmd: 'suback', messageId, granted })
  if (retainedTiming === 'afterSuback') sendAll()
  if (retainedTiming === 'late') core.timers.after(LATE_MS, sendAll)
}

/** @returns the reason code with which a filter is refused, or 0. */
function problemWith(
  core: BrokerCore,
  { topic }: SubscriptionOptions,
  identifier: number,
  isMqtt5: boolean,
): number {
  const { sharedAvailable, wildcardAvailable, subscriptionIdentifiersAvailable } = core.settings
  if (!sharedAvailable && isMqtt5 && isShared(topic)) return 0x9e
  if (!wildcardAvailable && hasWildcard(topic)) return 0xa2
  return identifier !== 0 && !subscriptionIdentifiersAvailable ? 0xa1 : 0
}

function subscriptionFor(
  core: BrokerCore,
  { topic, qos, nl = false, rap = false }: SubscriptionOptions,
  identifier: number,
  isMqtt5: boolean,
): BrokerSubscription {
  const { sharedAvailable, sharedInMqtt3, maximumQoS } = core.settings
  return {
    filter: topic,
    qos: Math.min(qos, maximumQoS) as 0 | 1 | 2,
    noLocal: nl,
    retainAsPublished: rap,
    identifier,
    shared: isShared(topic) && sharedAvailable && (isMqtt5 || sharedInMqtt3),
  }
}

/** Handles an UNSUBSCRIBE. */
export function handleUnsubscribe(
  core: BrokerCore,
  connection: BrokerConnection,
  session: BrokerSession,
  { messageId = 0, unsubscriptions }: UnsubscribePacket,
  refusal: number,
): void {
  const granted = unsubscriptions.map((filter) => {
    if (refusal !== 0) return refusal
    return session.subscriptions.delete(filter) ? 0 : 0x11
  })
  transmit(core, connection, { cmd: 'unsuback', messageId, granted })
}
