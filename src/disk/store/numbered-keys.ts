/**
 * Which key does a numbered record have in a database? The keys of one prefix sort as their numbers
 * do.
 */

/** Hexadecimal digits of a number up to 2^53. */
const DIGITS = 14

/** @param prefix One character. */
export function keyOf(prefix: string, number: number): string {
  return prefix + number.toString(16).padStart(DIGITS, '0')
}

/** @returns the number that `keyOf` made the key from. */
export function numberOf(key: string): number {
  return Number.parseInt(key.slice(1), 16)
}
