/**
 * Which text do these bytes hold, and is it text that MQTT allows?
 *
 * UTF-8 is checked strictly [MQTT-1.5.4-1], U+0000 is refused [MQTT-1.5.4-2], and EF BB BF becomes
 * U+FEFF [MQTT-1.5.4-3].
 *
 * Topics repeat, so a Topic Name that was decoded before is found again by its bytes, in a cache
 * that all decoders of the process share. The cache has one entry for each hash, so a topic
 * replaces another one with the same hash. That costs a decoding, and never gives a wrong topic,
 * because the bytes are compared.
 */
import {
  allocateOwn,
  type Bytes,
  copyBytes,
  isUtf8,
  latin1Text,
  utf8Text,
} from '../platform/bytes.ts'
import { hasWildcard } from '../protocol/topics.ts'
import { MALFORMED, PROTOCOL_ERROR, refuse } from './refuse.ts'

/** @returns the text of `bytes[start, end)`. `field` names it in the error if it is not allowed. */
export function decodeText(bytes: Bytes, start: number, end: number, field: string): string {
  let ascii = true
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) refuse(MALFORMED, 'MQTT-1.5.4-2', `${field} holds U+0000`)
    if (byte >= 0x80) ascii = false
  }
  if (ascii) return latin1Text(bytes, start, end)
  if (!isUtf8(bytes, start, end)) {
    refuse(MALFORMED, 'MQTT-1.5.4-1', `${field} is ill-formed UTF-8`)
  }
  return utf8Text(bytes, start, end)
}

interface CachedTopic {
  readonly bytes: Bytes
  readonly topic: string
}

/** A power of two. With topics of at most 256 bytes each the cache stays below 1 MiB. */
const CACHE_ENTRIES = 1024
/** A longer topic is decoded each time. */
const CACHED_TOPIC_BYTES_MAX = 256

let cache: (CachedTopic | undefined)[] = []

/** @returns a Topic Name. It may be empty: the caller checks that there is a Topic Alias then. */
export function decodeTopic(bytes: Bytes, start: number, end: number): string {
  const length = end - start
  if (length > CACHED_TOPIC_BYTES_MAX) return decodeNewTopic(bytes, start, end)
  let hash = 0x811c9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  const slot = (hash ^ (hash >>> 15)) & (CACHE_ENTRIES - 1)
  const cached = cache[slot]
  if (cached !== undefined) {
    const known = cached.bytes
    if (known.length === length) {
      let i = 0
      while (i < length && known[i] === bytes[start + i]) i++
      if (i === length) return cached.topic
    }
  } else if (cache.length === 0) {
    cache = new Array(CACHE_ENTRIES).fill(undefined)
  }
  const topic = decodeNewTopic(bytes, start, end)
  const own = allocateOwn(length)
  copyBytes(bytes, start, end, own, 0)
  cache[slot] = { bytes: own, topic }
  return topic
}

function decodeNewTopic(bytes: Bytes, start: number, end: number): string {
  const topic = decodeText(bytes, start, end, 'the Topic Name')
  if (hasWildcard(topic)) {
    refuse(PROTOCOL_ERROR, 'MQTT-3.3.2-2', 'the Topic Name of a PUBLISH holds a wildcard')
  }
  return topic
}
