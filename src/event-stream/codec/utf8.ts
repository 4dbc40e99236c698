/**
 * Which text do these bytes hold, and which bytes does a text become? UTF-8 is checked strictly
 * both ways: bytes that are no UTF-8 and texts with half a surrogate pair are refused.
 *
 * The names of headers, and many of their values, are the same in each message. So a short text
 * that was decoded before is found again by its bytes. The cache has one entry for each hash; a
 * text replaces another one with the same hash, and is never taken for it, since the bytes are
 * compared.
 */

const fatalDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf8Writer = new TextEncoder()

/** A power of two, so that a mask makes a position of a hash. */
const CACHE_SIZE = 256
/** Longer texts are rarely the same. */
const CACHED_BYTES_MAX = 32
const cache: (string | undefined)[] = []

/** @returns the text in `bytes[start, end)`, or null if it is not UTF-8. */
export function utf8In(bytes: Uint8Array, start: number, end: number): string | null {
  const length = end - start
  if (length === 0) return ''
  if (length > CACHED_BYTES_MAX) return decoded(bytes, start, end)
  // Three bytes and the length tell most names apart.
  const middle = bytes[start + (length >> 1)]!
  const hash = length * 7 + bytes[start]! * 5 + middle * 3 + bytes[end - 1]!
  const slot = hash & (CACHE_SIZE - 1)
  const known = cache[slot]
  if (known !== undefined && isTextOf(known, bytes, start, length)) return known
  let text = ''
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte >= 0x80) return decoded(bytes, start, end)
    text += String.fromCharCode(byte)
  }
  cache[slot] = text
  return text
}

function isTextOf(text: string, bytes: Uint8Array, start: number, length: number): boolean {
  if (text.length !== length) return false
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false
  return true
}

function decoded(bytes: Uint8Array, start: number, end: number): string | null {
  try {
    return fatalDecoder.decode(bytes.subarray(start, end))
  } catch {
    return null
  }
}

/** @returns how many bytes a text has in UTF-8, or -1 if it holds half a surrogate pair. */
export function bytesOfText(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    bytes++
    if (unit < 0x800) continue
    bytes++
    if (unit < 0xd800 || unit > 0xdfff) continue
    const next = text.charCodeAt(++i)
    // The first half comes first. The four bytes of the pair were counted as 1 + 2 + 1.
    if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return -1
  }
  return bytes
}

/** Longer texts are written faster by the runtime. */
const WRITTEN_UNITS_MAX = 48

/**
 * Writes a text without half pairs, for which there is room.
 * @returns where it ends
 */
export function putUtf8(out: Uint8Array, at: number, text: string): number {
  if (text.length <= WRITTEN_UNITS_MAX) {
    let i = 0
    for (; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      if (unit >= 0x80) break
      out[at + i] = unit
    }
    if (i === text.length) return at + i
  }
  return at + utf8Writer.encodeInto(text, out.subarray(at)).written
}
