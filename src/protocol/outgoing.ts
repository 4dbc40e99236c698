/**
 * Requests on their way out: identifiers, the window, order, resending, and what each answer settles. (D1 to D6)
 *
 * A request is either waiting (no identifier), open (it has one), or settled. A QoS 0 publish goes from waiting to
 * unconfirmed and is settled when the kernel took it. Orders are given once, when a request is taken; whatever is sent again
 * is sent in their order. The window counts PUBLISH packets at QoS > 0 sent on this connection: a request left open by an
 * earlier one counts again only when it is resent.
 */
import { divert } from './divert.ts'
import type { Draft } from './draft.ts'
import type {
  Failure,
  PublishFacts,
  RequestFacts,
  ServerPacket,
  SubscribeFacts,
  UnsubscribeFacts,
} from './facts.ts'
import { activeAt } from './flow.ts'
import { entries, type PacketTable } from './packet-table.ts'
import { isExpired, noteRefused, refusalOf, requestFailure } from './refusals.ts'
import type { OpenRequest, WaitingRequest } from './session-state.ts'

const MESSAGE_IDS = 65_535
/** One for all states that have none. */
const NONE: readonly never[] = []
/** Share of a second whose allowance may be sent in one burst under `throttle`. */
const BURST_MS = 100

// ------------------------------------------------------------------------------------------------------------ what is let in

/** How many QoS > 0 publishes may be sent at this instant. */
function windowLeft(d: Draft): number {
  if (isCautious(d)) {
    const busy = d.outgoing.inFlight + d.outgoing.subscribing
    return d.connection.pingAnswered && busy === 0 ? 1 : 0
  }
  return Math.min(d.connection.limits.receiveMaximum, d.config.maxInflight) - d.outgoing.inFlight
}

export function waitingCount(session: {
  readonly waiting: readonly unknown[]
  readonly waitingAt: number
}): number {
  return session.waiting.length - session.waitingAt
}

export function isCautious(d: Draft): boolean {
  return d.session.cautiousBelow > 0
}

/** Takes a request: sends it, or holds it until it can be sent. */
export function take(d: Draft, facts: RequestFacts, at: number, holding: boolean): void {
  d.counters.taken += facts.kind === 'publish' ? facts.count : 1
  endCaution(d)
  const { connection } = d
  if (d.flow.diverting && !holding && facts.kind === 'publish' && facts.count === 1) {
    return divert(d, facts, at)
  }
  const ready =
    connection.kind === 'connected' && !connection.birthsPending && !isCautious(d) && !holding
  if (ready && mayPass(d, facts, at)) return send(d, facts, 0, at)
  hold(d, { facts, order: d.session.nextOrder++, strikes: 0 })
  if (ready && isGroup(facts) && d.outgoing.apart === 0) takeApart(d, facts.handle)
}

function isGroup(facts: RequestFacts): boolean {
  return facts.kind === 'publish' && facts.count > 1
}

/** Whether all messages of a group may leave at once. */
function leavesWhole(d: Draft, facts: RequestFacts, at: number): boolean {
  return d.flow.perSecond === 0 && refusalOf(facts, d.connection.limits, at) === null
}

/** The messages of a group take its place. */
export function takenApart(
  d: Draft,
  handle: number,
  messages: readonly RequestFacts[],
  at: number,
): void {
  const { session, outgoing } = d
  outgoing.apart = 0
  session.waiting = session.waiting.slice(session.waitingAt).flatMap((request) => {
    if (request.facts.handle !== handle) return [request]
    return messages.map((facts) => ({ ...request, facts }))
  })
  session.waitingAt = 0
  flush(d, at)
}

/** Whether a request that was just taken may go out ahead of those that wait. [MQTT-3.3.4-8] */
function mayPass(d: Draft, facts: RequestFacts, at: number): boolean {
  if (facts.kind !== 'publish') return d.open.size < MESSAGE_IDS
  // Until the messages of a group have its place, nothing may pass them.
  if (d.outgoing.apart !== 0) return false
  if (facts.count > 1) return leavesWhole(d, facts, at)
  const queued = waitingCount(d.session) > 0
  if (d.flow.perSecond > 0 && (queued || !mayTransmit(d, at))) return false
  if (facts.qos === 0) return true
  return !queued && !isResending(d) && windowLeft(d) > 0
}

export function isResending(d: Draft): boolean {
  return d.outgoing.resendAt < d.outgoing.resend.length
}

