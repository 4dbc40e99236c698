/**
 * How does the engine hold, read and write bytes where there is no Buffer? This is `#bytes` in
 * browsers, workers and React Native; ../node/bytes.ts is its twin, with the same results.
 *
 * Short texts, which most are, are read and written by loops here: TextEncoder and TextDecoder cost
 * more than a short text, and some runtimes have them incomplete or not at all. Long ones are given
 * to them if they are there.
 */

/** Bytes as this runtime gives them to the user. */
export type Bytes = Uint8Array

/** No bytes. All users share this one. */
export const NO_BYTES: Bytes = new Uint8Array(0)

type BytesOver = new (memory: ArrayBufferLike, offset: number, length: number) => Bytes

/**
 * `new BytesView(memory, offset, length)` is a view of memory that exists already; nothing is
 * copied.
 */
export const BytesView: BytesOver = Uint8Array

/** @returns `bytes` itself: each Uint8Array is a `Bytes`. */
export function asBytes(bytes: Uint8Array): Bytes {
  return bytes
}

/** Allocates `length` bytes that are all 0. */
export function allocate(length: number): Bytes {
  return new Uint8Array(length)
}

/** Allocates memory that only the caller uses. */
export function allocateOwn(length: number): Bytes {
  return new Uint8Array(length)
}

/** Allocates memory for bytes that are soon dropped. Here there is no pool. */
export function allocatePooled(length: number): Bytes {
  return new Uint8Array(length)
}

/** Copies `from[start, end)` to `into`, from the offset `at` on. */
export function copyBytes(from: Bytes, start: number, end: number, into: Bytes, at: number): void {
  into.set(from.subarray(start, end), at)
}

/** Texts and bytes beyond this length are given to TextEncoder and TextDecoder. */
const SHORT_MAX = 96

/** @returns how many bytes the UTF-8 of `text` has. */
export function byteLength(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) bytes += 1
    else if (isPair(unit, text.charCodeAt(i + 1))) {
      bytes += 2
      i++
    } else bytes += 2
  }
  return bytes
}

/** Whether two UTF-16 units are one character. */
function isPair(high: number, low: number): boolean {
  return high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff
}

/** @returns the UTF-8 of `text`. */
export function utf8Bytes(text: string): Bytes {
  const length = byteLength(text)
  const bytes = new Uint8Array(length)
  writeUtf8(bytes, text, 0, length)
  return bytes
}

/** What of TextEncoder is used; the types of some runtimes lack it. */
interface LongEncoder {
  encodeInto(text: string, into: Uint8Array): unknown
}

interface LongDecoder {
  decode(bytes: Uint8Array): string
}

const globals = globalThis as {
  readonly TextEncoder?: new () => LongEncoder
  readonly TextDecoder?: new (label: string, options: { readonly ignoreBOM: true }) => LongDecoder
}

/** Writes the UTF-8 of `text`, which has `length` bytes, to `into` from the offset `at` on. */
export function writeUtf8(into: Bytes, text: string, at: number, length: number): void {
  if (length > SHORT_MAX && globals.TextEncoder !== undefined) {
    new globals.TextEncoder().encodeInto(text, into.subarray(at, at + length))
    return
  }
  for (let i = 0; i < text.length; i++) {
    let unit = text.charCodeAt(i)
    if (unit < 0x80) {
      into[at++] = unit
    } else if (unit < 0x800) {
      into[at++] = 0xc0 | (unit >> 6)
      into[at++] = 0x80 | (unit & 0x3f)
    } else if (isPair(unit, text.charCodeAt(i + 1))) {
      const point = 0x10000 + ((unit & 0x3ff) << 10) + (text.charCodeAt(++i) & 0x3ff)
      into[at++] = 0xf0 | (point >> 18)
      into[at++] = 0x80 | ((point >> 12) & 0x3f)
      into[at++] = 0x80 | ((point >> 6) & 0x3f)
      into[at++] = 0x80 | (point & 0x3f)
    } else {
      // Half a pair cannot be written, and becomes U+FFFD.
      if (unit >= 0xd800 && unit <= 0xdfff) unit = 0xfffd
      into[at++] = 0xe0 | (unit >> 12)
      into[at++] = 0x80 | ((unit >> 6) & 0x3f)
      into[at++] = 0x80 | (unit & 0x3f)
    }
  }
}

