/**
 * Which packet identifier does a request get, and what is noted when it leaves under it?
 *
 * (D4, the window is never exceeded) An identifier is never used again while it is open here. In
 * an adopted session it may also be open on the server, with a message of QoS 2 that an earlier
 * process left half sent: the server would take a new message of that identifier for a repetition
 * and drop it. Nobody knows which identifiers these are, so each is cleared by a PUBREL before its
 * first message of QoS 2: the server completes the old message, or has nothing to complete. This
 * goes on until every identifier was cleared without another use in between.
 */
import type { Draft } from './draft.ts'
import type { RequestFacts } from './facts.ts'
import { activeAt } from './pauses.ts'
import type { OpenStage } from './session-state.ts'
import { MESSAGE_IDS } from './window.ts'

/**
 * @returns the next free packet identifier. [MQTT-2.2.1-3] The callers made sure that there is one.
 */
export function nextMessageId(d: Draft): number {
  const { session } = d
  let id = session.nextMessageId
  while (d.open.get(id) !== undefined) {
    id = id === MESSAGE_IDS ? 1 : id + 1
    if (session.doubtfulIds > 0) session.doubtfulIds = MESSAGE_IDS
  }
  session.nextMessageId = id === MESSAGE_IDS ? 1 : id + 1
  return id
}

/**
 * Clears an identifier on the server, if that is necessary, for a new publish.
 * @returns the stage in which the publish begins.
 */
export function clearIdentifier(d: Draft, messageId: number, qos: 1 | 2): 'publish' | 'cleared' {
  const { session } = d
  if (session.doubtfulIds === 0) return 'publish'
  if (qos === 1) {
    session.doubtfulIds = MESSAGE_IDS
    return 'publish'
  }
  session.doubtfulIds--
  d.send({ type: 'acknowledge', cmd: 'pubrel', messageId, reasonCode: 0 })
  return 'cleared'
}

/** Notes that a request has this packet identifier and is about to be sent under it. */
export function openRequest(
  d: Draft,
  messageId: number,
  facts: RequestFacts,
  stage: OpenStage,
  strikes: number,
  at: number,
): void {
  const { epoch } = d.connection
  noteIsolated(d, at)
  d.open.set(messageId, {
    facts,
    stage,
    order: d.session.nextOrder++,
    epoch,
    touchedEpoch: epoch,
    sentAt: noteSent(d, at),
    strikes,
    settled: stage === 'renewal',
  })
}

/** Notes when something was sent alone. */
export function noteIsolated(d: Draft, at: number): void {
  if (d.isolation === null) return
  d.isolation.sentAt = at
  d.isolation.handed = 0
}

/**
 * @returns the instant of sending on the clock of `ackTimeout`, or 0 if that option is not used.
 */
export function noteSent(d: Draft, at: number): number {
  const { ackTimeout } = d.config
  if (ackTimeout === null) return 0
  const now = activeAt(d.flow, at)
  d.outgoing.ackCheckAt = Math.min(d.outgoing.ackCheckAt, now + ackTimeout.afterMs)
  return now
}