/** Birth messages: ahead of everything that waits or is to be sent again. */
export function takeBirths(d: Draft, births: readonly RequestFacts[], at: number): void {
  const held: WaitingRequest[] = []
  for (const facts of births) {
    d.counters.taken++
    const windowed = facts.kind === 'publish' && facts.qos > 0
    const connected = d.connection.kind === 'connected'
    if (connected && (!windowed || (held.length === 0 && windowLeft(d) > 0))) send(d, facts, 0, at)
    else {
      const request = { facts, order: d.session.nextOrder++, strikes: 0 }
      if (connected) held.push(request)
      else hold(d, request)
    }
  }
  if (held.length === 0) return
  d.session.waiting = [...held, ...d.session.waiting.slice(d.session.waitingAt)]
  d.session.waitingAt = 0
}

function hold(d: Draft, request: WaitingRequest): void {
  noteExpiry(d, request.facts)
  d.session.waiting = [...d.session.waiting.slice(d.session.waitingAt), request]
  d.session.waitingAt = 0
}

/** Sends what was sent on an earlier connection, then what waits, as far as window and throttle allow. */
export function flush(d: Draft, at: number): void {
  const { kind, opened, birthsPending } = d.connection
  if (kind !== 'connected' || !opened || birthsPending) return
  endCaution(d)
  while (isResending(d)) {
    const messageId = d.outgoing.resend[d.outgoing.resendAt]!
    const request = d.open.get(messageId)
    if (request !== undefined && !resend(d, messageId, request, at)) return
    d.outgoing.resendAt++
  }
  const { session } = d
  while (session.waitingAt < session.waiting.length) {
    const request = session.waiting[session.waitingAt]!
    if (!mayLeave(d, request.facts, at)) return
    if (isGroup(request.facts) && !leavesWhole(d, request.facts, at)) {
      return takeApart(d, request.facts.handle)
    }
    session.waitingAt++
    send(d, request.facts, request.strikes, at)
    endCaution(d)
  }
  if (session.waiting.length > 0) {
    session.waiting = NONE
    session.waitingAt = 0
  }
}

function takeApart(d: Draft, handle: number): void {
  if (d.outgoing.apart === handle) return
  d.outgoing.apart = handle
  d.effects.push({ type: 'takeApart', handle })
}

function mayLeave(d: Draft, facts: RequestFacts, at: number): boolean {
  if (isCautious(d) && windowLeft(d) <= 0) return false
  if (facts.kind !== 'publish') return d.open.size < MESSAGE_IDS
  if (isExpired(facts, at)) return true
  if (facts.qos > 0 && windowLeft(d) <= 0) return false
  return d.flow.perSecond === 0 || mayTransmit(d, at)
}

/** Whether `throttle` lets a first transmission through now: at most 100 ms' worth in a burst (E3). */
function mayTransmit(d: Draft, at: number): boolean {
  return at >= transmissionDueAt(d.flow)
}

export function transmissionDueAt(flow: {
  readonly perSecond: number
  readonly nextTransmissionAt: number
}): number {
  return flow.nextTransmissionAt - Math.max(0, BURST_MS - 1000 / flow.perSecond)
}

/** Once all that were in flight when a suspicious close came are settled, the window opens again. */
function endCaution(d: Draft): void {
  if (!isCautious(d) || isResending(d) || d.outgoing.inFlight + d.outgoing.subscribing > 0) return
  // Births stand before them, and are younger.
  const { waiting, waitingAt, cautiousBelow } = d.session
  if (!waiting.some(({ order }, i) => i >= waitingAt && order < cautiousBelow)) {
    d.session.cautiousBelow = 0
  }
}

// ---------------------------------------------------------------------------------------------------------------- sending

function send(d: Draft, facts: RequestFacts, strikes: number, at: number): void {
  const refusal = refusalOf(facts, d.connection.limits, at)
  if (refusal !== null) {
    if (facts.kind === 'subscribe') noteAllRefused(d, facts, refusal)
    return settle(d, facts.handle, refusal, null, true)
  }
  if (facts.kind === 'publish') return sendPublish(d, facts, strikes, at)
  const messageId = nextMessageId(d)
  d.outgoing.subscribing++
  openRequest(d, messageId, facts, strikes, at)
  if (facts.kind === 'subscribe') d.send({ type: 'subscribe', messageId, facts })
  else d.send({ type: 'unsubscribe', messageId, facts })
}

function noteAllRefused(d: Draft, facts: SubscribeFacts, { reasonCode = 0x80 }: Failure): void {
  for (const subscription of facts.subscriptions) noteRefused(d, subscription, reasonCode)
}

