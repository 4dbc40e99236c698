/**
 * Which text do these bytes hold, and is it text that MQTT allows?
 *
 * UTF-8 is checked strictly [MQTT-1.5.4-1], U+0000 is refused [MQTT-1.5.4-2], and EF BB BF becomes
 * U+FEFF [MQTT-1.5.4-3].
 *
 * Topics and names of properties repeat, so one that was decoded before is found again by its
 * bytes, in a cache that all decoders of the process share. The cache has one entry for each hash,
 * so a text replaces another one with the same hash. That costs a decoding, and never gives a wrong
 * text, because the bytes are compared.
 */
import { allocateOwn, type Bytes, copyBytes, isUtf8, latin1Text, utf8Text } from '#bytes'
import type { DeviationKind } from '../protocol/deviations.ts'
import { hasWildcard } from '../protocol/topics.ts'
import type { Tolerant } from './refuse.ts'

/**
 * @param field names the text in the error if it is not allowed.
 * @param kind what it is if it is not allowed.
 * @returns the text of `bytes[start, end)`, or null if it is none.
 */
export function decodeText(
  bytes: Bytes,
  start: number,
  end: number,
  field: string,
  kind: DeviationKind,
  tolerant: Tolerant,
): string | null {
  let ascii = true
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) {
      tolerant.tolerate(kind, `${field} holds U+0000`, 'MQTT-1.5.4-2')
      return null
    }
    if (byte >= 0x80) ascii = false
  }
  if (ascii) return latin1Text(bytes, start, end)
  if (isUtf8(bytes, start, end)) return utf8Text(bytes, start, end)
  tolerant.tolerate(kind, `${field} is ill-formed UTF-8`, 'MQTT-1.5.4-1')
  return null
}

interface CachedText {
  readonly bytes: Bytes
  readonly text: string
}

/** A power of two. With texts of at most 256 bytes each the cache stays below 1 MiB. */
const CACHE_ENTRIES = 1024
/** A longer text is decoded each time. */
const CACHED_BYTES_MAX = 256

let cache: (CachedText | undefined)[] = []

/**
 * As `decodeText`, for a text that is likely to have come before.
 * @param isTopic whether it is a Topic Name. It may be empty: the caller checks that there is a
 *   Topic Alias then.
 */
export function decodeRepeated(
  bytes: Bytes,
  start: number,
  end: number,
  field: string,
  kind: DeviationKind,
  tolerant: Tolerant,
  isTopic: boolean,
): string | null {
  const length = end - start
  if (length > CACHED_BYTES_MAX) {
    return noteWildcard(decodeText(bytes, start, end, field, kind, tolerant), isTopic, tolerant)
  }
  let hash = 0x811c9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  const slot = (hash ^ (hash >>> 15)) & (CACHE_ENTRIES - 1)
  const cached = cache[slot]
  if (cached !== undefined) {
    const known = cached.bytes
    if (known.length === length) {
      let i = 0
      while (i < length && known[i] === bytes[start + i]) i++
      if (i === length) return cached.text
    }
  } else if (cache.length === 0) {
    cache = new Array(CACHE_ENTRIES).fill(undefined)
  }
  const text = decodeText(bytes, start, end, field, kind, tolerant)
  // All decoders share the cache, so it holds only what every one of them accepts.
  if (text === null || hasWildcard(text)) return noteWildcard(text, isTopic, tolerant)
  const own = allocateOwn(length)
  copyBytes(bytes, start, end, own, 0)
  cache[slot] = { bytes: own, text }
  return text
}

function noteWildcard(text: string | null, isTopic: boolean, tolerant: Tolerant): string | null {
  if (isTopic && text !== null && hasWildcard(text)) {
    tolerant.tolerate('WILDCARD_IN_TOPIC', `the Topic Name ${quote(text)} holds a wildcard`)
  }
  return text
}

/** How many characters of a text from the server a message shows. */
const QUOTED_MAX = 100

/** @returns a text from the server as part of a message. */
export function quote(text: string): string {
  return text.length > QUOTED_MAX ? `"${text.slice(0, QUOTED_MAX)}…"` : `"${text}"`
}
