/**
 * Which events has a stream, and how do they become messages and values? The definitions stand in
 * place of generated code: a Standard Schema for the payload and one for the headers.
 */
import type { Codec, SchemaInput, SchemaOutput, StandardSchema } from '../client/index.ts'
import { type PayloadIssue, ProtocolError, UsageError } from '../index.ts'
import type {
  HeaderInput,
  HeadersInput,
  HeaderValue,
  MessageInput,
  StreamMessage,
} from './codec/header-values.ts'
import { typeNameOf } from './codec/message-encoder.ts'

/** How one event is carried. One without `payload` and `codec` has no payload. */
export interface EventDefinition {
  /**
   * Validates the value, both ways, before it is encoded and after it was decoded. It must be
   * synchronous.
   */
  readonly payload?: StandardSchema | undefined
  /**
   * Validates the headers that do not begin with `:`, as an object of plain values. Default: they
   * are given as they are, in a `Map`.
   */
  readonly headers?: StandardSchema | undefined
  /** Converts between value and payload, such as `text` of the client. Default: JSON. */
  readonly codec?: Codec<unknown, never> | undefined
  /** The header `:content-type`. Default: that of the codec, or `application/json`. */
  readonly contentType?: string | undefined
}

/** Definitions by name. */
export type EventDefinitions = Readonly<Record<string, EventDefinition>>

interface HasPayload<S extends StandardSchema> {
  readonly payload: S
}

interface HasHeaders<S extends StandardSchema> {
  readonly headers: S
}

interface Decodes<Value> {
  readonly codec: Codec<Value, never>
}

interface Encodes<Sent> {
  readonly codec: { encode(value: Sent): Uint8Array | string }
}

/** The value that is received of an event. */
export type EventValue<D> =
  D extends HasPayload<infer S>
    ? SchemaOutput<S>
    : D extends Decodes<infer Value>
      ? Value
      : undefined

/** The value that is sent of an event. */
export type SentValue<D> =
  D extends HasPayload<infer S> ? SchemaInput<S> : D extends Encodes<infer Sent> ? Sent : undefined

/** The headers that are received of an event. */
export type EventHeaders<D> =
  D extends HasHeaders<infer S> ? SchemaOutput<S> : ReadonlyMap<string, HeaderValue>

/** One event of a stream; the union tells them apart by `type`. */
export type EventOf<Events extends EventDefinitions> = {
  [Name in keyof Events & string]: {
    /** The name of the event, from `:event-type`. */
    readonly type: Name
    /** The decoded and validated payload. */
    readonly value: EventValue<Events[Name]>
    /** The headers that do not begin with `:`. */
    readonly headers: EventHeaders<Events[Name]>
  }
}[keyof Events & string]

/** What a stream has beside its events. */
export interface OtherDefinitions {
  /** Messages of type `exception`, by name. Those that are not defined here are decoded as JSON. */
  readonly exceptions?: EventDefinitions | undefined
  /** The first message of the client, `initial-request`. Default: there is none. */
  readonly initialRequest?: EventDefinition | undefined
  /** The first message of the server, `initial-response`. Default: none is expected. */
  readonly initialResponse?: EventDefinition | undefined
}

/** What `defineEvents()` returns. */
export interface EventSet<
  Events extends EventDefinitions = EventDefinitions,
  Others extends OtherDefinitions = OtherDefinitions,
> {
  /** The events, by name. */
  readonly events: Events
  /** The exceptions and the initial messages. */
  readonly others: Others
}

/**
 * Defines the events of a stream, and with them its types.
 * @param events each event by its name on the wire. The types of what is received and sent come
 *   from the schemas.
 * @param others exceptions, and the first message of either side.
 * @throws UsageError if a definition is none.
 */
export function defineEvents<
  const Events extends EventDefinitions,
  const Others extends OtherDefinitions = Record<never, never>,
>(events: Events, others?: Others): EventSet<Events, Others> {
  const rest: OtherDefinitions = others ?? {}
  const initials = { initialRequest: rest.initialRequest, initialResponse: rest.initialResponse }
  for (const named of [events, rest.exceptions ?? {}, initials]) {
    for (const [name, definition] of Object.entries(named)) {
      if (definition !== undefined) checkDefinition(name, definition)
    }
  }
  return { events, others: rest as Others }
}

function checkDefinition(name: string, definition: EventDefinition): void {
  const wrong = (problem: string) => new UsageError(`the event "${name}" ${problem}`)
  if (typeof definition !== 'object' || definition === null) {
    throw wrong(`must be an object with payload, headers, codec or contentType`)
  }
  for (const part of ['payload', 'headers'] as const) {
    const schema: Partial<StandardSchema> | undefined = definition[part]
    if (schema !== undefined && typeof schema['~standard']?.validate !== 'function') {
      throw wrong(`must have a Standard Schema in ${part}`)
    }
  }
}

/** Payload format invalid (2.4). */
const FORMAT_INVALID = 0x99

/** @returns the error of a received event whose payload or headers cannot be used. */
function unusable(
  name: string,
  problem: string,
  details: { readonly issues?: readonly PayloadIssue[] } = {},
): ProtocolError {
  return new ProtocolError(`the event "${name}" was received and ${problem}`, {
    code: 'INVALID_PAYLOAD',
    reasonCode: FORMAT_INVALID,
    clause: 'event payload',
    retryable: false,
    ...details,
  })
}

