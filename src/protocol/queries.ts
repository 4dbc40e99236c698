/**
 * How many requests may the loop take, and how many packets may it decode, in this state?
 *
 * The third question of the loop, when to look again, is answered by `nextDeadline` in `timers.ts`.
 */
import { divertCapacity } from './divert.ts'
import type { State } from './state.ts'
import {
  isCautious,
  isRenewing,
  isResending,
  MESSAGE_IDS,
  waitingCount,
  windowLeft,
} from './window.ts'

/**
 * Even if the window is full, one more request is taken: a publish above QoS 0 then waits, and any
 * other request is sent. (D4, the window is never exceeded)
 * @returns how many publishes above QoS 0 may be taken from the request stream at most; 0 means
 * that nothing may be taken.
 */
export function requestCapacity(state: State): number {
  const { connection, flow, session } = state
  if (flow.paused || flow.requestsEnded || connection.drainBy !== Infinity) return 0
  if (flow.diverting) return takesDiverted(state) ? divertCapacity(state) : 0
  const open = connection.kind === 'connected' && !connection.birthsPending
  if (!open || flow.congested || waitingCount(session) > 0) return 0
  if (flow.perSecond > 0 || isCautious(state) || isRenewing(state) || isResending(state)) return 1
  const free = Math.min(windowLeft(state), MESSAGE_IDS - session.open.size)
  return Math.max(0, free) + 1
}

/** While publishes are diverted, other requests wait for a connection, in a bounded number. */
function takesDiverted({ connection, session, config }: State): boolean {
  const { kind } = connection
  const alive = kind !== 'closing' && kind !== 'closed' && kind !== 'failed'
  return alive && waitingCount(session) <= config.maxInflight
}

/** @returns how many packets may be decoded now. */
export function packetCapacity({ connection, flow, keepAlive, config }: State): number {
  if (connection.kind === 'connecting') return connection.exchange?.turn === 'verifying' ? 0 : 1
  if (connection.kind !== 'connected' || keepAlive.readingPaused) return 0
  return Math.max(1, config.maxBufferedPackets - flow.bufferedPackets)
}
