/**
 * Is this text a valid Topic Name or Topic Filter, and does a filter match a name? (4.7)
 *
 * A problem is returned as a predicate ("holds …", "has …") to which the caller adds the subject.
 */
import { STRING_BYTES_MAX, utf8Length } from './sizes.ts'

const PLUS = 0x2b
const HASH = 0x23
const SLASH = 0x2f

/**
 * @returns why a text is not an MQTT string, or null if it is one. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
 */
export function stringProblem(text: string): string | null {
  const bytes = utf8Length(text)
  if (bytes < 0) return 'holds a lone surrogate, which UTF-8 cannot carry [MQTT-1.5.4-1]'
  if (bytes > STRING_BYTES_MAX) {
    return `has ${bytes} bytes of UTF-8; at most ${STRING_BYTES_MAX} fit [MQTT-4.7.3-3]`
  }
  if (text.includes('\u0000')) return 'holds U+0000 [MQTT-1.5.4-2]'
  return null
}

/** @returns why a text is not a Topic Name, or null if it is one. */
export function topicNameProblem(topic: string): string | null {
  if (topic.length === 0) return 'is empty; it needs at least one character [MQTT-4.7.3-1]'
  if (hasWildcard(topic)) {
    return 'holds a wildcard (+ or #), which only a filter may have [MQTT-3.3.2-2]'
  }
  return stringProblem(topic)
}

/** @returns why a text is not a Topic Filter, or null if it is one. */
export function topicFilterProblem(filter: string, protocolVersion: 3 | 4 | 5): string | null {
  if (filter.length === 0) return 'is empty; it needs at least one character [MQTT-4.7.3-1]'
  const problem = stringProblem(filter)
  if (problem !== null) return problem
  // $share is special since MQTT 5. Some brokers have shared subscriptions in 3.1.1 too, where it
  // is a filter like any other.
  if (protocolVersion === 5 && isShared(filter)) {
    const second = filter.indexOf('/', SHARE.length)
    const name = second < 0 ? filter.slice(SHARE.length) : filter.slice(SHARE.length, second)
    if (name.length === 0) return 'has an empty share name: $share/name/filter [MQTT-4.8.2-1]'
    if (hasWildcard(name)) return 'has a wildcard in its share name [MQTT-4.8.2-2]'
    if (second < 0 || second === filter.length - 1) {
      return 'has no filter behind its share name: $share/name/filter [MQTT-4.8.2-2]'
    }
    return wildcardProblem(filter.slice(second + 1))
  }
  return wildcardProblem(filter)
}

function wildcardProblem(filter: string): string | null {
  for (let i = 0; i < filter.length; i++) {
    const unit = filter.charCodeAt(i)
    if (unit !== PLUS && unit !== HASH) continue
    const opens = i === 0 || filter.charCodeAt(i - 1) === SLASH
    const last = i === filter.length - 1
    if (unit === HASH && !(opens && last)) {
      return 'has a # that is not a whole last level, as in a/# [MQTT-4.7.1-1]'
    }
    if (unit === PLUS && !(opens && (last || filter.charCodeAt(i + 1) === SLASH))) {
      return 'has a + that is not a whole level, as in a/+/b [MQTT-4.7.1-2]'
    }
  }
  return null
}

const SHARE = '$share/'

/** @returns whether a filter asks for a Shared Subscription. (4.8.2) */
export function isShared(filter: string): boolean {
  return filter.startsWith(SHARE) || filter === '$share'
}

export function hasWildcard(text: string): boolean {
  return text.includes('+') || text.includes('#')
}

/**
 * The filter and the name must be valid. For a Shared Subscription the part after the share name is
 * matched.
 * @returns whether the filter matches the name. (4.7)
 */
export function matches(filter: string, topic: string): boolean {
  let f = isShared(filter) ? filter.indexOf('/', SHARE.length) + 1 : 0
  let t = 0
  // A filter that begins with a wildcard does not match a name that begins with $. [MQTT-4.7.2-1]
  if (topic.startsWith('$') && (filter.charCodeAt(f) === PLUS || filter.charCodeAt(f) === HASH)) {
    return false
  }
  for (;;) {
    if (filter.charCodeAt(f) === HASH) return true
    let filterEnd = filter.indexOf('/', f)
    if (filterEnd < 0) filterEnd = filter.length
    let topicEnd = topic.indexOf('/', t)
    if (topicEnd < 0) topicEnd = topic.length
    const any = filterEnd - f === 1 && filter.charCodeAt(f) === PLUS
    if (!any) {
      if (filterEnd - f !== topicEnd - t) return false
      for (let i = 0; f + i < filterEnd; i++) {
        if (filter.charCodeAt(f + i) !== topic.charCodeAt(t + i)) return false
      }
    }
    if (filterEnd === filter.length) return topicEnd === topic.length
    // a/# also matches a, because # includes the parent level.
    if (topicEnd === topic.length) {
      return filterEnd + 2 === filter.length && filter.charCodeAt(filterEnd + 1) === HASH
    }
    f = filterEnd + 1
    t = topicEnd + 1
  }
}
