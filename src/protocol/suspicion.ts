/**
 * What does the loss of a connection prove against what was open on it, and does the loop get on?
 *
 * (D6, one bad request never stalls the others) The evidence is progress, and not the reason code:
 * the same thing was the first one open at the last losses, and nothing was settled in between.
 * Then all that was open is suspected. If the server closed in order, so is all that was open at
 * the first loss already; a transport that breaks may be the fault of the network. With a suspect
 * the loop is cautious (`window.ts`): the next connection is proved by a PINGREQ, and then one
 * thing is sent at a time. A loss that only one thing can have caused is a strike, and after
 * `quarantineAfter` strikes it is given up. So a bad request costs at most `quarantineAfter` + 2
 * connections, or `quarantineAfter` + 4 if, between those that break, others are settled or the
 * server cannot be reached.
 *
 * Own time-outs, hints of the network and the user's `reconnect` prove nothing.
 */

import type { Draft } from './draft.ts'
import { type Failure, NO_ITEMS, type SubscriptionFacts } from './facts.ts'
import { entries } from './packet-table.ts'
import type { AccusedFilter, FirstOpen, ProgressState } from './progress-state.ts'
import { requestFailure } from './refusals.ts'
import { isResumed } from './renewing.ts'
import type { OpenRequest } from './session-state.ts'
import { settleOpen } from './settling.ts'
import { notRenewed, subscriptionsOf } from './subscriptions.ts'
import { matches } from './topics.ts'
import { giveUpCaution, isCautious, SUSPECT } from './window.ts'

/**
 * What a loss says about the server. `closed`: the server closed in order, sent DISCONNECT, or sent
 * what cannot be accepted. `broken`: the transport broke. `none`: it says nothing.
 */
export type Evidence = 'closed' | 'broken' | 'none'

/** After this many losses in a row without progress the user is warned; again at its doubles. */
const NO_PROGRESS_LOSSES = 5

/** The errors of a network that cannot be crossed, which say nothing about the server. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENETRESET',
])

/** The losses that show that the server did not close on what was open. */
const SURVIVED: ReadonlySet<string> = new Set(['KEEP_ALIVE_TIMEOUT', 'ACK_TIMEOUT'])

/** The losses that are wanted, or that the network announced. They are not counted. */
const ANNOUNCED: ReadonlySet<string> = new Set(['RECONNECT', 'NETWORK_OFFLINE'])

/** The ways in which a server closes without a word. They count as one cause. */
const CLOSES: ReadonlySet<string> = new Set([
  'CONNECTION_CLOSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
])

/** The packets from the server that belong to one of its messages. */
const OF_DELIVERIES: ReadonlySet<string> = new Set(['publish', 'pubrel'])

type Open = readonly [messageId: number, request: OpenRequest]

/** @returns what the end of a transport says that nobody here closed. */
export function evidenceOf(failure: Failure, byPeer: boolean): Evidence {
  if (byPeer) return 'closed'
  return UNREACHABLE.has(failure.code) ? 'none' : 'broken'
}

/** Notes that a connection, or an attempt to get one, has ended for this reason. */
export function noteLoss(d: Draft, at: number, reason: Failure, evidence: Evidence): void {
  const open = d.connection.kind === 'connected' ? openNow(d) : []
  const first = firstOpen(d, open, reason)
  const stuck = isOpenAgain(d, open, first)
  const telling = d.connection.kind === 'connected' && evidence !== 'none'
  const excused = d.isolation?.excused ?? NO_ITEMS
  const awaited = excused.length === 0 ? open : open.filter(([id]) => !excused.includes(id))
  if (telling && answersWrongly(d, awaited, reason)) {
    d.progress = { ...d.progress, unprovable: true }
  }
  if (telling && d.config.quarantineAfter > 0) {
    suspect(d, awaited, reason, evidence, stuck ? SUSPECT : STEPS[evidence])
  }
  if (SURVIVED.has(reason.code)) clear(d, open, SUSPECT)
  if (!ANNOUNCED.has(reason.code)) countLoss(d, at, reason, first)
}

/** @returns whether the server answered the PINGREQ that was sent alone with something wrong. */
function answersWrongly(d: Draft, open: readonly Open[], reason: Failure): boolean {
  const { pingAnswered, pings } = d.connection
  const asked = isCautious(d) && open.length === 0 && !pingAnswered && pings.length > 0
  return asked && reason.source === 'protocol' && !isOverDelivery(d, reason)
}

/** @returns what was sent on this connection and has not ended, in the order of sending. */
function openNow(d: Draft): Open[] {
  const { epoch } = d.connection
  const open = [...entries(d.open.finish())].filter(([, one]) => one.touchedEpoch === epoch)
  return open.sort(([, a], [, b]) => a.order - b.order)
}

