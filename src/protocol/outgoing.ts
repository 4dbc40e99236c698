/**
 * Which requests are sent, when, and in which order? (D1, D2, D3, D4)
 *
 * A request is waiting (no packet identifier), open (it has one), or settled. A QoS 0 publish goes
 * from waiting to unconfirmed, and is settled when the kernel took it. A request gets its order
 * once, when it is taken; requests that are sent again keep that order. A request that an earlier
 * connection left open counts against the window again when it is resent.
 */
import type { Draft } from './draft.ts'
import {
  type Failure,
  NO_ITEMS,
  type PublishFacts,
  type RequestFacts,
  type SubscribeFacts,
} from './facts.ts'
import { clearIdentifier, nextMessageId, noteIsolated, noteSent, openRequest } from './opening.ts'
import { isExpired, noteRefused, refusalOf, versionRefusalOf } from './refusals.ts'
import type { OpenRequest, WaitingRequest } from './session-state.ts'
import { noteExpiry, settleOpen } from './settling.ts'
import { maySubscribe, sendNextPart, sendRenewals, sendSubscribe } from './subscribing.ts'
import {
  endCaution,
  entersFlight,
  isCautious,
  isRenewing,
  isResending,
  isWindowed,
  mayTransmit,
  proveAgain,
  sendable,
  waitingCount,
} from './window.ts'

// ------------------------------------------------------------------------------------------ taking

/**
 * Sends a request that was just taken, or keeps it until it can be sent. With `holding` it is kept
 * for a later loop.
 */
export function take(d: Draft, facts: RequestFacts, at: number, holding: boolean): void {
  const { connection } = d
  const waits = connection.birthsPending || isCautious(d) || isRenewing(d) || holding
  const ready = connection.kind === 'connected' && !waits
  if (ready && mayPass(d, facts, at)) return sendRequest(d, facts, 0, at)
  enqueue(d, { facts, order: d.session.nextOrder++, strikes: 0 })
  if (ready && isGroup(facts) && d.outgoing.apart === 0) takeApart(d, facts.handle)
}

/**
 * Sends birth messages before everything that waits or is to be sent again, as far as the window
 * allows.
 */
export function takeBirths(d: Draft, births: readonly RequestFacts[], at: number): void {
  const held: WaitingRequest[] = []
  for (const facts of births) {
    d.counters.taken++
    const connected = d.connection.kind === 'connected'
    if (connected && birthPasses(d, facts, held.length === 0)) sendRequest(d, facts, 0, at)
    else {
      const request = { facts, order: d.session.nextOrder++, strikes: 0 }
      if (connected) held.push(request)
      else enqueue(d, request)
    }
  }
  if (held.length === 0) return
  d.session.waiting = [...held, ...d.session.waiting.slice(d.session.waitingAt)]
  d.session.waitingAt = 0
}

/**
 * @returns whether a birth may be sent now.
 * @param isFirst Whether none before it is held back.
 */
function birthPasses(d: Draft, facts: RequestFacts, isFirst: boolean): boolean {
  if (isRenewing(d)) return false
  if (facts.kind !== 'publish') return maySubscribe(d)
  return !isWindowed(facts) || (isFirst && sendable(d) > 0)
}

/**
 * @returns whether a request that was just taken may be sent before those that wait. [MQTT-3.3.4-8]
 */
function mayPass(d: Draft, facts: RequestFacts, at: number): boolean {
  // Requests that were taken before the CONNACK may wait behind one that the window holds back.
  if (!isWindowed(facts) && waitsUnwindowed(d)) return false
  if (facts.kind !== 'publish') return maySubscribe(d)
  // The single messages of a group are about to be put in its place: nothing may pass them.
  if (d.outgoing.apart !== 0) return false
  if (facts.count > 1) return leavesWhole(d, facts, at)
  const queued = waitingCount(d.session) > 0
  if (d.flow.perSecond > 0 && (queued || !mayTransmit(d.flow, at))) return false
  if (facts.qos === 0) return true
  return !queued && !isResending(d) && sendable(d) > 0
}

/** @returns whether a request waits that the window does not hold back. */
function waitsUnwindowed({ session }: Draft): boolean {
  for (let i = session.waitingAt; i < session.waiting.length; i++) {
    if (!isWindowed(session.waiting[i]!.facts)) return true
  }
  return false
}

function enqueue(d: Draft, request: WaitingRequest): void {
  noteExpiry(d, request.facts)
  // A list that this step made is known to nobody else, so it may grow.
  if (d.session.waiting === d.grownWaiting) {
    d.grownWaiting.push(request)
    return
  }
  d.grownWaiting = [...d.session.waiting.slice(d.session.waitingAt), request]
  d.session.waiting = d.grownWaiting
  d.session.waitingAt = 0
}

// ------------------------------------------------------------------------------------------ groups

function isGroup(facts: RequestFacts): boolean {
  return facts.kind === 'publish' && facts.count > 1
}

/** @returns whether all messages of a group may be sent together. */
function leavesWhole(d: Draft, facts: RequestFacts, at: number): boolean {
  return d.flow.perSecond === 0 && refusalOf(facts, d.connection.limits, at) === null
}

/** Asks the loop for the single messages of a group. */
function takeApart(d: Draft, handle: number): void {
  if (d.outgoing.apart === handle) return
  d.outgoing.apart = handle
  d.effects.push({ type: 'takeApart', handle })
}

/** Puts the single messages of a group in its place. */
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

// ----------------------------------------------------------------------------------------- sending

/**
 * Sends the renewals, then what an earlier connection left open, then what waits, as far as window
 * and throttle allow.
 */
