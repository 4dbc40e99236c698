/**
 * How do the loops of a process share what is equal in all of them?
 *
 * A step works on copies of the groups of its state, and the loop keeps these copies when its draft
 * is taken away. Most of them hold what they held in the beginning, or what the same groups of
 * another loop hold: half a kilobyte for each connection that does nothing. The next draft copies a
 * group before it changes it, so equal groups may be one object.
 */
import type { Mutable } from '../protocol/copies.ts'
import { COUNTERS, INCOMING, OUTGOING } from '../protocol/initial.ts'
import type { ConnectionState, Limits, ReconnectState, State } from '../protocol/state.ts'

// These two depend on the options and on the server, which loops have in common with those that
// let go of their draft before them. They hold numbers and names only, and no requests.
let reconnectOfLast: ReconnectState | null = null
let limitsOfLast: Limits | null = null

/** Replaces groups of a state that nobody else holds by equal ones that are shared. */
export function shareGroups(state: Mutable<State>): void {
  state.outgoing = oneOf(state.outgoing, OUTGOING)
  state.incoming = oneOf(state.incoming, INCOMING)
  state.counters = oneOf(state.counters, COUNTERS)
  if (state.reconnect.outage === null) {
    reconnectOfLast = oneOf(state.reconnect, reconnectOfLast)
    state.reconnect = reconnectOfLast
  }
  const connection: Mutable<ConnectionState> = state.connection
  limitsOfLast = oneOf(connection.limits, limitsOfLast)
  connection.limits = limitsOfLast
}

/** @returns the shared group if `own` holds the same, otherwise `own`. */
function oneOf<T extends object>(own: T, shared: T | null): T {
  if (shared === null) return own
  for (const name in own) if (own[name] !== shared[name]) return own
  return shared
}
