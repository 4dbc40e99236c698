/**
 * What does an event look like as a CloudEvent (version 1.0), and what does one of anybody say? We
 * send the binary mode of the protocol binding for MQTT 5; the structured mode in JSON is read too.
 */
import { type Codec, json } from '../client/index.ts'
import type { PublishProperties, UserProperties } from '../index.ts'
import { BUS_PROPERTIES, majorOf } from './bus-names.ts'

const SPEC_VERSION = '1.0'
/** Names of attributes have small letters and digits only. */
const OWN_ATTRIBUTES = { version: 'itmversion', by: 'itmby' } as const
/** Those that are read here. */
const READ_ATTRIBUTES = [
  ...(['specversion', 'id', 'source', 'type', 'time'] as const),
  ...([OWN_ATTRIBUTES.version, OWN_ATTRIBUTES.by] as const),
]
const REPLACED: ReadonlySet<string> = new Set([
  ...READ_ATTRIBUTES,
  ...[BUS_PROPERTIES.key, BUS_PROPERTIES.version, BUS_PROPERTIES.by, BUS_PROPERTIES.at],
])
const STRUCTURED = /^application\/cloudevents/i
const STRUCTURED_JSON = /^application\/cloudevents\+json *(?:;|$)/i
const JSON_TYPE = /^[^/;]+\/(?:[^;]*\+)?json *(?:;|$)/i
/** RFC 3339. Whether there is such a day is for `Date.parse()`. */
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i
const REFERENCE = /^[^\s"<>\\^`{|}\u0000-\u001f\u007f]+$/
/** What a text of a CloudEvent may not have. */
const CONTROL_UNITS = /[\u0000-\u001f\u007f-\u009f]/g

/** An event that is about to be sent. */
interface SentEvent {
  readonly id: string
  /** Its API and its name. */
  readonly api: { readonly name: string; readonly version: string; readonly major: number }
  readonly name: string
  /** When it is fired, in ms since 1970. */
  readonly at: number
  /** Given by the user. */
  readonly headers: UserProperties | undefined
}

/** @returns whether a value is the name of an envelope. */
export function isEnvelopeName(name: unknown): name is 'itm' | 'cloudevents' {
  return name === 'itm' || name === 'cloudevents'
}

/** @returns the attribute `type` of an event. */
export function cloudEventType(
  api: { readonly name: string; readonly major: number },
  event: string,
): string {
  return `${api.name.replaceAll('/', '.')}.v${api.major}.${event}`
}

/** @returns whether a text can be an attribute of a CloudEvent. */
export function isAttributeText(text: string): boolean {
  return text.search(CONTROL_UNITS) < 0
}

/**
 * @returns the User Properties of an event as a CloudEvent in binary mode. The source is the
 *   service and not the process: an event that is fired again by another one is the same.
 */
export function cloudEventHeaders(
  bus: { readonly prefix: string; readonly service: string; readonly by: string },
  { id, api, name, at, headers = {} }: SentEvent,
): UserProperties {
  const time = new Date(at).toISOString()
  const given = Object.entries(headers).filter(([header]) => !REPLACED.has(header))
  return {
    ...(Object.fromEntries(given) as UserProperties),
    ...{ specversion: SPEC_VERSION, id, source: `/${bus.prefix}/${bus.service}` },
    type: cloudEventType(api, name),
    // A clock can be beyond the years that a timestamp has; the attribute may be left out.
    ...(TIMESTAMP.test(time) ? { time } : {}),
    [OWN_ATTRIBUTES.version]: api.version,
    [OWN_ATTRIBUTES.by]: bus.by.replace(CONTROL_UNITS, (unit) => encodeURIComponent(unit)),
  }
}

/** @returns whether a message is a CloudEvent. Events of our own envelope may have any headers. */
export function isCloudEvent(properties: PublishProperties | undefined): boolean {
  const { contentType, userProperties = {} } = properties ?? {}
  if (Object.hasOwn(userProperties, BUS_PROPERTIES.key)) return false
  return Object.hasOwn(userProperties, 'specversion') || STRUCTURED.test(contentType ?? '')
}

/** What a CloudEvent says of itself: values are texts, or arrays if they stand several times. */
type EventAttributes = Readonly<Record<string, unknown>>

/** A CloudEvent that came. */
export class CloudEvent {
  readonly #topic: string
  readonly #payload: Uint8Array
  readonly #properties: PublishProperties
  /** What the payload says in structured mode; null in binary mode. */
  readonly #body: EventAttributes | null
  readonly #attributes: EventAttributes
  /** Why it is none, or null. */
  readonly fault: string | null

  constructor(topic: string, payload: Uint8Array, properties: PublishProperties = {}) {
    this.#topic = topic
    this.#payload = payload
    this.#properties = properties
    const { contentType = '', userProperties = {} } = properties
    if (STRUCTURED.test(contentType)) {
      const body = STRUCTURED_JSON.test(contentType) ? bodyIn(payload, topic) : 'is not in JSON'
      this.#body = typeof body === 'string' ? {} : body
      this.#attributes = this.#body
      this.fault = typeof body === 'string' ? body : (attributeFault(body) ?? dataFault(body))
      return
    }
    this.#body = null
    this.#attributes = userProperties as EventAttributes
    this.fault = attributeFault(this.#attributes)
  }

  get id(): string | null {
    return this.#text('id')
  }

  get source(): string | null {
    return this.#text('source')
  }

  get version(): string | null {
    const version = this.#text(OWN_ATTRIBUTES.version)
    return majorOf(version) === null ? null : version
  }

  /** Who fired it: only buses say which process. */
  get by(): string | null {
    return this.#text(OWN_ATTRIBUTES.by) ?? this.source
  }

  get firedAt(): number | null {
    const at = Date.parse(this.#text('time') ?? '')
    return Number.isNaN(at) || this.fault !== null ? null : at
  }

  /** The User Properties, and what stands in the payload in their place. */
  get headers(): UserProperties {
    const { userProperties = {} } = this.#properties
    if (this.#body === null) return userProperties
    const { data, data_base64, ...attributes } = this.#body
    const texts = Object.entries(attributes).flatMap(([name, value]) =>
      value === null || typeof value === 'object' ? [] : [[name, String(value)] as const],
    )
    return { ...userProperties, ...Object.fromEntries(texts) }
  }

  /** @returns the value. @throws what the codec throws. */
  decode(codec: Codec<unknown>): unknown {
    const properties = this.#properties
    const topic = this.#topic
    if (this.#body === null) return codec.decode(this.#payload, { topic, properties })
    const { data, data_base64: base64, datacontenttype: type } = this.#body
    const contentType = typeof type === 'string' ? type : 'application/json'
    const decoded = (bytes: Uint8Array) =>
      codec.decode(bytes, { topic, properties: { ...properties, contentType } })
    if (typeof base64 === 'string') return decoded(base64Data(base64)!)
    // In JSON it is the value itself, whatever the codec of the bus is.
    if (typeof data !== 'string' || JSON_TYPE.test(contentType)) return data
    return decoded(new TextEncoder().encode(data))
  }

  #text(name: string): string | null {
    const value = Object.hasOwn(this.#attributes, name) ? this.#attributes[name] : null
    return typeof value === 'string' && value !== '' ? value : null
  }
}

/** @returns why attributes are not those of a CloudEvent, or null. */
function attributeFault(attributes: EventAttributes): string | null {
  const given = (name: string) => (Object.hasOwn(attributes, name) ? attributes[name] : undefined)
  const repeated = READ_ATTRIBUTES.find((name) => Array.isArray(given(name)))
  if (repeated !== undefined) return `has more than one ${repeated}`
  if (given('specversion') !== SPEC_VERSION) return `has no specversion ${SPEC_VERSION}`
  for (const name of ['id', 'source', 'type']) {
    const value = given(name)
    if (typeof value !== 'string' || value === '') return `has no ${name}`
  }
  if (!REFERENCE.test(given('source') as string)) return 'has a source that is no URI reference'
  const time = given('time') ?? null
  const isTime =
    time === null ||
    (typeof time === 'string' && TIMESTAMP.test(time) && !Number.isNaN(Date.parse(time)))
  return isTime ? null : 'has a time that is not as in RFC 3339'
}

/** @returns why the data of the structured mode cannot be read, or null. */
function dataFault({ data, data_base64: base64 }: EventAttributes): string | null {
  if (base64 === undefined || base64 === null) return null
  if (data !== undefined) return 'has both data and data_base64'
  const isBytes = typeof base64 === 'string' && base64Data(base64) !== null
  return isBytes ? null : 'has a data_base64 that is not Base64'
}

/** @returns what a payload in structured mode says, or why it says nothing. */
function bodyIn(payload: Uint8Array, topic: string): EventAttributes | string {
  try {
    const body = json.decode(payload, { topic })
    const isTable = typeof body === 'object' && body !== null && !Array.isArray(body)
    return isTable ? (body as EventAttributes) : 'is no JSON object'
  } catch {
    return 'is not in JSON'
  }
}

function base64Data(base64: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(base64), (unit) => unit.charCodeAt(0))
  } catch {
    return null
  }
}
