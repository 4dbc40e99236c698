/**
 * May bytes be read? Not while the user paused the loop, nor while more is buffered than agreed.
 *
 * (R3, a slow consumer is normal; E3, controls lose and reorder nothing)
 */
import type { Draft } from './draft.ts'
import type { RequestFacts } from './facts.ts'
import { isOverdrawn } from './quota.ts'
import type { State } from './state.ts'

/** Each 16 KiB (2 to the 14th) of a request count as one more request of `offlineRequests`. */
const OFFLINE_BYTES_LOG2 = 14

/** @returns how much a request counts against `offlineRequests`. */
export function offlineWeight({ bytes }: RequestFacts): number {
  return 1 + (bytes >>> OFFLINE_BYTES_LOG2)
}

/** A consumer that has not called `next()` for this many ms may be waiting for an answer. */
const RESERVE_AFTER_MS = 1000

type FlowParts = Pick<State, 'config' | 'connection' | 'flow' | 'outgoing' | 'session'>

/**
 * Notes since when the loop waits for the consumer. Reading is paused at the bounds and resumed at
 * half of them, so that it is not paused and resumed with every packet. It is also paused while the
 * server has sent more than Receive Maximum allows. While the reserve is in use, only the bound in
 * bytes counts.
 * @returns whether reading must be paused now.
 */
export function mustPauseReading(d: Draft, at: number): boolean {
  const { flow, config, keepAlive } = d
  const share = keepAlive.readingPaused || flow.reserve ? 0.5 : 1
  const full =
    flow.bufferedPackets >= Math.max(1, config.maxBufferedPackets * share) ||
    flow.bufferedBytes >= Math.max(1, config.maxBufferedBytes * share)
  const held = full || isOverdrawn(d)
  if (held && flow.consumerAwaitedSince < 0) flow.consumerAwaitedSince = at
  if (!held) {
    flow.consumerAwaitedSince = -1
    flow.warned = false
    flow.reserve = false
  }
  if (d.connection.kind !== 'connected') return false
  return flow.paused || (flow.reserve ? hasAllBytes(d) : held)
}

/** Notes that the consumer has called `next()`. */
export function consumerPulled({ flow }: Draft, at: number): void {
  flow.pulledAt = at
  flow.unreadAsked = false
}

/**
 * A consumer that awaits the outcome of a request in its loop body asks for no packets, and the
 * answer may be behind messages for which `maxBufferedPackets` or Receive Maximum has no room. So
 * the loop reads on, as far as `maxBufferedBytes` allows. (R4, pushing from the loop body never
 * deadlocks)
 * @returns when that begins, or Infinity.
 */
export function reserveDueAt(parts: FlowParts): number {
  const { flow } = parts
  if (flow.reserve || hasAllBytes(parts)) return Infinity
  return awaitsConsumerFrom(parts) + RESERVE_AFTER_MS
}

/**
 * If the bytes are used up as well, the outcomes cannot be known as long as the consumer awaits
 * them.
 * @returns when they are given up, or Infinity.
 */
export function unreadDueAt(parts: FlowParts): number {
  const { flow, config } = parts
  if (flow.unreadAsked || !hasAllBytes(parts)) return Infinity
  return awaitsConsumerFrom(parts) + config.warnAfterMs
}

function hasAllBytes({ flow, config }: Pick<FlowParts, 'flow' | 'config'>): boolean {
  return flow.bufferedBytes >= config.maxBufferedBytes
}

/**
 * @returns since when the consumer takes no packets although the buffer is full and an answer from
 * the server is awaited; otherwise Infinity.
 */
function awaitsConsumerFrom(parts: FlowParts): number {
  const { flow } = parts
  if (flow.paused || flow.consumerAwaitedSince < 0 || !awaitsAnswer(parts)) return Infinity
  return Math.max(flow.consumerAwaitedSince, flow.pulledAt)
}

function awaitsAnswer({ session, outgoing, flow, connection }: FlowParts): boolean {
  const waiting = session.waiting.length - session.waitingAt
  if (session.owed + waiting + outgoing.unconfirmed > 0) return true
  // A server that cannot write may not read either.
  if (flow.congested || connection.exchange !== null) return true
  return connection.pings.some(({ id }) => id > 0)
}
