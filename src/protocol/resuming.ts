/**
 * What does the end of a connection, and the next CONNACK, mean for the requests?
 *
 * (D5, a lost session is rebuilt in order; D6, one bad request never stalls the others)
 */
import type { Draft } from './draft.ts'
import { type Failure, NO_ITEMS, type SubscribeFacts } from './facts.ts'
import { entries, type PacketTable } from './packet-table.ts'
import { requestFailure } from './refusals.ts'
import type { OpenRequest, WaitingRequest } from './session-state.ts'
import { noteExpiry, settleOpen } from './settling.ts'
import { isWindowed, waitingCount } from './window.ts'

/**
 * Prepares the open requests after a CONNACK: they are resent under their packet identifier, or
 * become new ones, as Session Present says.
 * @returns the renewals that were not answered. They are no longer open and are made again, because
 * the limits of this server may be lower than those of the one before.
 */
export function outgoingConnected(
  d: Draft,
  sessionPresent: boolean,
  onSessionLost: 'republish' | 'fail',
): SubscribeFacts[] {
  d.outgoing.resend = NO_ITEMS
  d.outgoing.resendAt = 0
  const open = inOrder(d.open.finish())
  if (sessionPresent) return resumeSession(d, open)
  d.open.clear()
  const again: WaitingRequest[] = []
  for (const [, request] of open) {
    const { facts, stage, order, strikes } = request
    if (request.settled || stage === 'pubrel') {
      // After PUBREC the server has the message: sending it again would duplicate it.
      settleOpen(d, request, null, null)
    } else if (stage === 'publish' && onSessionLost === 'fail') {
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

/** Puts the requests that the window does not hold back first. The others keep their order. */
export function sortWaiting(d: Draft): void {
  if (waitingCount(d.session) < 2) return
  const waiting = d.session.waiting.slice(d.session.waitingAt)
  waiting.sort((a, b) => Number(isWindowed(a.facts)) - Number(isWindowed(b.facts)))
  d.session.waiting = waiting
  d.session.waitingAt = 0
}

/**
 * Notes that the connection is gone. After a suspicious close the next connection sends one request
 * at a time, and the close counts against a request if that one alone can have caused it.
 */
export function outgoingLost(d: Draft, suspicious: boolean, failure: Failure): void {
  const { outgoing, session } = d
  if (outgoing.unconfirmed > 0) {
    d.counters.settled += outgoing.unconfirmed
    const message = 'The connection was lost before the kernel took this QoS 0 message.'
    const lost = requestFailure('connection', 'CONNECTION_LOST', message)
    d.effects.push({
      type: 'confirm',
      count: outgoing.unconfirmed,
      failure: failure.cause === undefined ? lost : { ...lost, cause: failure.cause },
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
  outgoing.resend = NO_ITEMS
  outgoing.resendAt = 0
}

/**
 * Counts the close against the one request that was open, if there was only one, and quarantines it
 * in the end.
 */
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
  const message =
    `The server closed the connection ${strikes} times on this request alone (${failure.code});` +
    ' it is not sent again.'
  const { reasonCode } = failure
  const quarantined = requestFailure('refused', 'QUARANTINED', message)
  settleOpen(
    d,
    request,
    reasonCode === undefined ? quarantined : { ...quarantined, reasonCode },
    null,
  )
}