function sendPublish(d: Draft, facts: PublishFacts, strikes: number, at: number): void {
  if (d.flow.perSecond > 0) {
    d.flow.nextTransmissionAt = Math.max(d.flow.nextTransmissionAt, at) + 1000 / d.flow.perSecond
  }
  d.counters.sent += facts.count
  const { handle, qos } = facts
  const expirySeconds = secondsLeft(facts, at)
  if (qos === 0) {
    d.outgoing.unconfirmed += facts.count
    d.send({ type: 'publish', handle, qos, messageId: 0, dup: false, expirySeconds })
    return
  }
  const messageId = nextMessageId(d)
  d.outgoing.inFlight++
  openRequest(d, messageId, facts, strikes, at)
  d.send({ type: 'publish', handle, qos, messageId, dup: false, expirySeconds })
}

function openRequest(
  d: Draft,
  messageId: number,
  facts: RequestFacts,
  strikes: number,
  at: number,
): void {
  d.session.owed++
  d.open.set(messageId, {
    facts,
    stage: facts.kind,
    order: d.session.nextOrder++,
    epoch: d.connection.epoch,
    touchedEpoch: d.connection.epoch,
    sentAt: sentAt(d, at),
    strikes,
    settled: false,
  })
}

/** The instant as `ackTimeout` sees it; 0 where nobody asked. */
function sentAt(d: Draft, at: number): number {
  const { ackTimeout } = d.config
  if (ackTimeout === null) return 0
  const now = activeAt(d.flow, at)
  d.outgoing.ackCheckAt = Math.min(d.outgoing.ackCheckAt, now + ackTimeout.afterMs)
  return now
}

/** A SUBSCRIBE of the engine's own, after the server lost the session. */
export function sendRenewal(d: Draft, facts: SubscribeFacts, at: number): void {
  const messageId = nextMessageId(d)
  const order = d.session.nextOrder++
  const epoch = d.connection.epoch
  d.outgoing.subscribing++
  d.open.set(messageId, {
    facts,
    stage: 'renewal',
    order,
    epoch,
    touchedEpoch: epoch,
    sentAt: sentAt(d, at),
    strikes: 0,
    settled: true,
  })
  d.send({ type: 'subscribe', messageId, facts })
}

/** Sends an open request again under its identifier [MQTT-4.4.0-1]; false: not now. */
function resend(d: Draft, messageId: number, request: OpenRequest, at: number): boolean {
  const { facts, stage } = request
  if (isCautious(d) && windowLeft(d) <= 0) return false
  const touchedEpoch = d.connection.epoch
  if (stage === 'pubrel') {
    d.open.set(messageId, { ...request, touchedEpoch, sentAt: sentAt(d, at) })
    d.send({ type: 'acknowledge', cmd: 'pubrel', messageId, reasonCode: 0 })
    return true
  }
  if (facts.kind === 'publish' && windowLeft(d) <= 0) return false
  // What was sent once may be delivered already: it does not expire.
  const judged = facts.kind === 'publish' ? { ...facts, expiresAt: 0 } : facts
  const refusal = refusalOf(judged, d.connection.limits, at)
  if (refusal !== null) {
    d.open.remove(messageId)
    finish(d, request, refusal, null)
    return true
  }
  if (facts.kind === 'publish') {
    d.outgoing.inFlight++
    d.open.set(messageId, { ...request, epoch: touchedEpoch, touchedEpoch, sentAt: sentAt(d, at) })
    const expirySeconds = secondsLeft(facts, at)
    const { handle, qos } = facts
    d.send({ type: 'publish', handle, qos, messageId, dup: true, expirySeconds })
    return true
  }
  d.outgoing.subscribing++
  d.open.set(messageId, { ...request, epoch: touchedEpoch, touchedEpoch, sentAt: sentAt(d, at) })
  if (facts.kind === 'subscribe') d.send({ type: 'subscribe', messageId, facts })
  else d.send({ type: 'unsubscribe', messageId, facts: facts as UnsubscribeFacts })
  return true
}

/** The next free identifier [MQTT-2.2.1-3]; callers made sure that there is one. */
function nextMessageId(d: Draft): number {
  let id = d.session.nextMessageId
  while (d.open.get(id) !== undefined) id = id === MESSAGE_IDS ? 1 : id + 1
  d.session.nextMessageId = id === MESSAGE_IDS ? 1 : id + 1
  return id
}

