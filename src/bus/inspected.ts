/**
 * What is a message of a bus for somebody who only looks on? Its topic says whether it is an event,
 * a dead letter or a schema document. Nothing that others send is trusted.
 */
import type { Message } from '../client/index.ts'
import { UsageError } from '../index.ts'
import {
  BUS_PROPERTIES,
  checkApiName,
  checkBusPrefix,
  isApiName,
  isBusName,
  redriveCountIn,
  textOfLevel,
} from './bus-names.ts'
import { headerOf } from './bus-parts.ts'
import { checkFieldNames } from './define-api.ts'
import { envelopeOf } from './event-envelope.ts'

/** How many levels the names of APIs have that are found without their names. */
const INSPECTED_LEVELS_MAX = 8
/** The longest text of another process that is shown of what it says about a message. */
const SAID_LENGTH_MAX = 4096
const MAJOR_VERSION = /^v(\d{1,9})$/
const INSPECTED_KINDS: readonly InspectedKind[] = ['event', 'dead', 'schema']

/** What can be looked at: events, dead letters, schema documents. */
export type InspectedKind = 'event' | 'dead' | 'schema'

/** The options of `inspectFilters()`. */
export interface InspectOptions {
  /** The levels before all topics. Default `bus`. */
  readonly prefix?: string | undefined
  /** The name of the only API. Default: all APIs whose names have at most 8 levels. */
  readonly api?: string | undefined
  /** What is looked at. Default: everything. */
  readonly kinds?: readonly InspectedKind[] | undefined
}

/** What is said of an event, by the one who fired it. */
interface InspectedClaims {
  /** The name of this very event, or null. */
  readonly id: string | null
  /** The version of the sender's API, as it says, or null. */
  readonly version: string | null
  /** Who fired it, as `service/process`: a claim. Null if nobody says so. */
  readonly by: string | null
  /** When the sender claims to have fired it, in ms since 1970, or null. */
  readonly firedAt: number | null
}

/** An event, as somebody sees it who looks on. */
export interface InspectedEvent extends InspectedClaims {
  /** What it is. */
  readonly kind: 'event'
  /** The name of the API. */
  readonly api: string
  /** The major version of the API. */
  readonly major: number
  /** The name of the event. */
  readonly event: string
  /** The last level of the topic, or null. */
  readonly key: string | null
}

/** A dead letter, as somebody sees it who looks on. */
export interface InspectedLetter extends InspectedClaims {
  /** What it is. */
  readonly kind: 'dead'
  /** The service that has the listener. */
  readonly service: string
  /** The listener that did not handle the event. */
  readonly listener: string
  /** The name of the API. */
  readonly api: string
  /** The name of the event. */
  readonly event: string
  /** The code of the error for which it was not handled, or null. */
  readonly code: string | null
  /** The text of that error, or null. */
  readonly message: string | null
  /** How often it was put back. */
  readonly redriven: number
}

/** A topic of a schema document. `loadSchema()` reads the payload; an empty one is a removal. */
export interface InspectedSchema {
  /** What it is. */
  readonly kind: 'schema'
  /** The name of the API. */
  readonly api: string
  /** The major version of the API. */
  readonly major: number
  /** The service that serves it. */
  readonly service: string
}

/**
 * @returns the Topic Filters of what can be looked at. To subscribe to them takes nothing from
 *   anybody, but the server then no longer says of an event or a dead letter that nobody gets it.
 * @throws UsageError for an option that cannot be used.
 */
export function inspectFilters(options: InspectOptions = {}): readonly string[] {
  checkFieldNames('inspectFilters', options, ['prefix', 'api', 'kinds'])
  const { api, kinds = INSPECTED_KINDS } = options
  const prefix = checkBusPrefix(options.prefix ?? 'bus')
  if (api !== undefined) checkApiName(api, 'inspectFilters: api')
  if (!Array.isArray(kinds) || kinds.some((kind) => !INSPECTED_KINDS.includes(kind))) {
    throw new UsageError(`inspectFilters: kinds must be an array of ${INSPECTED_KINDS.join(', ')}`)
  }
  const anyName = (_: unknown, more: number) => '+/'.repeat(more).concat('+')
  const names = api === undefined ? Array.from({ length: INSPECTED_LEVELS_MAX }, anyName) : [api]
  const filters: Readonly<Record<InspectedKind, readonly string[]>> = {
    event: names.map((name) => `${prefix}/${name}/+/event/#`),
    dead: [`${prefix}/_dead/+/+/${api === undefined ? '#' : `${api}/+`}`],
    schema: names.map((name) => `${prefix}/${name}/+/schema/+`),
  }
  return INSPECTED_KINDS.filter((kind) => kinds.includes(kind)).flatMap((kind) => filters[kind])
}

/**
 * @param prefix the levels before all topics of the bus.
 * @returns what a message of a bus is; null for one that is none of these.
 */
export function inspectMessage(
  message: Pick<Message, 'topic' | 'payload' | 'properties'>,
  prefix = 'bus',
): InspectedEvent | InspectedLetter | InspectedSchema | null {
  if (!message.topic.startsWith(`${prefix}/`)) return null
  const levels = message.topic.slice(prefix.length + 1).split('/')
  if (levels[0] === '_dead') return letterAt(levels.slice(1), message)
  const at = levels.findIndex((level) => MAJOR_VERSION.test(level))
  const [kind, name = '', ...rest] = levels.slice(at + 1)
  const api = levels.slice(0, Math.max(at, 0)).join('/')
  if (!isApiName(api) || !isBusName(name)) return null
  const major = Number(levels[at]!.slice(1))
  if (kind === 'schema' && rest.length === 0) return { kind, api, major, service: name }
  if (kind !== 'event' || rest.length > 1) return null
  const key = rest[0] === undefined ? null : textOfLevel(rest[0])
  return { kind, api, major, event: name, key, ...claimsOf(message) }
}

function letterAt(
  levels: readonly string[],
  message: Pick<Message, 'topic' | 'payload' | 'properties'>,
): InspectedLetter | null {
  const [service, listener, ...rest] = levels
  const event = rest.pop()
  const api = rest.join('/')
  if (!isBusName(service) || !isBusName(listener) || !isBusName(event) || !isApiName(api)) {
    return null
  }
  const headers = message.properties?.userProperties
  const said = (name: string) => headerOf(headers, name)?.slice(0, SAID_LENGTH_MAX) ?? null
  // What takes a retained letter away says nothing of itself.
  if (message.payload.length === 0 && said(BUS_PROPERTIES.topic) === null) return null
  return {
    ...{ kind: 'dead', service, listener, api, event, ...claimsOf(message) },
    ...{ code: said(BUS_PROPERTIES.code), message: said(BUS_PROPERTIES.message) },
    redriven: redriveCountIn(headers),
  }
}

function claimsOf(message: Pick<Message, 'topic' | 'payload' | 'properties'>): InspectedClaims {
  const { id, version, by, firedAt } = envelopeOf(message)
  const said = (text: string | null) => text?.slice(0, SAID_LENGTH_MAX) ?? null
  return { id: said(id), version, by: said(by), firedAt }
}