/** More issues help nobody. */
const ISSUES_MAX = 100

/** @returns the value that the schema makes, or where it is wrong. Texts of schemas hold values. */
function validated(
  schema: StandardSchema,
  value: unknown,
): { readonly value?: unknown; readonly issues?: readonly PayloadIssue[] } {
  const result = schema['~standard'].validate(value)
  if ('then' in result) {
    result.then(undefined, () => {})
    throw new UsageError('the schema of an event must validate synchronously')
  }
  if (!result.issues) return { value: result.value }
  const issues = result.issues.slice(0, ISSUES_MAX).map(({ path = [] }) => ({
    path: path.map((part) => {
      const key = typeof part === 'object' ? part.key : part
      return typeof key === 'number' ? key : String(key)
    }),
    message: 'does not fit the schema',
  }))
  return { issues }
}

const where = (issues: readonly PayloadIssue[]) =>
  // Keys may be texts of others.
  issues.map(({ path }) => path.join('.').slice(0, 80) || '(top)').join(', ')

const jsonDecoder = new TextDecoder('utf-8', { fatal: true })
const jsonEncoder = new TextEncoder()

function payloadValue(name: string, definition: EventDefinition, payload: Uint8Array): unknown {
  const { payload: schema, codec } = definition
  if (schema === undefined && codec === undefined) return undefined
  let value: unknown
  try {
    // What the codecs of the client are told of a message.
    if (codec !== undefined) value = codec.decode(payload, { topic: name })
    else value = JSON.parse(jsonDecoder.decode(payload))
  } catch {
    // Without the cause: the text of a parser repeats parts of the payload.
    throw unusable(name, `its payload of ${payload.length} bytes cannot be decoded`)
  }
  if (schema === undefined) return value
  const { value: made, issues } = validated(schema, value)
  if (issues === undefined) return made
  throw unusable(name, `its payload does not fit its schema at ${where(issues)}`, { issues })
}

/** @returns the headers that belong to the event and not to the format. */
function ownHeaders(name: string, definition: EventDefinition, message: StreamMessage): unknown {
  const own = [...message.headers].filter(([key]) => !key.startsWith(':'))
  if (definition.headers === undefined) return new Map(own)
  const plain = Object.fromEntries(own.map(([key, { value }]) => [key, value]))
  const { value, issues } = validated(definition.headers, plain)
  if (issues === undefined) return value
  throw unusable(name, `its headers do not fit their schema at ${where(issues)}`, { issues })
}

/** @throws ProtocolError `INVALID_PAYLOAD` */
export function decodeEvent(
  name: string,
  definition: EventDefinition,
  message: StreamMessage,
): { readonly value: unknown; readonly headers: unknown } {
  const value = payloadValue(name, definition, message.payload)
  return { value, headers: ownHeaders(name, definition, message) }
}

/** @throws UsageError if the value or a header cannot be sent */
export function encodeEvent(
  kind: 'event' | 'exception',
  name: string,
  definition: EventDefinition,
  value: unknown,
  headers: HeadersInput | undefined,
): MessageInput {
  const { payload: schema, headers: headersSchema, codec } = definition
  const own: readonly [string, HeaderInput][] =
    headers instanceof Map ? [...headers] : Object.entries(headers ?? {})
  const reserved = own.find(([key]) => key.startsWith(':'))
  if (reserved !== undefined) {
    throw new UsageError(`the header "${reserved[0]}" begins with ":", which is for the format`)
  }
  if (headersSchema !== undefined) {
    const plain = Object.fromEntries(own.map(([key, given]) => [key, plainValue(given)]))
    refuseUnfit(name, 'headers', validated(headersSchema, plain).issues)
  }
  if (schema !== undefined) refuseUnfit(name, 'value', validated(schema, value).issues)
  const hasPayload = schema !== undefined || codec !== undefined
  const contentType =
    definition.contentType ?? (codec === undefined ? 'application/json' : codec.contentType)
  const all = new Map<string, HeaderInput>([
    [':message-type', kind],
    [kind === 'event' ? ':event-type' : ':exception-type', name],
  ])
  if (hasPayload && contentType !== undefined) all.set(':content-type', contentType)
  for (const [key, given] of own) all.set(key, given)
  return { headers: all, payload: hasPayload ? eventPayload(name, codec, value) : undefined }
}

function plainValue(given: HeaderInput): unknown {
  const isTyped = typeof given === 'object' && given !== null && 'type' in given
  return isTyped ? given.value : given
}

function refuseUnfit(
  name: string,
  part: string,
  issues: readonly PayloadIssue[] | undefined,
): void {
  if (issues === undefined) return
  const text = `the ${part} of the event "${name}" does not fit the schema at ${where(issues)}`
  throw new UsageError(text, { code: 'INVALID_PAYLOAD', issues })
}

function eventPayload(name: string, codec: Codec<unknown, never> | undefined, value: unknown) {
  if (codec !== undefined) {
    const payload = codec.encode(value as never)
    return typeof payload === 'string' ? jsonEncoder.encode(payload) : payload
  }
  const text: string | undefined = JSON.stringify(value)
  if (text !== undefined) return jsonEncoder.encode(text)
  throw new UsageError(
    `the value of the event "${name}" is ${typeNameOf(value)}, which JSON has not`,
  )
}
