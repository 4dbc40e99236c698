/**
 * Is a deviation of the server lived with?
 *
 * The table `deviations.ts` decides. What is lived with is counted, and the user is warned once for
 * each kind and connection.
 */
import { DEVIATIONS, type DeviationKind, isFatal } from './deviations.ts'
import type { Draft } from './draft.ts'
import type { Violation } from './facts.ts'

/**
 * Notes a deviation that a reducer found.
 * @returns the violation if the connection must be closed, or null if it goes on.
 */
export function deviates(
  d: Draft,
  kind: DeviationKind,
  what: string,
  clause: string = DEVIATIONS[kind].clause,
): Violation | null {
  if (isFatal(d.config.tolerance, kind)) {
    return { reasonCode: DEVIATIONS[kind].reasonCode, clause, message: what }
  }
  if (d.config.tolerance === 'field') deviated(d, kind, 1, what, clause)
  return null
}

/** Counts deviations that are lived with, and warns of the first. */
export function deviated(
  d: Draft,
  kind: DeviationKind,
  count: number,
  what: string,
  clause: string,
): void {
  const { counters, connection } = d
  const before = counters.deviations[kind] ?? 0
  counters.deviations = { ...counters.deviations, [kind]: before + count }
  if (connection.deviations.includes(kind)) return
  connection.deviations = [...connection.deviations, kind]
  const { answer, seen } = DEVIATIONS[kind]
  const known = seen.length === 0 ? '' : ` Seen from ${seen.join(', ')}.`
  const message = `${what} [${clause}]. ${answer}${known}`
  d.effects.push({ type: 'warn', code: 'SERVER_DEVIATION', message, deviation: kind })
}