/**
 * If the server could not be reached in between, it may have been down.
 * @returns whether something that was open at the last loss is open again, with no progress made.
 */
function isOpenAgain(d: Draft, open: readonly Open[], first: FirstOpen | null): boolean {
  const { accused, first: last, connected, made } = d.progress
  if (!connected || made !== madeNow(d)) return false
  if (first?.kind !== 'request' && first !== null && isSame(first, last)) return true
  const accusedNow = (topic: string) => accused.some(({ filter }) => filter === topic)
  return open.some(([, { facts, stage, strikes }]) => {
    if (stage !== 'renewal' || facts.kind !== 'subscribe') return strikes > 0
    return facts.subscriptions.some(({ topic }) => accusedNow(topic))
  })
}

/** @returns whether the connection was given up because of a message from the server. */
function isOverDelivery({ reading }: Draft, { source }: Failure): boolean {
  return source === 'protocol' && reading !== null && OF_DELIVERIES.has(reading.cmd)
}

/**
 * @returns whether the session has to be given up: a message that cannot be accepted waits in it,
 * and nothing else gets through.
 */
export function isLockedOut({ progress, config }: Pick<Draft, 'progress' | 'config'>): boolean {
  return config.quarantineAfter > 0 && progress.locked >= config.quarantineAfter
}

const GIVEN_UP =
  'A message that cannot be accepted comes first on every connection, so a new session is asked' +
  ' for. What else waits in the old session is lost.'

// --------------------------------------------------------------------------------------- suspicion

/** How much a loss among others adds to the strikes of what was open. */
const STEPS: Readonly<Record<Evidence, number>> = { closed: SUSPECT / 2, broken: 1, none: 0 }

function suspect(
  d: Draft,
  open: readonly Open[],
  reason: Failure,
  evidence: Evidence,
  step: number,
): void {
  // A message that cannot be accepted speaks against what was subscribed, not what was published.
  const overDelivery = isOverDelivery(d, reason)
  // In a resumed session it speaks against nothing that was sent: it waited there.
  if (overDelivery && isResumed(d)) return
  const suspects = overDelivery ? open.filter(([, { facts }]) => facts.kind === 'subscribe') : open
  const unproven = d.isolation?.unproven ?? NO_ITEMS
  const cautious = isCautious(d)
  const alone = open.length + unproven.length === 1 && (cautious || evidence === 'closed')
  const [only] = suspects
  if (alone && unproven.length === 1) strikeFilter(d, unproven[0]!, reason)
  else if (alone && only !== undefined && hasLeft(d, only)) strike(d, only, reason)
  else {
    for (const one of suspects) accuse(d, one, evidence === 'closed' ? SUSPECT : step)
    accuseFilters(d, suspects, overDelivery && suspects.length === 0, step)
  }
  d.session.cautious ||= d.progress.accused.some(({ strikes }) => strikes >= SUSPECT)
}

/** @returns whether a request was sent on a proven connection, and waits for no commit. */
function hasLeft({ connection, config, isolation }: Draft, [messageId, request]: Open): boolean {
  if (!connection.pingAnswered) return false
  return !config.store || request.facts.kind !== 'publish' || isolation?.handed === messageId
}

/** Suspects a request because it was open among others. */
function accuse(d: Draft, [messageId, request]: Open, step: number): void {
  if (request.stage === 'renewal') return
  const strikes = moreStrikes(request.strikes, step)
  d.open.set(messageId, { ...request, strikes })
  d.session.cautious ||= strikes >= SUSPECT
}

/** Strikes among others make a suspect, and no more. */
function moreStrikes(strikes: number, step: number): number {
  return Math.max(strikes, Math.min(strikes + step, SUSPECT))
}

/**
 * Suspects the filters of open renewals, and those that were granted and not proved. Without
 * caution, filters that were suspected before and are none of these are cleared. With `delivered`
 * all subscriptions that may have brought the message are suspected.
 */
function accuseFilters(d: Draft, open: readonly Open[], delivered: boolean, step: number): void {
  const before = new Map(d.progress.accused.map(({ filter, strikes }) => [filter, strikes]))
  const filters = new Set(isCautious(d) ? before.keys() : NO_ITEMS)
  for (const { topic } of d.isolation?.unproven ?? NO_ITEMS) filters.add(topic)
  for (const [, { facts, stage }] of open) {
    if (stage !== 'renewal' || facts.kind !== 'subscribe') continue
    for (const { topic } of facts.subscriptions) filters.add(topic)
  }
  if (delivered) for (const filter of filtersOf(d, d.reading?.topic)) filters.add(filter)
  if (filters.size === 0 && before.size === 0) return
  const accused = [...filters].map((filter): AccusedFilter => {
    return { filter, strikes: moreStrikes(before.get(filter) ?? 0, step) }
  })
  d.progress = { ...d.progress, accused: accused.length > 0 ? accused : NO_ITEMS }
}