/**
 * Writes `text` to `into` from the offset `at` on, one byte for each character. All characters are
 * below U+0100.
 */
export function writeLatin1(into: Bytes, text: string, at: number, length: number): void {
  for (let i = 0; i < length; i++) into[at + i] = text.charCodeAt(i)
}

/**
 * How many bytes the sequence at `at` has that is well-formed UTF-8 of one character. (Unicode,
 * table 3-7)
 *
 * @returns 0 minus the number of bytes that become one U+FFFD if it is ill-formed.
 */
function sequenceAt(bytes: Bytes, at: number, end: number): number {
  const first = bytes[at]!
  if (first < 0x80) return 1
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0
  if (length === 0) return -1
  // The second byte excludes overlong forms, surrogates and what is above U+10FFFF.
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (at + 1 >= end || bytes[at + 1]! < least || bytes[at + 1]! > most) return -1
  for (let i = 2; i < length; i++) {
    if (at + i >= end || (bytes[at + i]! & 0xc0) !== 0x80) return -i
  }
  return length
}

/**
 * @returns the text of which `bytes[start, end)` is the UTF-8. Ill-formed sequences become U+FFFD.
 */
export function utf8Text(bytes: Bytes, start: number, end: number): string {
  if (end - start > SHORT_MAX && globals.TextDecoder !== undefined) {
    const decoder = new globals.TextDecoder('utf-8', { ignoreBOM: true })
    return decoder.decode(bytes.subarray(start, end))
  }
  let text = ''
  for (let at = start; at < end; ) {
    const length = sequenceAt(bytes, at, end)
    text += length > 0 ? String.fromCodePoint(pointAt(bytes, at, length)) : '\ufffd'
    at += Math.abs(length)
  }
  return text
}

/** @returns the code point of a well-formed sequence. */
function pointAt(bytes: Bytes, at: number, length: number): number {
  const first = bytes[at]!
  if (length === 1) return first
  let point = first & (0x7f >> length)
  for (let i = 1; i < length; i++) point = (point << 6) | (bytes[at + i]! & 0x3f)
  return point
}

/** How many arguments every runtime can pass to a function. */
const ARGUMENTS_MAX = 4096

/** @returns `bytes[start, end)` as text, each byte one character. */
export function latin1Text(bytes: Bytes, start: number, end: number): string {
  let text = ''
  if (end - start <= SHORT_MAX) {
    for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!)
    return text
  }
  for (let at = start; at < end; at += ARGUMENTS_MAX) {
    const part = bytes.subarray(at, Math.min(end, at + ARGUMENTS_MAX))
    text += String.fromCharCode.apply(null, part as unknown as number[])
  }
  return text
}

/** Whether `bytes[start, end)` is well-formed UTF-8. */
export function isUtf8(bytes: Bytes, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    const length = sequenceAt(bytes, at, end)
    if (length < 0) return false
    at += length
  }
  return true
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** @returns the Base64 of `bytes`, padded. */
export function base64Text(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const [a, b = 0, c = 0] = bytes.subarray(i, i + 3) as unknown as readonly [number]
    const three = (a << 16) | (b << 8) | c
    for (let at = 0; at < 4; at++) {
      const isPadding = i + at > bytes.length
      text += isPadding ? '=' : ALPHABET[(three >> (18 - 6 * at)) & 0x3f]
    }
  }
  return text
}

/** @returns the bytes of a Base64 text, in memory of their own; other characters are skipped. */
export function base64Bytes(text: string): Bytes {
  const digits = text.replace(/=.*$/s, '').replace(/[^A-Za-z\d+/]/g, '')
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4))
  let bits = 0
  let at = 0
  for (let i = 0; i < digits.length; i++) {
    bits = (bits << 6) | ALPHABET.indexOf(digits[i]!)
    // After each digit but the first of four, one more byte is complete.
    if ((i & 3) !== 0) bytes[at++] = bits >> (6 - 2 * (i & 3))
  }
  return bytes
}
