/**
 * What are the bytes of a topic? Topics repeat, so those that were validated and encoded are kept,
 * within bounds.
 */

import { allocateOwn, byteLength, writeUtf8 } from '#bytes'
import { describe, UsageError } from '../errors.ts'
import { topicNameProblem } from '../protocol/topics.ts'
import { wrong } from './check.ts'

/** Entries. Beyond it the cache starts again with none. */
const TOPICS_MAX = 4096
/** UTF-16 units. A longer topic is not cached, so that the cache holds some 3 MiB at most. */
const CACHED_TOPIC_LENGTH_MAX = 256

const topics = new Map<string, Uint8Array>()
let latestTopic: string | null = null
let latestBytes: Uint8Array = new Uint8Array(0)

/**
 * @returns the topic as UTF-8 with its length before it.
 * @throws UsageError if it is no topic that a PUBLISH may have.
 */
export function topicBytesOf(topic: unknown): Uint8Array {
  if (typeof topic !== 'string') throw wrong('publish.topic', 'a string', topic)
  // Most often it is the topic before, and the same object: then this compares two pointers.
  if (topic === latestTopic) return latestBytes
  const bytes = topics.get(topic) ?? encoded(topic)
  latestTopic = topic
  latestBytes = bytes
  return bytes
}

function encoded(topic: string): Uint8Array {
  const problem = topicNameProblem(topic)
  if (problem !== null) throw new UsageError(`publish.topic ${problem}: ${describe(topic)}`)
  const length = byteLength(topic)
  const bytes = allocateOwn(2 + length)
  bytes[0] = length >> 8
  bytes[1] = length
  writeUtf8(bytes, topic, 2, length)
  if (topic.length <= CACHED_TOPIC_LENGTH_MAX) {
    if (topics.size >= TOPICS_MAX) topics.clear()
    topics.set(topic, bytes)
  }
  return bytes
}
