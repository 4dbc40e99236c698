/** How is a Variable Byte Integer written? `protocol/sizes.ts` says how long it is. (1.5.5) */

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
