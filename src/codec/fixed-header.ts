/**
 * Can a packet from a server begin like this?
 *
 * The fixed header (section 2.1) is checked before a body is buffered (I2, sizes are checked before
 * a body is buffered), by its first byte alone if that is enough.
 */
import { MALFORMED, PROTOCOL_ERROR, refuse } from './refuse.ts'

const PACKET_NAMES = [
  ...['reserved', 'connect', 'connack', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp'],
  ...['subscribe', 'suback', 'unsubscribe', 'unsuback', 'pingreq', 'pingresp', 'disconnect'],
  'auth',
] as const

/** Refuses a first byte that no packet of a server has. */
export function checkFirstByte(first: number, version: number): void {
  const type = first >> 4
  const flags = first & 0x0f
  const name = PACKET_NAMES[type]!
  if (type === 3) {
    if ((flags & 0x06) === 0x06) refuse(MALFORMED, 'MQTT-3.3.1-4', 'a publish has QoS 3')
    // MQTT 3.1 does not forbid it, and some servers of that version repeat QoS 0 with DUP.
    if ((flags & 0x0e) === 0x08 && version !== 3) {
      refuse(PROTOCOL_ERROR, 'MQTT-3.3.1-2', 'a publish has DUP set at QoS 0')
    }
    return
  }
  if (type === 0) refuse(MALFORMED, '2.1.2', 'packet type 0 is reserved')
  if (type === 1 || type === 8 || type === 10 || type === 12 || (type > 13 && version !== 5)) {
    const where = type > 13 ? ' before MQTT 5' : ''
    refuse(PROTOCOL_ERROR, '2.1.2', `a server does not send ${name}${where}`)
  }
  if (flags !== (type === 6 ? 2 : 0)) {
    refuse(MALFORMED, type === 6 ? 'MQTT-3.6.1-1' : 'MQTT-2.1.3-1', `${name} has wrong flags`)
  }
}

/**
 * @returns for each packet type the only Remaining Length that it can have, or -1 if it can have
 * several. PINGRESP has only one; before MQTT 5 so have CONNACK, PUBACK to PUBCOMP and UNSUBACK.
 */
export function fixedLengths(version: number): readonly number[] {
  return version === 5 ? FIXED_5 : FIXED_3
}

const FIXED_5 = [-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1]
const FIXED_3 = [-1, -1, 2, -1, 2, 2, 2, 2, -1, -1, -1, 2, -1, 0, -1, -1]

/** Refuses a Remaining Length that this packet cannot have, before its body has come. */
export function checkLength(first: number, length: number, version: number): void {
  const type = first >> 4
  const fixed = fixedLengths(version)[type]!
  if (fixed >= 0 && length !== fixed) {
    refuse(
      MALFORMED,
      '2.1.4',
      `${PACKET_NAMES[type]} has a Remaining Length of ${length}; it must be ${fixed}`,
    )
  }
}
