/**
 * How much may come in: reading stops while more is buffered than agreed, or while the user paused the loop. (R3, E3)
 */
import type { Draft } from './draft.ts'
import { keepAliveReading } from './keepalive.ts'
import type { FlowState } from './state.ts'

/** Decides anew whether bytes are read. Resumes at half of the bounds, so that it does not flutter. */
export function decideReading(d: Draft, at: number): void {
  const { flow, config, keepAlive } = d
  const share = keepAlive.readingPaused ? 0.5 : 1
  const full =
    flow.bufferedPackets >= Math.max(1, config.maxBufferedPackets * share) ||
    flow.bufferedBytes >= Math.max(1, config.maxBufferedBytes * share)
  if (full && flow.consumerAwaitedSince < 0) flow.consumerAwaitedSince = at
  if (!full) {
    flow.consumerAwaitedSince = -1
    flow.warned = false
  }
  const paused = d.connection.kind === 'connected' && (flow.paused || full)
  if (paused === keepAlive.readingPaused) return
  keepAliveReading(keepAlive, at, paused)
  d.effects.push({ type: paused ? 'pauseReading' : 'resumeReading' })
}

/** `pause` and `resume`; the time in between does not count against `ackTimeout`. */
export function setPaused(d: Draft, at: number, until: number | null): void {
  const { flow } = d
  if (until === null) {
    if (flow.paused) flow.pausedMs += at - flow.pausedSince
    flow.paused = false
    flow.pausedUntil = Infinity
    return
  }
  if (!flow.paused) flow.pausedSince = at
  flow.paused = true
  flow.pausedUntil = until
}

/** The instant on a clock that stands still while the loop is paused. */
export function activeAt(flow: FlowState, at: number): number {
  return (flow.paused ? flow.pausedSince : at) - flow.pausedMs
}
