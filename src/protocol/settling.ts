/**
 * How does a request end, other than by an answer: cancelled, expired, timed out, or taken by the
 * kernel?
 *
 * (D2, every request taken is settled once, or held)
 */
import type { Draft } from './draft.ts'
import type { Failure, RequestFacts, ServerPacket } from './facts.ts'
import { entries, type PacketTable } from './packet-table.ts'
import { isExpired, refusalOf, requestFailure } from './refusals.ts'
import type { OpenRequest } from './session-state.ts'

/**
 * Gives an open request its outcome, unless it had one before. The caller has freed its packet
 * identifier.
 */
export function settleOpen(
  d: Draft,
  request: OpenRequest,
  failure: Failure | null,
  packet: ServerPacket | null,
): void {
  const { handle } = request.facts
  if (!request.settled) {
    d.session.owed--
    d.settle(handle, failure, packet, true)
  } else if (handle !== 0) {
    d.release(handle)
  }
}

/**
 * Gives an open request its outcome while its packet identifier stays in use until the server
 * answers.
 */
function settleEarly(d: Draft, messageId: number, request: OpenRequest, failure: Failure): void {
  d.open.set(messageId, { ...request, settled: true })
  d.session.owed--
  d.settle(request.facts.handle, failure, null, false)
}

/**
 * Settles requests whose answers cannot be read as long as the consumer takes no packets: it may be
 * waiting for them.
 */
export function giveUpUnread(d: Draft, handles: readonly number[]): void {
  const { flow, config } = d
  const message =
    `The answer to this request was not read: next() was not called for ${config.warnAfterMs} ms,` +
    ` and ${flow.bufferedPackets} packets with ${flow.bufferedBytes} bytes wait for it` +
    ' (maxBufferedBytes). Take packets while an outcome is awaited.'
  const failure = requestFailure('connection', 'ANSWER_UNREAD', message)
  const unread = new Set(handles)
  const waiting = d.session.waiting.slice(d.session.waitingAt)
  d.session.waiting = waiting.filter(({ facts }) => !unread.has(facts.handle))
  d.session.waitingAt = 0
  for (const { facts } of waiting) {
    if (unread.has(facts.handle)) d.settle(facts.handle, failure, null, true)
  }
  for (const [messageId, request] of entries(d.open.finish())) {
    if (request.settled || !unread.has(request.facts.handle)) continue
    settleEarly(d, messageId, request, failure)
  }
}

/** Settles the oldest unconfirmed QoS 0 publishes, because the kernel took them. */
export function confirmed(d: Draft, taken: number): void {
  // The kernel may take a write after the connection was given up and its publishes were settled.
  const count = Math.min(taken, d.outgoing.unconfirmed)
  if (count === 0) return
  d.outgoing.unconfirmed -= count
  d.counters.settled += count
  d.outgoing.confirmed += count
  d.effects.push({ type: 'confirm', count, failure: null })
}

/** Settles a request whose signal was aborted. (C27) */
export function cancel(d: Draft, handle: number, cause: number): void {
  const message = 'The request was cancelled by its signal.'
  const failure: Failure = { ...requestFailure('usage', 'CANCELLED', message), cause }
  const { waiting, waitingAt } = d.session
  const index = waiting.findIndex((w, i) => i >= waitingAt && w.facts.handle === handle)
  if (index >= 0) {
    d.session.waiting = waiting.filter((_, i) => i >= waitingAt && i !== index)
    d.session.waitingAt = 0
    d.settle(handle, failure, null, true)
    return
  }
  for (const [messageId, request] of entries(d.open.finish())) {
    if (request.facts.handle !== handle || request.settled) continue
    return settleEarly(d, messageId, request, failure)
  }
}

/**
 * @returns when the oldest unanswered request of this connection was sent, or Infinity if there is
 * none.
 */
export function oldestSentAt(open: PacketTable<OpenRequest>, epoch: number): number {
  let oldest = Infinity
  for (const [, request] of entries(open)) {
    if (request.touchedEpoch === epoch && !request.settled) {
      oldest = Math.min(oldest, request.sentAt)
    }
  }
  return oldest
}

/**
 * Settles the unanswered requests that were sent at `sentBefore` or earlier (`ackTimeout` with
 * `'fail'`).
 */
export function timeOut(d: Draft, sentBefore: number): void {
  const message = 'The server did not acknowledge in time (ackTimeout).'
  const failure = requestFailure('connection', 'ACK_TIMEOUT', message)
  for (const [messageId, request] of entries(d.open.finish())) {
    if (request.settled || request.touchedEpoch !== d.connection.epoch) continue
    if (request.sentAt <= sentBefore) settleEarly(d, messageId, request, failure)
  }
}

/**
 * Settles the messages that expired while they waited (I3, Message Expiry counts while a request is
 * held).
 */
export function expire(d: Draft, at: number): void {
  const waiting = d.session.waiting.slice(d.session.waitingAt)
  d.session.waiting = waiting.filter(({ facts }) => !isExpired(facts, at))
  d.session.waitingAt = 0
  d.session.waitingExpiresAt = Infinity
  for (const { facts } of d.session.waiting) noteExpiry(d, facts)
  for (const { facts } of waiting) {
    if (!isExpired(facts, at)) continue
    d.settle(facts.handle, refusalOf(facts, d.connection.limits, at), null, true)
  }
}

/** Notes when a waiting message expires. */
export function noteExpiry(d: Draft, facts: RequestFacts): void {
  if (facts.kind !== 'publish' || facts.expiresAt === 0) return
  d.session.waitingExpiresAt = Math.min(d.session.waitingExpiresAt, facts.expiresAt)
}
