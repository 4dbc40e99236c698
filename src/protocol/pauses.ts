/**
 * Is the loop paused, and how much time was spent in pauses? (E3, controls lose and reorder
 * nothing)
 */
import type { Draft } from './draft.ts'
import type { FlowState } from './state.ts'

/**
 * Begins a pause that ends at `until` (Infinity: not by itself), or changes the end of the current
 * one.
 */
export function pause(d: Draft, at: number, until: number): void {
  const { flow } = d
  if (!flow.paused) flow.pausedSince = at
  flow.paused = true
  flow.pausedUntil = until
}

/** Ends a pause. The time that it took does not count against `ackTimeout`. */
export function resume(d: Draft, at: number): void {
  const { flow } = d
  if (flow.paused) flow.pausedMs += at - flow.pausedSince
  flow.paused = false
  flow.pausedUntil = Infinity
}

/** @returns the instant on a clock that stands still while the loop is paused. */
export function activeAt(flow: FlowState, at: number): number {
  return (flow.paused ? flow.pausedSince : at) - flow.pausedMs
}
