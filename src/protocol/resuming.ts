/**
 * What does the end of a connection, and the next CONNACK, mean for the requests?
 *
 * (D5, a lost session is rebuilt in order)
 */
import type { Draft } from './draft.ts'
import { type Failure, NO_ITEMS, type SubscribeFacts } from './facts.ts'
import { entries, type PacketTable } from './packet-table.ts'
import { requestFailure } from './refusals.ts'
import type { OpenRequest, WaitingRequest } from './session-state.ts'
import { noteExpiry, settleOpen } from './settling.ts'
import { unsentRenewals } from './subscribing.ts'
import { isWindowed, sendable, waitingCount } from './window.ts'

/**
 * Prepares the open requests after a CONNACK: they are resent under their packet identifier, or
 * become new ones, as Session Present says.
 * @returns the renewals that were not answered or not sent. They are no longer open and are made
 * again, because the limits of this server may be lower than those of the one before.
 */
export function outgoingConnected(
  d: Draft,
  sessionPresent: boolean,
  onSessionLost: 'republish' | 'fail',
): SubscribeFacts[] {
  const unsent = unsentRenewals(d)
  d.outgoing.renewals = null
  d.outgoing.resend = NO_ITEMS
  d.outgoing.resendAt = 0
  const open = inOrder(d.open.finish())
  if (sessionPresent) return [...resumeSession(d, open), ...unsent]
  d.open.clear()
  const again: WaitingRequest[] = []
  for (const [, request] of open) {
    const { facts, stage, order, strikes } = request
    if (request.settled || stage === 'pubrel') {
      // After PUBREC the server has the message: sending it again would duplicate it.
      settleOpen(d, request, null, null)
    } else if (facts.kind === 'publish' && onSessionLost === 'fail') {
      const message = 'The server lost the session before it acknowledged this message.'
      settleOpen(d, request, requestFailure('connection', 'SESSION_LOST', message), null)
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

function resumeSession(d: Draft, open: readonly [number, OpenRequest][]): SubscribeFacts[] {
  const resend: number[] = []
  const unanswered: SubscribeFacts[] = []
  for (const [messageId, { facts, stage }] of open) {
    // A quarantined QoS 2 message has no handle. It only keeps its packet identifier.
    if (stage !== 'renewal' && facts.handle === 0) continue
    if (stage !== 'renewal') resend.push(messageId)
    else {
      d.open.remove(messageId)
      unanswered.push(facts as SubscribeFacts)
    }
  }
  d.outgoing.resend = resend
  return unanswered
}

function inOrder(open: PacketTable<OpenRequest>): [number, OpenRequest][] {
  return [...entries(open)].sort(([, a], [, b]) => a.order - b.order)
}

/**
 * Puts the requests that the window does not hold back first. The others keep their order. On the
 * first connection of a session all keep it, as far as the window goes. How much of the window the
 * births need is not known yet, so they may need all of it.
 */
export function sortWaiting(d: Draft): void {
  if (waitingCount(d.session) < 2) return
  const waiting = d.session.waiting.slice(d.session.waitingAt)
  const isFirst = d.connection.epoch === 1 && !d.config.resumes && !d.config.hasBirths
  let room = isFirst ? sendable(d) : 0
  const heldFrom = waiting.findIndex(({ facts }) => isWindowed(facts) && --room < 0)
  if (heldFrom < 0) return
  const held = waiting.splice(heldFrom)
  const passing = held.filter(({ facts }) => !isWindowed(facts))
  d.session.waiting = [...waiting, ...passing, ...held.filter(({ facts }) => isWindowed(facts))]
  d.session.waitingAt = 0
}

/**
 * Notes that the connection is gone. Nothing is in flight any more, and QoS 0 messages that the
 * kernel has not taken are lost.
 */
export function outgoingLost(d: Draft, failure: Failure): void {
  const { outgoing } = d
  if (outgoing.unconfirmed > 0) {
    d.counters.settled += outgoing.unconfirmed
    outgoing.confirmed += outgoing.unconfirmed
    const message = 'The connection was lost before the kernel took this QoS 0 message.'
    const lost = requestFailure('connection', 'CONNECTION_LOST', message)
    d.effects.push({
      type: 'confirm',
      count: outgoing.unconfirmed,
      failure: failure.cause === undefined ? lost : { ...lost, cause: failure.cause },
    })
  }
  outgoing.splits = NO_ITEMS
  outgoing.silence = null
  outgoing.inFlight = 0
  outgoing.inFlightQos2 = 0
  outgoing.subscribing = 0
  outgoing.releasing = 0
  outgoing.unconfirmed = 0
  outgoing.ackCheckAt = Infinity
  outgoing.resend = NO_ITEMS
  outgoing.resendAt = 0
}