export function flush(d: Draft, at: number): void {
  const { kind, opened, birthsPending } = d.connection
  if (kind !== 'connected' || !opened) return
  if (!sendRenewals(d, at) || birthsPending) return
  sendNextPart(d, at)
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
    if (d.connection.birthsPending || !mayLeave(d, request.facts, at)) return
    if (isGroup(request.facts) && !leavesWhole(d, request.facts, at)) {
      return takeApart(d, request.facts.handle)
    }
    session.waitingAt++
    sendRequest(d, request.facts, request.strikes, at)
    endCaution(d)
  }
  if (session.waiting.length > 0) {
    session.waiting = NO_ITEMS
    session.waitingAt = 0
  }
}

/** @returns whether the first waiting request may be sent now. */
function mayLeave(d: Draft, facts: RequestFacts, at: number): boolean {
  if (isCautious(d) && sendable(d) <= 0) return false
  if (facts.kind !== 'publish') return maySubscribe(d)
  if (isExpired(facts, at)) return true
  if (facts.qos > 0 && sendable(d) <= 0) return false
  return mayTransmit(d.flow, at)
}

function sendRequest(d: Draft, facts: RequestFacts, strikes: number, at: number): void {
  const { limits, protocolVersion } = d.connection
  const refusal = versionRefusalOf(facts, protocolVersion) ?? refusalOf(facts, limits, at)
  if (refusal !== null) {
    if (facts.kind === 'subscribe') noteAllRefused(d, facts, refusal)
    return d.settle(facts.handle, refusal, null, true)
  }
  if (facts.kind === 'publish') return sendNewPublish(d, facts, strikes, at)
  const messageId = nextMessageId(d)
  d.outgoing.subscribing++
  d.session.owed++
  openRequest(d, messageId, facts, facts.kind, strikes, at)
  if (facts.kind === 'subscribe') sendSubscribe(d, messageId, facts, at)
  else d.send({ type: 'unsubscribe', messageId, facts })
}

function noteAllRefused(d: Draft, facts: SubscribeFacts, { reasonCode = 0x80 }: Failure): void {
  for (const subscription of facts.subscriptions) noteRefused(d, subscription, reasonCode)
}

function sendNewPublish(d: Draft, facts: PublishFacts, strikes: number, at: number): void {
  if (d.flow.perSecond > 0) {
    d.flow.nextTransmissionAt = Math.max(d.flow.nextTransmissionAt, at) + 1000 / d.flow.perSecond
  }
  d.counters.sent += facts.count
  const { handle, qos } = facts
  const expirySeconds = secondsLeft(facts, at)
  if (qos === 0) {
    d.outgoing.unconfirmed += facts.count
    d.send({ type: 'publish', handle, qos, messageId: 0, dup: false, expirySeconds })
    noteIsolated(d, at)
    return proveAgain(d, NO_ITEMS)
  }
  const messageId = nextMessageId(d)
  entersFlight(d.outgoing, facts)
  d.session.owed++
  const stage = clearIdentifier(d, messageId, qos)
  openRequest(d, messageId, facts, stage, strikes, at)
  d.send({ type: 'publish', handle, qos, messageId, dup: false, expirySeconds })
}

/**
 * Sends an open request again under its packet identifier. [MQTT-4.4.0-1]
 * @returns false if it cannot be sent yet.
 */
function resend(d: Draft, messageId: number, request: OpenRequest, at: number): boolean {
  const { facts, stage } = request
  if (isCautious(d) && sendable(d) <= 0) return false
  if (facts.kind !== 'publish' && !maySubscribe(d)) return false
  noteIsolated(d, at)
  const touchedEpoch = d.connection.epoch
  if (stage === 'pubrel') {
    d.outgoing.releasing++
    d.open.set(messageId, { ...request, touchedEpoch, sentAt: noteSent(d, at) })
    d.send({ type: 'acknowledge', cmd: 'pubrel', messageId, reasonCode: 0 })
    return true
  }
  if (facts.kind === 'publish' && sendable(d) <= 0) return false
  // A message that was sent before may be delivered already, so it does not expire any more.
  const lasting = facts.kind === 'publish' ? { ...facts, expiresAt: 0 } : facts
  const refusal = refusalOf(lasting, d.connection.limits, at)
  if (refusal !== null) {
    d.open.remove(messageId)
    settleOpen(d, request, refusal, null)
    return true
  }
  d.open.set(messageId, {
    ...request,
    // The PUBREL that cleared the identifier was sent on an earlier connection.
    stage: stage === 'cleared' ? 'publish' : stage,
    epoch: touchedEpoch,
    touchedEpoch,
    sentAt: noteSent(d, at),
  })
  if (facts.kind === 'publish') {
    entersFlight(d.outgoing, facts)
    const expirySeconds = secondsLeft(facts, at)
    const { handle, qos } = facts
    d.send({ type: 'publish', handle, qos, messageId, dup: true, expirySeconds })
    return true
  }
  d.outgoing.subscribing++
  if (facts.kind === 'subscribe') sendSubscribe(d, messageId, facts, at)
  else d.send({ type: 'unsubscribe', messageId, facts })
  return true
}

/**
 * [MQTT-3.3.2-6] requires this of servers. A client that kept a message owes the receivers the same
 * (I3, Message Expiry counts while a request is held).
 * @returns the remaining Message Expiry Interval in seconds, or -1 if the message does not expire.
 */
function secondsLeft(facts: PublishFacts, at: number): number {
  return facts.expiresAt === 0 ? -1 : Math.max(1, Math.ceil((facts.expiresAt - at) / 1000))
}
