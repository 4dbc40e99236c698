/**
 * May bytes be read? Not while the user paused the loop, nor while more is buffered than agreed.
 *
 * (R3, a slow consumer is normal; E3, controls lose and reorder nothing)
 */
import type { Draft } from './draft.ts'
import type { RequestFacts } from './facts.ts'
import { isOverdrawn } from './quota.ts'

/** Each 16 KiB (2 to the 14th) of a request count as one more request of `offlineRequests`. */
const OFFLINE_BYTES_LOG2 = 14

/** @returns how much a request counts against `offlineRequests`. */
export function offlineWeight({ bytes }: RequestFacts): number {
  return 1 + (bytes >>> OFFLINE_BYTES_LOG2)
}

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
