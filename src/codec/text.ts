/**
 * UTF-8 in: strict [MQTT-1.5.4-1], without U+0000 [MQTT-1.5.4-2], EF BB BF kept as U+FEFF [MQTT-1.5.4-3].
 *
 * Topics repeat, so a topic that was decoded and judged once is found again by its bytes: a direct-mapped cache, shared
 * by all decoders of the process. A collision costs a decoding, never a wrong topic: the bytes are compared.
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

export function textOf(bytes: Bytes, start: number, end: number, what: string): string {
  let ascii = true
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) refuse(MALFORMED, 'MQTT-1.5.4-2', `${what} holds U+0000`)
    if (byte >= 0x80) ascii = false
  }
  if (ascii) return latin1Text(bytes, start, end)
  if (!isUtf8(bytes, start, end)) {
    refuse(MALFORMED, 'MQTT-1.5.4-1', `${what} is ill-formed UTF-8`)
  }
  return utf8Text(bytes, start, end)
}

interface CachedTopic {
  readonly bytes: Bytes
  readonly topic: string
}

/** Entries; a power of two. With topics of at most 256 bytes each the cache stays below 1 MiB. */
const CACHE_ENTRIES = 1024
const CACHED_TOPIC_BYTES_MAX = 256

let cache: (CachedTopic | undefined)[] = []

/** A Topic Name. Empty is allowed: whether an alias makes up for it is the caller's to say. */
export function topicOf(bytes: Bytes, start: number, end: number): string {
  const length = end - start
  if (length > CACHED_TOPIC_BYTES_MAX) return judgedTopic(bytes, start, end)
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
  const topic = judgedTopic(bytes, start, end)
  const own = allocateOwn(length)
  copyBytes(bytes, start, end, own, 0)
  cache[slot] = { bytes: own, topic }
  return topic
}

function judgedTopic(bytes: Bytes, start: number, end: number): string {
  const topic = textOf(bytes, start, end, 'the Topic Name')
  if (hasWildcard(topic)) {
    refuse(PROTOCOL_ERROR, 'MQTT-3.3.2-2', 'the Topic Name of a PUBLISH holds a wildcard')
  }
  return topic
}
