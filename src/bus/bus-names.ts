/**
 * Which topics, client identifiers and names does a bus use? docs/WIRE.md has them for those who
 * write another side. Every text that stands in a topic is checked or percent-encoded here.
 */
import { UsageError, type UserProperties } from '../index.ts'

/** One level of a topic that is a name: of an API, an rpc, an event, a service, a listener. */
const LEVEL_NAME = /^[A-Za-z0-9_-]{1,100}$/
/** A level `v1` stands between the name of an API and what belongs to it. */
const MAJOR_LEVEL = /^v\d+$/
const API_NAME_LENGTH_MAX = 200
const PROCESS_NAME = /^[^\u0000-\u001f\u007f]{1,200}$/
const VERSION_PART = '(0|[1-9][0-9]{0,8})'
const VERSION_LABELS = '[0-9A-Za-z.-]{1,64}'
const SEMANTIC_VERSION = new RegExp(
  `^${VERSION_PART}[.]${VERSION_PART}[.]${VERSION_PART}(?:-${VERSION_LABELS})?(?:[+]${VERSION_LABELS})?$`,
)
/** More than this of a text does not stand in a message of an error. */
const SHOWN_LENGTH_MAX = 60

/** The User Properties that the bus uses beside those of requests. */
export const BUS_PROPERTIES = {
  key: 'itm-key',
  version: 'itm-version',
  by: 'itm-by',
  at: 'itm-at',
  topic: 'itm-topic',
  code: 'itm-code',
  message: 'itm-message',
  redrive: 'itm-redrive',
} as const

/** @returns a text as messages of errors show it. */
export function inQuotes(text: unknown): string {
  if (typeof text !== 'string') return text === null ? 'null' : `a value of type ${typeof text}`
  return JSON.stringify(
    text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text,
  )
}

/** @returns the name. @throws UsageError if it cannot be one level of a topic. */
export function checkBusName(what: string, name: unknown): string {
  if (isBusName(name)) return name
  const allowed = '1 to 100 of A-Z, a-z, 0-9, "_" and "-"'
  throw new UsageError(`${what} must be ${allowed}, not ${inQuotes(name)}`)
}

/** @returns whether a value is a name that can be one level of a topic. */
export function isBusName(name: unknown): name is string {
  return typeof name === 'string' && LEVEL_NAME.test(name)
}

/** @returns whether a value is a name that a process can have. */
export function isProcessName(name: unknown): name is string {
  return typeof name === 'string' && PROCESS_NAME.test(name)
}

/** @returns whether a value is a name that an API can have. */
export function isApiName(name: unknown): name is string {
  return apiNameFault(name) === null
}

/** @returns the name of an API, levels joined by `/`. @throws UsageError */
export function checkApiName(name: unknown, what = 'defineApi: the name'): string {
  const fault = apiNameFault(name)
  if (fault === null) return name as string
  throw new UsageError(`${what} ${inQuotes(name)} cannot be used: ${fault}`)
}

/** @returns why a value cannot be the name of an API, or null. */
export function apiNameFault(name: unknown): string | null {
  if (typeof name !== 'string' || name.length > API_NAME_LENGTH_MAX) {
    return `it must be a text of at most ${API_NAME_LENGTH_MAX} characters`
  }
  for (const level of name.split('/')) {
    if (!LEVEL_NAME.test(level)) {
      const instead = name.includes('.') ? '; write "/" in place of "."' : ''
      return `each level between "/" must be 1 to 100 of A-Z, a-z, 0-9, "_" and "-"${instead}`
    }
    if (MAJOR_LEVEL.test(level)) return 'levels such as "v1" stand for versions'
  }
  return name.startsWith('_') ? 'names that begin with "_" are for the bus itself' : null
}

/** @returns the levels before all topics of a bus. @throws UsageError */
export function checkBusPrefix(prefix: unknown): string {
  const isUsable =
    typeof prefix === 'string' &&
    prefix.length <= API_NAME_LENGTH_MAX &&
    prefix.split('/').every((level) => LEVEL_NAME.test(level))
  if (isUsable) return prefix
  const allowed = 'levels of A-Z, a-z, 0-9, "_" and "-", joined by "/"'
  throw new UsageError(`createBus: prefix must be ${allowed}, not ${inQuotes(prefix)}`)
}

/** @returns the number before the first dot, or null if the text is no semantic version. */
export function majorOf(version: unknown): number | null {
  if (typeof version !== 'string') return null
  const [, major] = SEMANTIC_VERSION.exec(version) ?? []
  return major === undefined ? null : Number(major)
}

/** @returns any text as one level of a topic: what it may not have is percent-encoded. */
export function busLevelOf(text: string): string {
  return text.replace(/[%/+#\u0000-\u001f\u007f]/g, (unit) => encodeURIComponent(unit))
}

/** @returns the text of a level; the level itself if it is not percent-encoded UTF-8. */
export function textOfLevel(level: string): string {
  if (!level.includes('%')) return level
  try {
    return decodeURIComponent(level)
  } catch {
    return level
  }
}

/** @returns the topic below which everything of one major version of an API lies. */
export function apiTopic(prefix: string, api: { readonly name: string; readonly major: number }) {
  return `${prefix}/${api.name}/v${api.major}`
}

/**
 * @returns the topic to which events are published. RabbitMQ turns the dots of a key into slashes,
 *   and NATS refuses filters that have any.
 */
export function eventTopic(base: string, event: string, key: string | undefined): string {
  const topic = `${base}/event/${event}`
  return key === undefined ? topic : `${topic}/${busLevelOf(key).replaceAll('.', '%2E')}`
}

/** A listener of a service, below a prefix. */
export interface ListenerName {
  readonly prefix: string
  readonly service: string
  readonly listener: string
}

/** @returns the topic below which the dead letters of a listener lie: `{api}/{event}`. */
export function deadTopics({ prefix, service, listener }: ListenerName): string {
  return `${prefix}/_dead/${service}/${listener}`
}

/** @returns the topic below which dead letters come back to their listener: `{api}/{event}`. */
export function redriveTopics({ prefix, service, listener }: ListenerName): string {
  return `${prefix}/_redrive/${service}/${listener}`
}

/** @returns the client identifier of the session that keeps dead letters. No process has it. */
export function deadKeeperId({ prefix, service, listener }: ListenerName): string {
  return `${prefix}._dead.${service}.${listener}`
}

/** @returns how often an event was put back, as it says. */
export function redriveCountIn(headers: UserProperties | undefined): number {
  const text = headers?.[BUS_PROPERTIES.redrive]
  return typeof text === 'string' && /^\d{1,9}$/.test(text) ? Number(text) : 0
}

/** @returns the topic of the schema document of a service. */
export function schemaTopic(base: string, service: string): string {
  return `${base}/schema/${service}`
}

/**
 * @returns the client identifier of a process, or of one of its listeners. The parts cannot have
 *   `.` and `@` (the last one may), so that no two of them are the same.
 */
export function busClientId(
  prefix: string,
  service: string,
  process: string,
  listener?: string,
): string {
  const name = listener === undefined ? service : `${service}.${listener}`
  return `${prefix}.${name}@${process}`
}

/** @returns the name of the Shared Subscription of all processes with a listener. */
export function listenerShare(service: string, listener: string): string {
  return `${service}.${listener}`
}
