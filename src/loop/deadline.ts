/**
 * What are the reducers told when a deadline may have passed?
 */
import type { Input } from '../protocol/contract.ts'
import type { Parts } from './parts.ts'
import { endpointFor } from './where.ts'

/**
 * @returns the input. While an attempt is under way, it says how far that came, because the
 *   reducers know neither the server nor the stages of a transport.
 */
export function tickAt(loop: Parts, at: number): Input {
  if (loop.state.connection.kind !== 'connecting') return { type: 'tick', at }
  const stage = loop.dialer?.stage ?? 'transport'
  return { type: 'tick', at, attempt: { where: endpointFor(loop), stage } }
}
