/**
 * Who gets a message?
 *
 * Every session with a matching subscription, in the way that the habit `overlap` says if several
 * match; and one member of each shared subscription, in turn.
 */
import { isShared, matches } from '../protocol/topics.ts'
import type {
  BrokerCore,
  BrokerMessage,
  BrokerSession,
  BrokerSubscription,
  OutgoingMessage,
} from './broker-state.ts'
import { offer } from './delivery.ts'

/** A member of a shared subscription. */
interface ShareMember {
  readonly session: BrokerSession
  readonly subscription: BrokerSubscription
}

/**
 * Stores a retained message and sends a message to everyone whom it concerns.
 * @returns how many sessions get it.
 */
export function routeMessage(core: BrokerCore, message: BrokerMessage): number {
  if (message.retain) {
    if (message.payload.length === 0) core.retained.delete(message.topic)
    else core.retained.set(message.topic, message)
  }
  let count = 0
  const shares = new Map<string, ShareMember[]>()
  for (const session of [...core.sessions.values()]) {
    const own: BrokerSubscription[] = []
    for (const subscription of session.subscriptions.values()) {
      const { filter, shared, noLocal } = subscription
      if (!matchesOf(subscription, message.topic)) continue
      if (shared) {
        const members = shares.get(filter)
        if (members === undefined) shares.set(filter, [{ session, subscription }])
        else members.push({ session, subscription })
      } else if (!noLocal || message.publisher !== session.clientId) {
        own.push(subscription)
      }
    }
    if (own.length === 0) continue
    count++
    for (const copy of copiesFor(core, message, own)) offer(core, session, copy)
  }
  for (const [filter, members] of shares) {
    count++
    offerShared(core, message, filter, members)
  }
  return count
}

/** Whether a subscription matches. A `$share` filter that is not shared is one like any other. */
export function matchesOf({ filter, shared }: BrokerSubscription, topic: string): boolean {
  return shared === isShared(filter) && matches(filter, topic)
}

function copiesFor(
  core: BrokerCore,
  message: BrokerMessage,
  matching: readonly BrokerSubscription[],
): readonly OutgoingMessage[] {
  const { overlap } = core.settings
  if (overlap === 'separate' || overlap === 'separate-no-id') {
    return matching.map((one) => copyFor(message, [one], overlap === 'separate' ? [one] : []))
  }
  return [copyFor(message, matching, overlap === 'merged' ? matching : matching.slice(0, 1))]
}

/** @returns one copy for several subscriptions, with the identifiers of some of them. */
function copyFor(
  message: BrokerMessage,
  matching: readonly BrokerSubscription[],
  identified: readonly BrokerSubscription[],
  share: string | null = null,
): OutgoingMessage {
  const granted = Math.max(...matching.map(({ qos }) => qos))
  return {
    message,
    qos: Math.min(message.qos, granted) as 0 | 1 | 2,
    retain: message.retain && matching.some(({ retainAsPublished }) => retainAsPublished),
    identifiers: identified.flatMap(({ identifier }) => (identifier === 0 ? [] : [identifier])),
    share,
  }
}

/** Gives a message to one member, in turn, and to one that is connected if there is any. */
function offerShared(
  core: BrokerCore,
  message: BrokerMessage,
  filter: string,
  members: readonly ShareMember[],
): void {
  const connected = members.filter(({ session }) => session.connection?.open)
  const candidates = connected.length > 0 ? connected : members
  const order = members.map(({ session }) => session.clientId)
  const last = order.indexOf(core.turns.get(filter) ?? '')
  const isLater = (one: ShareMember): boolean => order.indexOf(one.session.clientId) > last
  const { session, subscription } = candidates.find(isLater) ?? candidates[0]!
  core.turns.set(filter, session.clientId)
  offer(core, session, copyFor(message, [subscription], [subscription], filter))
}

/**
 * Gives what a member of a shared subscription cannot handle to another one that is connected:
 * messages that wait, and those in flight at QoS 1. Those at QoS 2 stay with their session. (4.8.2)
 */
export function redistribute(core: BrokerCore, session: BrokerSession): void {
  if (!core.settings.sharedRedistribution) return
  const moved: OutgoingMessage[] = []
  for (const [messageId, { outgoing }] of session.sent) {
    if (outgoing.qos !== 1 || !hasOther(core, session, outgoing.share)) continue
    session.sent.delete(messageId)
    moved.push(outgoing)
  }
  session.queue = session.queue.filter((outgoing) => {
    if (!hasOther(core, session, outgoing.share)) return true
    moved.push(outgoing)
    return false
  })
  for (const { message, share } of moved) {
    offerShared(core, message, share!, membersOf(core, share!))
  }
}

function hasOther(core: BrokerCore, session: BrokerSession, share: string | null): boolean {
  if (share === null) return false
  return membersOf(core, share).some(
    (one) => one.session !== session && one.session.connection?.open,
  )
}

function membersOf(core: BrokerCore, share: string): readonly ShareMember[] {
  return [...core.sessions.values()].flatMap((session) => {
    const subscription = session.subscriptions.get(share)
    return subscription === undefined ? [] : [{ session, subscription }]
  })
}
