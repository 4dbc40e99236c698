/**
 * How bytes are refused: every judgement of the decoder ends here, with the code that a DISCONNECT carries and the clause.
 *
 * 0x81 when bytes cannot be parsed (lengths, UTF-8, flags, a property of another packet); 0x82 when they parse but break
 * a rule (repeated, out of range, wrong direction). Clauses are MQTT 5.0's; `clauseFor` gives 3.1.1's where it has one.
 */
import { ProtocolError } from '../errors.ts'

export const MALFORMED = 0x81
export const PROTOCOL_ERROR = 0x82
export const TOPIC_ALIAS_INVALID = 0x94
export const PACKET_TOO_LARGE = 0x95

export function refuse(reasonCode: number, clause: string, message: string): never {
  throw new ProtocolError(message, { reasonCode, clause })
}

/** The packet ended inside a field, or a field said that it ends behind the packet. */
export function cutOff(what: string): never {
  return refuse(MALFORMED, '2.1.4', `the packet ends inside ${what}`)
}

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

/** The clause of the version that is spoken, for a clause of MQTT 5.0. */
export function clauseFor(protocolVersion: number, clause: string): string {
  return protocolVersion === 5 ? clause : (CLAUSE_311.get(clause) ?? clause)
}
