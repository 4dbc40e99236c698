/**
 * The connection as a state machine: the total table of what may follow what, and the one door through which it changes.
 */

import { assert } from '../errors.ts'
import type { Draft } from './draft.ts'
import { LIFECYCLE } from './lifecycle-table.ts'
import type { ConnectionKind } from './state.ts'

/** From one kind to another; from `disconnected` to itself to say when the next attempt is due. Reason and `retryAt` come first. */
export function enter(d: Draft, to: ConnectionKind, at: number): void {
  const { kind: from, reason, retryAt } = d.connection
  const allowed: readonly ConnectionKind[] = LIFECYCLE[from][d.input]
  assert(allowed.includes(to), `${from} became ${to} at the input ${d.input}`)
  d.connection.kind = to
  d.effects.push({ type: 'transition', from, to, reason, at, retryAt })
}

/** No connection, and none under way: the next attempt waits for its instant. */
export function isWaiting(kind: ConnectionKind): boolean {
  return kind === 'disconnected' || kind === 'suspended'
}
