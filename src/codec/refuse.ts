/**
 * How are bytes from a server refused, or lived with?
 *
 * Every check of the decoder ends here, with the kind of the deviation. The table in
 * `protocol/deviations.ts` says whether the packet is refused, and with which reason code: 0x81 if
 * the bytes cannot be parsed (lengths, UTF-8, flags, a property of another packet) and 0x82 if they
 * can but break a rule (repeated, out of range, sent by the wrong side). Clauses are those of MQTT
 * 5.0; `clauseFor` gives that of 3.1.1 if it has one.
 */
import { ProtocolError } from '../errors.ts'
import { DEVIATIONS, type DeviationKind, isFatal, type Tolerance } from '../protocol/deviations.ts'

/** Refuses a packet, whatever the tolerance. */
export function refuse(
  kind: DeviationKind,
  message: string,
  clause: string = DEVIATIONS[kind].clause,
): never {
  throw new ProtocolError(message, { reasonCode: DEVIATIONS[kind].reasonCode, clause })
}

/** Refuses a packet that ends inside a field, or a field that ends behind its packet. */
export function refuseCut(field: string): never {
  return refuse('LENGTH', `the packet ends inside ${field}`)
}

/** What a check of the decoder does about a deviation. */
export interface Tolerant {
  /** Refuses the packet, or returns if the deviation can be lived with. */
  tolerate(kind: DeviationKind, what: string, clause?: string): void
}

/**
 * Refuses what cannot be lived with, and notes nothing. A packet that is not complete yet is
 * checked so, because it will be checked again.
 */
export const REFUSING = {
  field: refusingIn('field'),
  strict: refusingIn('strict'),
} as const satisfies Record<Tolerance, Tolerant>

function refusingIn(tolerance: Tolerance): Tolerant {
  return {
    tolerate(kind, what, clause) {
      if (isFatal(tolerance, kind)) refuse(kind, what, clause)
    },
  }
}

/** The clauses of 3.1.1, by those of 5.0. */
const CLAUSE_311: ReadonlyMap<string, string> = new Map([
  ['MQTT-1.5.4-1', 'MQTT-1.5.3-1'],
  ['MQTT-1.5.4-2', 'MQTT-1.5.3-2'],
  ['MQTT-2.1.3-1', 'MQTT-2.2.2-2'],
  ['2.1.2', '2.2.1'],
  ['2.1.4', '2.2.3'],
  ['MQTT-1.5.5-1', '2.2.3'],
  ['MQTT-2.2.1-4', 'MQTT-2.3.1-1'],
  ['MQTT-3.1.2-24', '2.2.3'],
  ['MQTT-3.2.2-1', '3.2.2.1'],
  ['MQTT-3.2.2-8', '3.2.2.3'],
  ['MQTT-3.8.4-6', 'MQTT-3.8.4-5'],
  ['3.3.2.1', 'MQTT-4.7.3-1'],
])

/** @returns the clause of the given version that says what a clause of MQTT 5.0 says. */
export function clauseFor(protocolVersion: number, clause: string): string {
  return protocolVersion === 5 ? clause : (CLAUSE_311.get(clause) ?? clause)
}
