/**
 * Which SUBSCRIBE packets leave, and how many filters does each of them carry?
 *
 * (D5, a lost session is rebuilt in order) Some servers close the connection on a SUBSCRIBE with
 * more filters than they take, without a word. So a renewal carries no more filters than the user's
 * own packets, which the server answered; fewer after a loss while a SUBSCRIBE was open; and one
 * while requests are isolated (D6, one bad request never stalls the others). A SUBSCRIBE of the
 * user with more filters is split: its parts leave one after the other under one packet identifier,
 * and their answers become one SUBACK.
 */
import type { Draft } from './draft.ts'
import {
  NO_ITEMS,
  type SubscribeFacts,
  type SubscriptionAckPacket,
  type SubscriptionFacts,
} from './facts.ts'
import { nextMessageId, noteIsolated, noteSent, openRequest } from './opening.ts'
import { entries } from './packet-table.ts'
import type { OpenRequest } from './session-state.ts'
import type { State } from './state.ts'
import type { SplitSubscribe } from './subscribing-state.ts'
import { isCautious, MESSAGE_IDS, sendable, UNANSWERED_MS } from './window.ts'

/**
 * How many renewals may wait for their SUBACK, so that a large table of subscriptions neither uses
 * up the packet identifiers nor floods the server.
 */
const RENEWALS_UNANSWERED_MAX = 1000

/**
 * @param renewal Whether the packet is a renewal, and not a SUBSCRIBE of the user. Renewals that
 *   are suspected are sent apart in any case.
 * @returns how many filters the next SUBSCRIBE may carry.
 */
export function filtersAllowed(
  state: Pick<State, 'config' | 'session' | 'reconnect'>,
  renewal: boolean,
): number {
  const { config, session, reconnect } = state
  if (!renewal && isCautious(state)) return 1
  const most = config.filtersPerSubscribe ?? (renewal ? session.filtersGranted : Infinity)
  return Math.min(most, reconnect.filtersMax)
}

/**
 * Lets later packets carry half as many filters, because the connection was lost while a SUBSCRIBE
 * was open. A transport that breaks may be the fault of the network, so it counts only if the loop
 * does not get on.
 * @param closed Whether the server closed the connection.
 */
export function noteFiltersLost(d: Draft, closed: boolean): void {
  if (d.outgoing.subscribing === 0 || (!closed && d.progress.losses < 2)) return
  const { epoch } = d.connection
  let most = 0
  for (const [messageId, { facts, touchedEpoch }] of entries(d.open.finish())) {
    if (facts.kind !== 'subscribe' || touchedEpoch !== epoch) continue
    most = Math.max(most, filtersSent(d, messageId, facts))
  }
  if (most > 1) d.reconnect.filtersMax = Math.floor(most / 2)
}

/** @returns how many filters the packet carries that was sent last under this identifier. */
export function filtersSent(
  d: Draft,
  messageId: number,
  { subscriptions }: SubscribeFacts,
): number {
  return splitOf(d, messageId)?.filters ?? subscriptions.length
}

// ---------------------------------------------------------------------------------------- renewals

/**
 * Decides which SUBSCRIBE packets the engine itself sends on this connection.
 * @param apart Those that are sent one at a time while the loop is cautious.
 */
export function queueRenewals(
  d: Draft,
  together: readonly SubscribeFacts[],
  apart: readonly SubscribeFacts[],
): void {
  const packets = [...together, ...apart]
  d.outgoing.renewals =
    packets.length === 0 ? null : { packets, sent: 0, apartFrom: together.length }
}

/** Adds packets to those that the engine itself sends on this connection. */
export function addRenewals(d: Draft, more: readonly SubscribeFacts[]): void {
  queueRenewals(d, [...unsentRenewals(d), ...more], NO_ITEMS)
}

/** @returns the renewals that are still to be sent. */
export function unsentRenewals({ outgoing }: Draft): readonly SubscribeFacts[] {
  return outgoing.renewals?.packets.slice(outgoing.renewals.sent) ?? NO_ITEMS
}

/**
 * Sends the SUBSCRIBE packets of the engine itself, as many as may be unanswered.
 * @returns whether all of them were sent.
 */
export function sendRenewals(d: Draft, at: number): boolean {
  const { renewals } = d.outgoing
  if (renewals === null) return true
  const { packets, apartFrom } = renewals
  let { sent } = renewals
  while (sent < packets.length && mayRenew(d, sent >= apartFrom)) {
    const facts = packets[sent++]!
    const messageId = nextMessageId(d)
    d.outgoing.subscribing++
    openRequest(d, messageId, facts, 'renewal', 0, at)
    d.send({ type: 'subscribe', messageId, facts })
  }
  d.outgoing.renewals = sent < packets.length ? { ...renewals, sent } : null
  return d.outgoing.renewals === null
}

