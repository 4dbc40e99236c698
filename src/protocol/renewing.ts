/**
 * Which subscriptions are renewed after a CONNACK?
 *
 * (D5, a lost session is rebuilt in order) After Session Present 0 all of them. Session Present 1
 * says that the server has kept them, which is not always true: there are servers that always say
 * it, and servers that forget shared subscriptions when they restart. Renewing is cheap, one packet
 * as the user's own, and must repeat nothing. So, unless the option `renewSubscriptions` says
 * otherwise, these are renewed after Session Present 1:
 *
 * - Shared subscriptions, always: no retained messages come for them.
 * - In MQTT 5 all others, with Retain Handling 1: retained messages come only for those that the
 *   server has forgotten. It stops when this server was seen to keep a session: it sent a message
 *   again (DUP) that was in flight when a connection was lost.
 * - In MQTT 3, where retained messages would come again, all others only if the server is silent:
 *   messages came before, and none for SILENCE_MS since the session was resumed.
 * - In both versions all others, if the server ever said that it keeps a session that it cannot
 *   have, because a new one was asked for or because the client identifier is new.
 */
import type { Draft } from './draft.ts'
import type { SubscribeFacts, SubscriptionFacts } from './facts.ts'
import type { HeldSubscription } from './session-state.ts'
import { subscriptionsOf, type Wanted } from './subscriptions.ts'
import { isShared } from './topics.ts'

/** How long a resumed session of MQTT 3 may deliver nothing before it is doubted, in ms. */
const SILENCE_MS = 10_000

/**
 * @param cut The renewals that the connection before left unanswered or unsent.
 * @returns the subscriptions to renew, oldest first.
 */
export function wantedRenewals(
  d: Draft,
  sessionPresent: boolean,
  cut: readonly SubscribeFacts[],
): readonly Wanted[] {
  if (d.session.subscriptionCount === 0) return []
  const { renewSubscriptions } = d.config
  if (sessionPresent && renewSubscriptions === 'lost' && cut.length === 0) return []
  const all = subscriptionsOf(d.subscriptions.finish())
  if (!sessionPresent) return all
  const unanswered = new Map(
    cut
      .flatMap((one) => one.subscriptions)
      .map((subscription) => [subscription.topic, subscription]),
  )
  const isWanted = doubtful(d)
  return all.flatMap((held): Wanted[] => {
    const asked = unanswered.get(held.subscription.topic)
    if (asked !== undefined) return [asked.rh ? quietly(d, held) : held]
    return isWanted(held.subscription) ? [quietly(d, held)] : []
  })
}

/** @returns which subscriptions the server may have forgotten although it resumed the session. */
function doubtful(d: Draft): (subscription: SubscriptionFacts) => boolean {
  const { config, connection, reconnect } = d
  if (config.renewSubscriptions === 'lost') return () => false
  if (config.renewSubscriptions === 'always') return () => true
  const { keptBy, host } = reconnect
  if (keptBy === NEVER || (connection.protocolVersion === 5 && keptBy !== host)) return () => true
  return ({ topic }) => isShared(topic)
}

/** @returns the subscription so that nothing is repeated for it, if the version can say so. */
function quietly({ connection }: Draft, held: HeldSubscription): Wanted {
  const { subscription, properties } = held
  if (connection.protocolVersion < 5 || subscription.rh) return held
  return { subscription: { ...subscription, rh: 1 }, properties }
}

// ---------------------------------------------------------------------------------------- evidence

/** No server was seen to keep a session. */
export const NOBODY = -1
/** A server said that it keeps a session that it cannot have, so it may always say so. */
const NEVER = -2

/** Notes, before a CONNACK counts, what it says about the server. */
export function noteSessions(d: Draft, sessionPresent: boolean): void {
  const { config, connection, reconnect } = d
  const { asksCleanStart, redirect } = reconnect.outage!
  const first = connection.epoch === 0 && !config.resumes
  const impossible = asksCleanStart || (first && config.generatedClientId)
  if (sessionPresent && impossible) reconnect.keptBy = NEVER
  else if (!sessionPresent || redirect !== null) reconnect.keptBy = NOBODY
}

/** @returns whether the server has resumed a session. One that always says so is not believed. */
export function isResumed({ connection, reconnect }: Draft): boolean {
  return connection.connack?.sessionPresent === true && reconnect.keptBy !== NEVER
}

/** Notes at the loss of a connection that its server was seen to keep a session. */
export function noteKept({ connection, incoming, reconnect }: Draft): void {
  const resumed = connection.connack?.sessionPresent === true
  if (resumed && incoming.repeats > 0 && reconnect.keptBy !== NEVER) {
    reconnect.keptBy = reconnect.host
  }
}

/**
 * Forgets what was seen, because a CONNACK may have been sent that never arrived. If it said that
 * the session is a new one, the next one says that this new session is present.
 */
export function noteMissedConnack({ reconnect }: Draft): void {
  if (reconnect.keptBy !== NEVER) reconnect.keptBy = NOBODY
}

/** Begins to watch whether a resumed session delivers anything. */
export function watchSilence(d: Draft, sessionPresent: boolean, at: number): void {
  const { config, connection, counters, session, reconnect } = d
  const doubts = config.renewSubscriptions === 'unsure' && connection.protocolVersion < 5
  if (!doubts || !sessionPresent || session.subscriptionCount === 0) return
  // If a server never said that it has no session, it may not know how to say so.
  const usedToSpeak = counters.received > 0 || session.adopted
  if (!usedToSpeak || reconnect.keptBy !== NOBODY) return
  d.outgoing.silence = { until: at + SILENCE_MS, received: counters.received }
}

/**
 * Ends the watch over a resumed session.
 * @returns the subscriptions to renew, because the server was silent.
 */
export function silenceOver(d: Draft): readonly Wanted[] {
  const { silence } = d.outgoing
  d.outgoing.silence = null
  if (silence === null || d.counters.received > silence.received) return []
  return subscriptionsOf(d.subscriptions.finish()).filter(
    ({ subscription }) => !isShared(subscription.topic),
  )
}