/** [MQTT-3.3.2-6] asks this of servers; a client that held a message owes its receivers the same (I3). */
function secondsLeft(facts: PublishFacts, at: number): number {
  return facts.expiresAt === 0 ? -1 : Math.max(1, Math.ceil((facts.expiresAt - at) / 1000))
}

/** The identifier of `request` is free; its outcome is due unless it was given before. */
export function finish(
  d: Draft,
  request: OpenRequest,
  failure: Failure | null,
  packet: ServerPacket | null,
): void {
  if (request.settled) {
    const { handle } = request.facts
    if (handle === 0) return
    d.effects.push({
      type: 'settle',
      handle,
      failure: null,
      packet: null,
      outcome: false,
      release: true,
    })
    return
  }
  d.session.owed--
  settle(d, request.facts.handle, failure, packet, true)
}

function settle(
  d: Draft,
  handle: number,
  failure: Failure | null,
  packet: ServerPacket | null,
  release: boolean,
): void {
  d.counters.settled++
  d.effects.push({ type: 'settle', handle, failure, packet, outcome: true, release })
}

/** The kernel took QoS 0 publishes. */
export function confirmed(d: Draft, taken: number): void {
  // A write may end after the connection was given up, and its publishes with it.
  const count = Math.min(taken, d.outgoing.unconfirmed)
  if (count === 0) return
  d.outgoing.unconfirmed -= count
  d.counters.settled += count
  d.effects.push({ type: 'confirm', count, failure: null })
}

// ------------------------------------------------------------------------------------------------------------ connections

/**
 * After a CONNACK: what is open is resent under its identifier, or becomes new, as Session Present says. (D5) Renewals without
 * their answer are returned instead, and no longer open: the server may take less than the one before.
 */
export function outgoingConnected(
  d: Draft,
  sessionPresent: boolean,
  onSessionLost: 'republish' | 'fail',
): SubscribeFacts[] {
  d.outgoing.resend = NONE
  d.outgoing.resendAt = 0
  const open = inOrder(d.open.finish())
  if (sessionPresent) {
    const resend: number[] = []
    const unanswered: SubscribeFacts[] = []
    for (const [messageId, { facts, stage }] of open) {
      if (stage !== 'renewal') resend.push(messageId)
      else {
        d.open.remove(messageId)
        unanswered.push(facts as SubscribeFacts)
      }
    }
    d.outgoing.resend = resend
    return unanswered
  }
  d.open.clear()
  const again: WaitingRequest[] = []
  for (const [, request] of open) {
    const { facts, stage, order, strikes } = request
    if (request.settled || stage === 'pubrel') {
      // After PUBREC the server has the message: sending it again would double it.
      finish(d, request, null, null)
    } else if (stage === 'publish' && onSessionLost === 'fail') {
      const message = 'The server lost the session before it acknowledged this message.'
      finish(d, request, requestFailure('connection', 'SESSION_LOST', message), null)
    } else {
      d.session.owed--
      noteExpiry(d, facts)
      again.push({ facts, order, strikes })
    }
  }
  if (again.length > 0) {
    d.session.waiting = [...again, ...d.session.waiting.slice(d.session.waitingAt)]
    d.session.waitingAt = 0
  }
  return []
}

/** What the window does not hold back goes first; publishes that it does keep their order. */
export function sortWaiting(d: Draft): void {
  if (waitingCount(d.session) < 2) return
  const waiting = d.session.waiting.slice(d.session.waitingAt)
  const windowed = (w: WaitingRequest) => w.facts.kind === 'publish' && w.facts.qos > 0
  waiting.sort((a, b) => Number(windowed(a)) - Number(windowed(b)))
  d.session.waiting = waiting
  d.session.waitingAt = 0
}

function inOrder(open: PacketTable<OpenRequest>): [number, OpenRequest][] {
  return [...entries(open)].sort(([, a], [, b]) => a.order - b.order)
}

/**
 * The connection is gone. A close that looks like a verdict on a message makes the next connection send one at a time, and
 * counts against a message only where nothing else can be meant. (D6)
 */
export function outgoingLost(d: Draft, suspicious: boolean, failure: Failure): void {
  const { outgoing, session } = d
  if (outgoing.unconfirmed > 0) {
    d.counters.settled += outgoing.unconfirmed
    const message = 'The connection was lost before the kernel took this QoS 0 message.'
    d.effects.push({
      type: 'confirm',
      count: outgoing.unconfirmed,
      failure: { ...requestFailure('connection', 'CONNECTION_LOST', message), ...cause(failure) },
    })
  }
  const busy = outgoing.inFlight + outgoing.subscribing
  if (suspicious && busy > 0 && d.config.quarantineAfter > 0) {
    session.cautiousBelow = session.nextOrder
    if (d.connection.pingAnswered) strike(d, failure)
  }
  outgoing.inFlight = 0
  outgoing.subscribing = 0
  outgoing.unconfirmed = 0
  outgoing.ackCheckAt = Infinity
  outgoing.resend = NONE
  outgoing.resendAt = 0
}