function mayRenew(d: Draft, isApart: boolean): boolean {
  if (isApart && isCautious(d)) return sendable(d) > 0
  return d.outgoing.subscribing < RENEWALS_UNANSWERED_MAX && d.open.size < MESSAGE_IDS
}

// --------------------------------------------------------------------------------- the user's own

/**
 * @returns whether a SUBSCRIBE or UNSUBSCRIBE may be sent. None may pass the parts of another one,
 * unless the server does not answer that.
 */
export function maySubscribe(d: Draft): boolean {
  return d.outgoing.splits.every(({ late }) => late) && d.open.size < MESSAGE_IDS
}

function splitOf({ outgoing }: Pick<Draft, 'outgoing'>, messageId: number) {
  return outgoing.splits.find((split) => split.messageId === messageId)
}

/** Notes how far a SUBSCRIBE that is sent in parts has come, or null if it is complete. */
function noteSplit({ outgoing }: Draft, messageId: number, split: SplitSubscribe | null): void {
  const others = outgoing.splits.filter((other) => other.messageId !== messageId)
  outgoing.splits = split === null ? others : [...others, split]
}

/** @returns when the answer to a part of a SUBSCRIBE is waited for no longer, or Infinity. */
export function splitDueAt({ outgoing }: Pick<State, 'outgoing'>): number {
  let due = Infinity
  for (const { filters, late, sentAt } of outgoing.splits) {
    if (filters > 0 && !late) due = Math.min(due, sentAt + UNANSWERED_MS)
  }
  return due
}

/** Lets other requests pass a SUBSCRIBE whose part the server does not answer. */
export function splitTimedOut({ outgoing }: Draft): void {
  outgoing.splits = outgoing.splits.map((split) => ({ ...split, late: split.filters > 0 }))
}

/** Sends a SUBSCRIBE of the user, or the first part of it. */
export function sendSubscribe(
  d: Draft,
  messageId: number,
  facts: SubscribeFacts,
  at: number,
): void {
  const isSplit = facts.subscriptions.length > filtersAllowed(d, false)
  if (isSplit) sendPart(d, messageId, facts, NO_ITEMS, at)
  else d.send({ type: 'subscribe', messageId, facts })
}

/** @param granted The reason codes of the parts before. */
function sendPart(
  d: Draft,
  messageId: number,
  facts: SubscribeFacts,
  granted: readonly number[],
  at: number,
): void {
  const { length } = granted
  const subscriptions = facts.subscriptions.slice(length, length + filtersAllowed(d, false))
  const filters = subscriptions.length
  noteSplit(d, messageId, { messageId, granted, filters, sentAt: at, late: false })
  d.send({ type: 'subscribe', messageId, facts: { ...facts, subscriptions } })
}

/** @returns whether the last part that was sent is answered, and the next one is not sent yet. */
export function isBetweenParts(d: Draft, messageId: number): boolean {
  return splitOf(d, messageId)?.filters === 0
}

/** @returns the filters that a SUBACK answers: those of a whole request, or those of a part. */
export function filtersAnswered(
  d: Draft,
  messageId: number,
  { subscriptions }: SubscribeFacts,
): readonly SubscriptionFacts[] {
  const split = splitOf(d, messageId)
  if (split === undefined) return subscriptions
  const { length } = split.granted
  return subscriptions.slice(length, length + split.filters)
}

/**
 * Handles the SUBACK of a part. The next one is sent by `sendNextPart`.
 * @returns the SUBACK for the whole request, or null if a part of it is still to be answered.
 */
export function partAnswered(
  d: Draft,
  packet: SubscriptionAckPacket,
  request: OpenRequest,
): SubscriptionAckPacket | null {
  const { messageId } = packet
  const split = splitOf(d, messageId)
  const { facts } = request
  if (split === undefined || facts.kind !== 'subscribe') return packet
  const granted = [...split.granted, ...packet.granted]
  if (granted.length >= facts.subscriptions.length) {
    noteSplit(d, messageId, null)
    return { ...packet, granted }
  }
  // Until the next part is sent, nothing of the request is open on the connection.
  noteSplit(d, messageId, { ...split, granted, filters: 0 })
  d.outgoing.subscribing--
  d.open.set(messageId, { ...request, epoch: 0, touchedEpoch: 0 })
  return null
}

/** Sends the next part of a SUBSCRIBE once the part before is answered and caution allows it. */
export function sendNextPart(d: Draft, at: number): void {
  for (const { messageId, granted, filters } of d.outgoing.splits) {
    const request = d.open.get(messageId)
    if (filters > 0 || request?.facts.kind !== 'subscribe') continue
    if (isCautious(d) && sendable(d) <= 0) return
    noteIsolated(d, at)
    d.outgoing.subscribing++
    const { epoch } = d.connection
    d.open.set(messageId, { ...request, epoch, touchedEpoch: epoch, sentAt: noteSent(d, at) })
    sendPart(d, messageId, request.facts, granted, at)
  }
}
