/**
 * How long is a Variable Byte Integer, and how long a packet with such a Remaining Length? (1.5.5)
 */

/** The largest Remaining Length, which is the largest Variable Byte Integer. */
export const REMAINING_LENGTH_MAX = 268_435_455

/** The largest packet in bytes: a first byte, four bytes of length, and the rest. (2.1.4) */
export const PACKET_BYTES_MAX = 1 + 4 + REMAINING_LENGTH_MAX

/** @returns how many bytes the integer has on the wire. */
export function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4
}

/** @returns the size of a packet on the wire, from its Remaining Length. */
export function packetBytes(remainingLength: number): number {
  return 1 + varintBytes(remainingLength) + remainingLength
}

/**
 * Writes the integer at the offset `at`.
 * @returns the offset behind it.
 */
export function writeVarint(into: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    into[at++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  into[at++] = value
  return at
}
