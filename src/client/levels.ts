/**
 * How is a Topic Filter taken apart into levels, what may stand in a level, and how does a message
 * name a text? (4.7, 4.8.2)
 */

/** The code of `/`, which separates levels. [4.7.1.1] */
export const SEPARATOR_CODE = 0x2f

/** The code of `$`: names that begin with it are the server's own. [MQTT-4.7.2-1] */
export const DOLLAR_CODE = 0x24

const SHARE_PREFIX = '$share/'

/**
 * @returns how much of a filter is `$share/name/`, which names a Shared Subscription and takes no
 *   part in matching: 0 for any other filter, and for `$share/name` with nothing behind it. (4.8.2)
 */
export function shareLength(filter: string): number {
  return filter.startsWith(SHARE_PREFIX) ? filter.indexOf('/', SHARE_PREFIX.length) + 1 : 0
}

/** @returns the levels of a filter, without those of `$share/name/`. */
export function matchedLevels(filter: string): readonly string[] {
  return filter.slice(shareLength(filter)).split('/')
}

/** @returns where the level ends that begins at `start`. */
export function endOfLevel(topic: string, start: number): number {
  const end = topic.indexOf('/', start)
  return end < 0 ? topic.length : end
}

/** A message shows so many characters of a text; a topic can have 65,535 bytes. */
const SHOWN_MAX = 80

/** @returns a text as messages show it: in quotes, escaped, and not longer than is useful. */
export function shownText(text: string): string {
  return JSON.stringify(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text)
}

/**
 * @returns one level of a topic: what it may not have is percent-encoded, and dots, which RabbitMQ
 *   turns into slashes, and for which NATS refuses a filter.
 */
export function encodeLevel(text: string): string {
  return text.replace(/[%/+#.\u0000-\u001f\u007f]/g, (unit) =>
    unit === '.' ? '%2E' : encodeURIComponent(unit),
  )
}
