/**
 * What the loop asks of a state: how many requests may be taken, how many packets may be decoded, when to look again.
 */

import { suspendsAt } from './connection.ts'
import { divertedIntake, divertsAt, probeDueAt } from './divert.ts'
import { forgottenAt } from './incoming.ts'
import { deadAt, pingDueAt } from './keepalive.ts'
import { transmissionDueAt, waitingCount } from './outgoing.ts'
import type { State } from './state.ts'

/** Identifiers kept free for SUBSCRIBE and UNSUBSCRIBE beside a full window. */
const MESSAGE_IDS = 65_535

/**
 * How many QoS > 0 publishes may be taken from the stream at this instant, at most; 0: nothing may. With the window full one
 * further request is taken: a publish is held, anything else goes out. (D4)
 */
export function intake(state: State): number {
  const { connection, flow, session, outgoing, config } = state
  if (flow.paused || flow.requestsEnded || connection.drainBy !== Infinity) return 0
  if (flow.diverting) return takesDiverted(state) ? divertedIntake(state) : 0
  const open = connection.kind === 'connected' && !connection.birthsPending
  if (!open || flow.congested || waitingCount(session) > 0) return 0
  if (flow.perSecond > 0 || session.cautiousBelow > 0) return 1
  if (outgoing.resendAt < outgoing.resend.length) return 1
  const window = Math.min(connection.limits.receiveMaximum, config.maxInflight)
  const free = Math.min(window - outgoing.inFlight, MESSAGE_IDS - session.open.size)
  return Math.max(0, free) + 1
}

/** What is no publish waits for a connection, within bounds. */
function takesDiverted({ connection, session, config }: State): boolean {
  const { kind } = connection
  const alive = kind !== 'closing' && kind !== 'closed' && kind !== 'failed'
  return alive && waitingCount(session) <= config.maxInflight
}

/** How many packets may be decoded at this instant. */
export function room(state: State): number {
  const { connection, flow, keepAlive, config } = state
  if (connection.kind === 'connecting') return connection.exchange?.turn === 'verifying' ? 0 : 1
  if (connection.kind !== 'connected' || keepAlive.readingPaused) return 0
  return Math.max(1, config.maxBufferedPackets - flow.bufferedPackets)
}

/** When a `tick` is due; Infinity: no time that passes changes anything. */
export function deadline(state: State): number {
  const { connection, flow, session, keepAlive, config, outgoing, incoming } = state
  const { outage } = state.reconnect
  let due = Math.min(connection.closeBy, connection.drainBy, flow.pausedUntil)
  due = Math.min(due, session.waitingExpiresAt)
  if (config.divert !== null) due = Math.min(due, divertsAt({ ...state, outage }))
  switch (connection.kind) {
    case 'connecting':
      return Math.min(due, connection.connectBy)
    case 'disconnected':
    case 'suspended': {
      const checkedBy = outage?.checking?.by ?? Infinity
      return Math.min(
        due,
        connection.retryAt,
        suspendsAt({ connection, config, outage }),
        checkedBy,
      )
    }
    case 'closing':
      return connection.closeBy
    case 'connected': {
      due = Math.min(due, pingDueAt(keepAlive), deadAt(keepAlive), probeDueAt(state))
      due = Math.min(due, connection.exchange?.until ?? Infinity)
      if (flow.perSecond > 0 && waitsForThrottle(state)) {
        due = Math.min(due, transmissionDueAt(flow))
      }
      if (config.ackTimeout !== null && !flow.paused) {
        due = Math.min(due, outgoing.ackCheckAt + flow.pausedMs)
      }
      if (!flow.warned && flow.consumerAwaitedSince >= 0) {
        due = Math.min(due, flow.consumerAwaitedSince + config.warnAfterMs)
      }
      return Math.min(due, forgottenAt(config, incoming))
    }
    default:
      return Infinity
  }
}

/** Whether it is the throttle that holds the first waiting request, and not the window, a resend or caution. */
function waitsForThrottle({ session, outgoing, connection, config }: State): boolean {
  const head = session.waiting[session.waitingAt]
  if (head === undefined || connection.birthsPending || session.cautiousBelow > 0) return false
  if (outgoing.resendAt < outgoing.resend.length) return false
  const window = Math.min(connection.limits.receiveMaximum, config.maxInflight)
  const windowed = head.facts.kind === 'publish' && head.facts.qos > 0
  return !windowed || outgoing.inFlight < window
}
