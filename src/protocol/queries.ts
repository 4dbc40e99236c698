/**
 * How many requests may the loop take, and how many packets may it decode, in this state?
 *
 * The third question of the loop, when to look again, is answered by `nextDeadline` in `timers.ts`.
 */
import { divertCapacity } from './divert.ts'
import type { ProtocolVersion } from './facts.ts'
import { offlineWeight } from './flow.ts'
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
  if (connection.kind !== 'connected') return offlineCapacity(state)
  if (connection.birthsPending || flow.congested || waitingCount(session) > 0) return 0
  if (flow.perSecond > 0 || isCautious(state) || isRenewing(state) || isResending(state)) return 1
  const free = Math.min(windowLeft(state), MESSAGE_IDS - session.open.size)
  return Math.max(0, free) + 1
}

/**
 * While there is no connection, a bounded number of requests is taken ahead, so that their signals
 * and expiry intervals count from when they were given. With `divert` there are no more of them
 * than may be diverted together, because that is what may become of them.
 */
function offlineCapacity(state: State): number {
  const { config, session } = state
  if (!isOffline(state)) return 0
  let left = config.offlineRequests
  for (let i = session.waitingAt; i < session.waiting.length && left > 0; i++) {
    left -= offlineWeight(session.waiting[i]!.facts)
  }
  if (config.divert !== null) left = Math.min(left, divertCapacity(state) - waitingCount(session))
  return Math.max(left, 0)
}

/**
 * An attempt that succeeds immediately is no outage: the window decides what is taken then.
 * @returns whether requests are taken ahead, because there is no connection.
 */
export function isOffline({ connection, reconnect, flow }: State): boolean {
  const { kind, afterClose } = connection
  if (flow.diverting || afterClose !== null) return false
  if (kind === 'connecting') return reconnect.outage?.lasts === true
  return kind === 'disconnected' || kind === 'suspended'
}

/**
 * A version of an attempt says nothing about the one that a server will accept.
 * @returns the version by which a request is validated when it is taken.
 */
export function requestVersion({ connection, session, config }: State): ProtocolVersion {
  if (connection.kind === 'connected') return connection.protocolVersion
  return session.protocolVersion === 0 ? config.protocolVersion : session.protocolVersion
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
  if (flow.reserve) return config.maxBufferedPackets
  return Math.max(1, config.maxBufferedPackets - flow.bufferedPackets)
}
