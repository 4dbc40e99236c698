/**
 * How many bytes does something need on the wire?
 *
 * The reducers compare these sizes with the limits of the server; the codec writes with them.
 */

/** The largest Remaining Length, in bytes. (2.1.4) */
export const REMAINING_LENGTH_MAX = 268_435_455

/** The size of a packet with the largest Remaining Length, in bytes. */
export const PACKET_BYTES_MAX = 268_435_460

/** The longest string in bytes of UTF-8, because its length is sent as two bytes. (1.5.4) */
export const STRING_BYTES_MAX = 65_535

/**
 * @returns the bytes of UTF-8, or -1 if the text has a lone surrogate, which UTF-8 cannot carry.
 */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) bytes += 1
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 2
    else {
      const next = text.charCodeAt(i + 1)
      if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return -1
      bytes += 2
      i++
    }
  }
  return bytes
}

/** @returns the bytes of a Variable Byte Integer. (1.5.5) */
export function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}

/** @returns the size of a packet with this Remaining Length, in bytes. */
export function packetBytes(remainingLength: number): number {
  return 1 + varintBytes(remainingLength) + remainingLength
}
