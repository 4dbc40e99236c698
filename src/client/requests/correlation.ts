/**
 * By which bytes is a response matched with its request? 16 random bytes for each attempt. Tables
 * have them as text with one character for each byte.
 */

/** How many bytes the Correlation Data of our requests have. */
export const CORRELATION_SIZE = 16
const WORD = 2 ** 32
/** How many bytes one call of `fromCharCode` is given. */
const CHUNK = 8192

/** @param random gives numbers r with 0 ≤ r < 1. */
export function randomCorrelation(random: () => number): Uint8Array {
  const bytes = new Uint8Array(CORRELATION_SIZE)
  for (let i = 0; i < CORRELATION_SIZE; i += 4) {
    const word = random() * WORD
    bytes[i] = word >>> 24
    bytes[i + 1] = word >>> 16
    bytes[i + 2] = word >>> 8
    bytes[i + 3] = word
  }
  return bytes
}

/** @returns the bytes as text, one character for each byte. */
export function latin1Of(bytes: Uint8Array): string {
  if (bytes.length <= CHUNK) return String.fromCharCode.apply(null, bytes as unknown as number[])
  let text = ''
  for (let i = 0; i < bytes.length; i += CHUNK) {
    text += String.fromCharCode.apply(null, bytes.subarray(i, i + CHUNK) as unknown as number[])
  }
  return text
}

/** @returns the bytes of which `latin1Of` made a text. */
export function bytesOfLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** The two digits of each byte. */
const DIGITS = Array.from({ length: 256 }, (_, byte) => (byte + 0x100).toString(16).slice(1))

/** @returns the characters of `latin1Of` as hexadecimal digits. */
export function hexOfLatin1(latin1: string): string {
  let hex = ''
  for (let i = 0; i < latin1.length; i++) hex += DIGITS[latin1.charCodeAt(i)]!
  return hex
}

/** @returns the characters of which `hexOfLatin1` made digits; empty for any other text. */
export function latin1OfHex(hex: string): string {
  if (hex.length !== 2 * CORRELATION_SIZE) return ''
  let text = ''
  for (let i = 0; i < hex.length; i += 2) {
    const byte = Number.parseInt(hex.slice(i, i + 2), 16)
    if (Number.isNaN(byte)) return ''
    text += String.fromCharCode(byte)
  }
  return text
}
