/**
 * May bytes be read? Not while the user paused the loop, nor while more is buffered than agreed.
 *
 * (R3, a slow consumer is normal; E3, controls lose and reorder nothing)
 */
import type { Draft } from './draft.ts'
import { isOverdrawn } from './quota.ts'

/**
 * Notes since when the loop waits for the consumer. Reading is paused at the bounds and resumed at
 * half of them, so that it is not paused and resumed with every packet.
 * @returns whether reading must be paused now.
 */
export function mustPauseReading(d: Draft, at: number): boolean {
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
  return d.connection.kind === 'connected' && (flow.paused || full || isOverdrawn(d))
}