/** @returns the filters that are subscribed and match the topic; all if it is not known. */
function filtersOf(d: Draft, topic: string | undefined): string[] {
  const filters = subscriptionsOf(d.subscriptions.finish()).map((held) => held.subscription.topic)
  const matching = topic ? filters.filter((filter) => matches(filter, topic)) : []
  return matching.length > 0 ? matching : filters
}

/** Counts a loss against the one thing that was open. */
function strike(d: Draft, [messageId, request]: Open, reason: Failure): void {
  const { facts, stage } = request
  if (stage === 'renewal' && facts.kind === 'subscribe') {
    const [first, ...others] = facts.subscriptions
    if (others.length > 0) return accuseFilters(d, [[messageId, request]], false, SUSPECT)
    if (strikeFilter(d, first!, reason)) d.open.remove(messageId)
    return
  }
  const strikes = Math.max(request.strikes, SUSPECT) + 1
  d.session.cautious = true
  d.open.set(messageId, { ...request, strikes })
  if (strikes - SUSPECT >= d.config.quarantineAfter) quarantine(d, [messageId, request], reason)
}

/**
 * Gives a request up. The server may have received a QoS 2 message, and would take another one
 * under its packet identifier for a repetition, so that stays in use while the session lives.
 */
function quarantine(d: Draft, [messageId, request]: Open, reason: Failure): void {
  const { facts } = request
  if (facts.kind === 'publish' && facts.qos === 2) {
    const retired = { ...facts, handle: 0 }
    d.open.set(messageId, { ...request, facts: retired, strikes: 0, settled: true })
  } else {
    d.open.remove(messageId)
  }
  const message =
    `The connection was lost ${d.config.quarantineAfter} times while this request alone was` +
    ` open (${reason.code}); it is not sent again.`
  const failure = requestFailure('refused', 'QUARANTINED', message)
  const { source, reasonCode } = reason
  const told = source === 'refused' && reasonCode !== undefined
  settleOpen(d, request, told ? { ...failure, reasonCode } : failure, null)
}

/**
 * Counts a loss against the one filter whose subscription can have caused it.
 * @returns whether the filter was given up.
 */
function strikeFilter(d: Draft, subscription: SubscriptionFacts, { code }: Failure): boolean {
  const { topic } = subscription
  const { accused } = d.progress
  const before = accused.find(({ filter }) => filter === topic)?.strikes ?? 0
  const strikes = Math.max(before, SUSPECT) + 1
  const others = accused.filter(({ filter }) => filter !== topic)
  const over = strikes - SUSPECT >= d.config.quarantineAfter
  d.session.cautious = true
  d.progress = { ...d.progress, accused: over ? others : [...others, { filter: topic, strikes }] }
  if (!over) return false
  const why = `The connection was lost ${d.config.quarantineAfter} times on it alone (${code}).`
  notRenewed(d, subscription, 0x80, why, true)
  restart(d)
  return true
}

/** @returns whether a filter is renewed alone, because it is suspected. */
export function isAccused({ accused }: ProgressState, topic: string): boolean {
  return accused.some(({ filter, strikes }) => filter === topic && strikes >= SUSPECT)
}

/** Handles an answer that is missing. The loop must not wait for it any longer. */
export function isolationTimedOut(d: Draft, at: number): void {
  if (d.isolation !== null && !d.connection.pingAnswered) {
    d.progress = { ...d.progress, unprovable: true }
    d.connection.pingAnswered = true
    d.isolation.unproven = NO_ITEMS
    d.isolation.sentAt = at
    return
  }
  // What was sent alone has not harmed the connection. The others go on one at a time: among them
  // may be one that does.
  const open = openNow(d)
  clear(d, open, Infinity)
  const { isolation } = d
  if (isolation === null || open.length <= isolation.excused.length) return giveUpCaution(d)
  isolation.excused = open.map(([messageId]) => messageId)
  isolation.sentAt = at
}

/** Clears requests with fewer strikes than this. */
function clear(d: Draft, open: readonly Open[], below: number): void {
  for (const [messageId, request] of open) {
    const { strikes } = request
    if (strikes > 0 && strikes < below) d.open.set(messageId, { ...request, strikes: 0 })
  }
}

