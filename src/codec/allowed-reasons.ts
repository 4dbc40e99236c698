/**
 * Which reason codes may a server send in which packet?
 *
 * The tables are those of MQTT 5.0 (2-6, 3-1 and following) and of sections 3.2.2.3 and 3.9.3 of
 * 3.1.1. A code that is not listed is a Protocol Error. It is not guessed whether it means success,
 * unless the tolerance says what a code of its range means.
 * `protocol/reason-codes.ts` has the texts of the codes.
 */

import type { DeviationKind } from '../protocol/deviations.ts'
import { hex } from '../protocol/reason-codes.ts'
import type { Tolerant } from './refuse.ts'

/** Has 1 at each code that is allowed, 0 at the others. */
export type ReasonTable = Uint8Array

function tableOf(...codes: readonly number[]): ReasonTable {
  const table = new Uint8Array(256)
  for (const code of codes) table[code] = 1
  return table
}

export const CONNACK_CODES = tableOf(
  ...[0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90],
  ...[0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f],
)
export const CONNACK_CODES_311 = tableOf(0, 1, 2, 3, 4, 5)
/** For PUBACK and PUBREC. */
export const PUBLISHED_CODES = tableOf(0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
/** For PUBREL and PUBCOMP. */
export const RELEASED_CODES = tableOf(0x00, 0x92)
export const SUBACK_CODES = tableOf(
  ...[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
)
export const SUBACK_CODES_311 = tableOf(0x00, 0x01, 0x02, 0x80)
export const UNSUBACK_CODES = tableOf(0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91)
/** Only a client sends 0x04 [MQTT-3.14.2-1]. */
export const DISCONNECT_CODES = tableOf(
  ...[0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94],
  ...[0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
)
/** Only a client sends 0x19 [MQTT-3.15.2-1]. */
export const AUTH_CODES = tableOf(0x00, 0x18)

/** Checks that the table lists a reason code. */
export function checkReason(
  table: ReasonTable,
  code: number,
  clause: string,
  cmd: string,
  tolerant: Tolerant,
  kind: DeviationKind = 'UNKNOWN_REASON_CODE',
): void {
  if (table[code] !== 0) return
  tolerant.tolerate(kind, `a server may not send reason code ${hex(code)} in ${cmd}`, clause)
}
