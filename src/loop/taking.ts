/**
 * How does a consumer take packets that were received already?
 */
import type { Incoming } from '../requests/vocabulary.ts'
import { isAlive, isRunning } from './life.ts'
import type { Parts } from './parts.ts'
import { collect } from './stream-events.ts'

/** @returns the next packet, or undefined if none is there or an earlier `next()` waits. */
export function takeNow(loop: Parts): Incoming | undefined {
  const { inbox } = loop
  if (!isRunning(loop.life) || inbox.waiting || inbox.unheard !== null) return undefined
  if (loop.state.config.acks === 'pull') inbox.handled()
  const packet = inbox.take()
  if (inbox.dirty) taken(loop)
  return packet
}

/** The session stores which messages the consumer handled, even after the end. */
export function taken(loop: Parts): void {
  if (isAlive(loop.life)) return loop.gathered()
  collect(loop)
  loop.advance(loop.takeInputs())
}