/** Notes that a PINGREQ was answered after these filters were granted. */
export function proved(d: Draft): void {
  if (d.progress.unprovable) d.progress = { ...d.progress, unprovable: false }
  const { isolation } = d
  if (isolation === null || isolation.unproven.length === 0) return
  const { unproven } = isolation
  isolation.unproven = NO_ITEMS
  const { accused } = d.progress
  if (accused.length === 0) return
  const good = new Set(unproven.map(({ topic }) => topic))
  d.progress = { ...d.progress, accused: accused.filter(({ filter }) => !good.has(filter)) }
}

// ---------------------------------------------------------------------------------------- progress

/** @returns what was the first thing open, or null if nothing was. */
function firstOpen(d: Draft, open: readonly Open[], reason: Failure): FirstOpen | null {
  const { reading, pending, incoming } = d
  const connected = d.connection.kind === 'connected'
  const isolation = connected ? d.isolation : null
  if (reading !== null && isOverDelivery(d, reason)) {
    const { topic = '', messageId = 0 } = reading
    return { kind: 'delivery', topic, messageId, state: 'refused' }
  }
  const request = open[0]?.[1]
  if (request !== undefined && request.stage !== 'renewal') {
    return { kind: 'request', handle: request.facts.handle }
  }
  const filters =
    request?.facts.kind === 'subscribe' ? request.facts.subscriptions : isolation?.unproven
  const [filter] = filters ?? NO_ITEMS
  if (filter !== undefined) {
    return { kind: 'renewal', filter: filter.topic, filters: filters!.length }
  }
  const head = connected ? pending.get(incoming.pendingFrom & 0xffff) : undefined
  if (head !== undefined) {
    return { kind: 'delivery', topic: head.topic, messageId: head.messageId, state: 'open' }
  }
  const { acknowledgedTopic: topic, acknowledgedId: messageId } = incoming
  if (!connected || topic === '') return null
  return { kind: 'delivery', topic, messageId, state: 'acknowledged' }
}

/**
 * QoS 0 messages that the kernel took, and messages that the server sent again, are no progress.
 * @returns how much was settled and delivered since the loop began.
 */
function madeNow({ counters, outgoing, incoming, progress }: Draft): number {
  const repeats = progress.repeats + incoming.repeats
  return counters.settled - outgoing.confirmed + counters.received - repeats
}

/** Notes that what was settled since the last loss was not settled by this connection. */
export function noteConnection(d: Draft): void {
  if (d.progress.losses > 0) d.progress = { ...d.progress, made: madeNow(d) }
}

/** Counts the losses in a row without progress, and warns the user. */
function countLoss(d: Draft, at: number, reason: Failure, first: FirstOpen | null): void {
  const before = d.progress
  const made = madeNow(d)
  const cause = CLOSES.has(reason.code) ? 'closed' : reason.code
  const sameFirst = first !== null && isSame(first, before.first)
  const sameCause = cause === before.cause || sameFirst
  const isRefused = first?.kind === 'delivery' && first.state === 'refused'
  // A message that cannot be accepted comes again and again, whatever is settled in between.
  const stuck = made === before.made || (sameFirst && isRefused)
  const losses = sameCause && stuck && !wasIdle(d, at) ? before.losses + 1 : 1
  const onceMore = isRefused && isResumed(d) ? 1 : 0
  const locked = (isRefused && sameFirst && made === before.made ? before.locked : 0) + onceMore
  const repeats = before.repeats + d.incoming.repeats
  const connected = d.connection.connackAt >= 0
  d.progress = { ...before, losses, locked, cause, connected, first, made, repeats }
  if (onceMore > 0 && locked === d.config.quarantineAfter) d.warn('NO_PROGRESS', GIVEN_UP)
  if (isDue(losses)) d.effects.push({ type: 'noProgress', losses, reason, first })
}

/** Begins to count again, because something was given up. */
function restart(d: Draft): void {
  d.progress = { ...d.progress, losses: 0, locked: 0, cause: '', first: null }
}

/** @returns whether a stable connection was lost on which nothing was to be done. */
function wasIdle({ connection, session, reconnect }: Draft, at: number): boolean {
  if (connection.connackAt < 0 || session.owed > 0) return false
  if (session.waitingAt < session.waiting.length) return false
  return at - connection.connackAt >= reconnect.policy.stableMs
}

function isSame(a: FirstOpen, b: FirstOpen | null): boolean {
  if (a.kind === 'request') return b?.kind === 'request' && a.handle === b.handle
  if (a.kind === 'renewal') return b?.kind === 'renewal' && a.filter === b.filter
  return b?.kind === 'delivery' && a.topic === b.topic && a.messageId === b.messageId
}

function isDue(losses: number): boolean {
  const doublings = Math.log2(losses / NO_PROGRESS_LOSSES)
  return doublings >= 0 && Number.isInteger(doublings)
}