function cause(failure: Failure): { cause?: number } {
  return failure.cause === undefined ? {} : { cause: failure.cause }
}

/** Counts the close against the one request that was open, if there was only one. */
function strike(d: Draft, failure: Failure): void {
  const { epoch } = d.connection
  const open = [...entries(d.open.finish())].filter(([, one]) => one.touchedEpoch === epoch)
  const [suspect] = open
  if (suspect === undefined || open.length > 1) return
  const [messageId, request] = suspect
  if (request.stage === 'pubrel' || request.stage === 'renewal') return
  const strikes = request.strikes + 1
  if (strikes < d.config.quarantineAfter) {
    d.open.set(messageId, { ...request, strikes })
    return
  }
  d.open.remove(messageId)
  const message = `The server closed the connection ${strikes} times on this request alone (${failure.code}); it is not sent again.`
  const { reasonCode } = failure
  const quarantined = requestFailure('refused', 'QUARANTINED', message)
  finish(d, request, reasonCode === undefined ? quarantined : { ...quarantined, reasonCode }, null)
}

// ------------------------------------------------------------------------------------------------------ cancelled and late

/** The user gave up: the outcome comes now, an identifier stays taken until it is acknowledged. (C27) */
export function cancel(d: Draft, handle: number, cause: number): void {
  const message = 'The request was cancelled by its signal.'
  const failure: Failure = { ...requestFailure('usage', 'CANCELLED', message), cause }
  const { waiting, waitingAt } = d.session
  const index = waiting.findIndex((w, i) => i >= waitingAt && w.facts.handle === handle)
  if (index >= 0) {
    d.session.waiting = waiting.filter((_, i) => i >= waitingAt && i !== index)
    d.session.waitingAt = 0
    settle(d, handle, failure, null, true)
    return
  }
  for (const [messageId, request] of entries(d.open.finish())) {
    if (request.facts.handle !== handle || request.settled) continue
    return settleEarly(d, messageId, request, failure)
  }
}

function settleEarly(d: Draft, messageId: number, request: OpenRequest, failure: Failure): void {
  d.open.set(messageId, { ...request, settled: true })
  d.session.owed--
  settle(d, request.facts.handle, failure, null, false)
}

/** The oldest instant at which a request was sent on this connection and is unanswered; Infinity: none. */
export function oldestSentAt(open: PacketTable<OpenRequest>, epoch: number): number {
  let oldest = Infinity
  for (const [, request] of entries(open)) {
    if (request.touchedEpoch === epoch && !request.settled)
      oldest = Math.min(oldest, request.sentAt)
  }
  return oldest
}

/** Settles what was sent before `sentBefore` and is unanswered (`ackTimeout` with `'fail'`). */
export function timeOut(d: Draft, sentBefore: number): void {
  const message = 'The server did not acknowledge in time (ackTimeout).'
  const failure = requestFailure('connection', 'ACK_TIMEOUT', message)
  for (const [messageId, request] of entries(d.open.finish())) {
    if (request.settled || request.touchedEpoch !== d.connection.epoch) continue
    if (request.sentAt <= sentBefore) settleEarly(d, messageId, request, failure)
  }
}

/** Settles what expired while it waited. (I3) */
export function expire(d: Draft, at: number): void {
  const waiting = d.session.waiting.slice(d.session.waitingAt)
  d.session.waiting = waiting.filter(({ facts }) => !isExpired(facts, at))
  d.session.waitingAt = 0
  d.session.waitingExpiresAt = Infinity
  for (const { facts } of d.session.waiting) noteExpiry(d, facts)
  for (const { facts } of waiting) {
    if (!isExpired(facts, at)) continue
    settle(d, facts.handle, refusalOf(facts, d.connection.limits, at), null, true)
  }
}

function noteExpiry(d: Draft, facts: RequestFacts): void {
  if (facts.kind !== 'publish' || facts.expiresAt === 0) return
  d.session.waitingExpiresAt = Math.min(d.session.waitingExpiresAt, facts.expiresAt)
}
