/**
 * How do messages name a request: by what it does and its topic or filters, never by its payload?
 */
import type { SentRequest } from './vocabulary.ts'

/** How many filters of a request are named. */
const FILTERS_MAX = 3
/** How many characters of a topic or filter are shown. */
const TOPIC_CHARACTERS_MAX = 200

export function nameOfRequest(request: SentRequest): string {
  switch (request.cmd) {
    case 'publish':
      return `the publish to ${quoted(request.topic)} at QoS ${request.qos ?? 0}`
    case 'subscribe':
      return `the subscribe to ${filterList(request.subscriptions.map(({ topic }) => topic))}`
    case 'unsubscribe':
      return `the unsubscribe from ${filterList(request.unsubscriptions)}`
  }
}

export function filterList(filters: readonly string[]): string {
  const named = filters.slice(0, FILTERS_MAX).map(quoted).join(', ')
  const left = filters.length - FILTERS_MAX
  return left > 0 ? `${named} and ${left} others` : named
}

/** Control characters are escaped, because the text is printed. */
export function quoted(text: string): string {
  const isLong = text.length > TOPIC_CHARACTERS_MAX
  return JSON.stringify(isLong ? `${text.slice(0, TOPIC_CHARACTERS_MAX)}…` : text)
}
