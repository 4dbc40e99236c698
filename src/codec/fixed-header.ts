/**
 * Can a packet from a server begin like this?
 *
 * The fixed header (section 2.1) is checked before a body is buffered (I2, sizes are checked before
 * a body is buffered), by its first byte alone if that is enough.
 */
import type { DeviationKind } from '../protocol/deviations.ts'
import { hex } from '../protocol/reason-codes.ts'
import type { Tolerant } from './refuse.ts'

const PACKET_NAMES = [
  ...['reserved', 'connect', 'connack', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'],
  ...['subscribe', 'suback', 'unsubscribe', 'unsuback', 'pingreq', 'pingresp', 'disconnect'],
  'auth',
] as const

/**
 * Checks a first byte that is not one of the usual ones.
 * @param begun whether a CONNACK was read on this connection.
 */
export function checkFirstByte(
  first: number,
  version: number,
  begun: boolean,
  tolerant: Tolerant,
): void {
  const type = first >> 4
  const flags = first & 0x0f
  const name = PACKET_NAMES[type]!
  if (type === 3) {
    if ((flags & 0x06) === 0x06) tolerant.tolerate('QOS_3', 'a publish has QoS 3')
    // MQTT 3.1 does not forbid it, and some servers of that version repeat QoS 0 with DUP.
    if ((flags & 0x0e) === 0x08 && version !== 3) {
      tolerant.tolerate('DUP_AT_QOS_0', 'a publish has DUP set at QoS 0')
    }
    return
  }
  if (type === 0) tolerant.tolerate('PACKET_TYPE', 'packet type 0 is reserved')
  if (type === 1 || type === 8 || type === 10 || type === 12 || (type > 13 && version !== 5)) {
    const where = type > 13 ? ' before MQTT 5' : ''
    tolerant.tolerate(directionOf(type), `a server does not send ${name}${where}`)
  }
  if (flags === (type === 6 ? 2 : 0)) return
  // MQTT 3.1 lets a PUBREL that is sent again have the DUP flag.
  if (first === 0x6a && version === 3) return
  const kind = begun || type === 2 ? (type === 15 ? 'AUTH_BITS' : 'RESERVED_BITS') : 'FIRST_PACKET'
  const clause = type === 6 ? 'MQTT-3.6.1-1' : 'MQTT-2.1.3-1'
  tolerant.tolerate(kind, `${name} has wrong flags (its first byte is ${hex(first)})`, clause)
}

function directionOf(type: number): DeviationKind {
  if (type === 12) return 'PINGREQ_FROM_SERVER'
  return type === 14 ? 'DISCONNECT_BEFORE_MQTT_5' : 'WRONG_DIRECTION'
}

/**
 * @returns for each packet type the only Remaining Length that it can have, or -1 if it can have
 * several. PINGREQ and PINGRESP have only one, and so have CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP
 * and UNSUBACK before MQTT 5.
 */
export function fixedLengths(version: number): readonly number[] {
  return version === 5 ? FIXED_5 : FIXED_3
}

const FIXED_5 = [-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, -1, -1]
const FIXED_3 = [-1, -1, 2, -1, 2, 2, 2, 2, -1, -1, -1, 2, 0, 0, -1, -1]

/**
 * Checks a Remaining Length before the body has come. A body that is too long may hold what it must
 * hold, except for a CONNACK: in the shape of MQTT 5, it says that this is another version.
 */
export function checkLength(
  first: number,
  length: number,
  version: number,
  tolerant: Tolerant,
): void {
  const type = first >> 4
  const fixed = fixedLengths(version)[type]!
  if (fixed < 0 || length === fixed) return
  const kind = length < fixed || type === 2 ? 'LENGTH' : 'LEFT_OVER_BYTES'
  const what = `${PACKET_NAMES[type]} has a Remaining Length of ${length}; it must be ${fixed}`
  tolerant.tolerate(kind, what)
}
