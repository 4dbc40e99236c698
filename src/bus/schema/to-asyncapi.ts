/**
 * What does a service look like in AsyncAPI 3? Channels are topics, and operations are what the
 * service does: it receives calls and replies, and sends events. What AsyncAPI has no words for
 * stands in `x-it-mqtt`, from which `fromAsyncApi()` reads the same APIs.
 */
import { UsageError } from '../../index.ts'
import type { Api, ApiEvent, ApiRpc, ApiSchema } from '../api-types.ts'
import { apiTopic, checkBusPrefix, eventTopic } from '../bus-names.ts'
import type { BusOptions } from '../bus-types.ts'
import { cloudEventType, isEnvelopeName } from '../cloud-event.ts'
import { checkApi, checkFieldNames } from '../define-api.ts'
import { componentOf, SCHEMAS_AT } from './asyncapi-refs.ts'
import { documentedServers } from './asyncapi-servers.ts'
import { canonicalText } from './canonical-json.ts'
import { jsonFormOf } from './json-form.ts'

/** The options of `toAsyncApi()`. */
export interface AsyncApiOptions {
  /** URLs of servers, by any name. User names, passwords and queries are left out. */
  readonly servers?: Readonly<Record<string, string | URL>> | undefined
  /** The levels before all topics. Default `bus`. */
  readonly prefix?: string | undefined
  /** The title of the document. Default: the names of the APIs. */
  readonly title?: string | undefined
  /** The version of the document. Default: that of the first API. */
  readonly version?: string | undefined
  /** The `envelope` of the bus that fires the events: it says which headers they have. */
  readonly envelope?: BusOptions['envelope']
}

/** An AsyncAPI document, as plain data. */
export interface AsyncApiDocument {
  /** The version of AsyncAPI. */
  readonly asyncapi: '3.1.0'
  /** The other fields. */
  readonly [field: string]: unknown
}

type AsyncApiTable = Record<string, unknown>

const ASYNCAPI_OPTIONS = ['servers', 'prefix', 'title', 'version', 'envelope']
const BINDING = { bindingVersion: '0.2.0' }
const RESPONSE_TOPIC = '$message.header#/responseTopic'

/**
 * Makes an AsyncAPI 3.1 document of APIs, from the side of the service. Schemas are those of the
 * values as they travel; one without a JSON Schema form is left out.
 * @throws UsageError if the same API and major version is given twice; for an option that cannot be
 *   used; for a JSON Schema that is not JSON, or whose `$ref` is no JSON Pointer.
 */
export function toAsyncApi(apis: readonly Api[], options: AsyncApiOptions = {}): AsyncApiDocument {
  checkFieldNames('toAsyncApi: options', options, ASYNCAPI_OPTIONS)
  if (!Array.isArray(apis) || apis.length === 0) {
    throw new UsageError('toAsyncApi: an array of at least one API is needed')
  }
  const all: readonly Api[] = apis
  for (const api of all) checkApi('toAsyncApi', api)
  const prefix = checkBusPrefix(options.prefix ?? 'bus')
  const { title = all.map(({ name }) => name).join(', '), version = all[0]!.version } = options
  const { envelope = 'itm' } = options
  if (!isEnvelopeName(envelope)) {
    throw new UsageError('toAsyncApi: envelope must be one of itm, cloudevents')
  }
  const writer = new AsyncApiWriter(prefix, envelope === 'cloudevents')
  for (const api of all) writer.api(api)
  const { channels, operations, messages, schemas } = writer
  const servers = documentedServers(options.servers ?? {})
  const document = {
    asyncapi: '3.1.0',
    info: { title, version, ...(all.length === 1 ? descriptionOf(all[0]!) : {}) },
    defaultContentType: 'application/json',
    ...(Object.keys(servers).length === 0 ? {} : { servers }),
    ...{ channels, operations, components: { messages, schemas } },
    'x-it-mqtt': {
      prefix,
      apis: all.map((api) => ({ name: api.name, version: api.version, ...descriptionOf(api) })),
    },
  }
  return document as AsyncApiDocument
}

function descriptionOf({
  description,
}: {
  readonly description?: string | undefined
}): AsyncApiTable {
  return description === undefined || description === '' ? {} : { description }
}

/** What is said of one message. */
interface MessageParts {
  readonly kind: 'request' | 'reply' | 'event'
  readonly schema: ApiSchema | undefined
  readonly error?: string
  /** The type of an event that is a CloudEvent. */
  readonly type?: string | undefined
}

class AsyncApiWriter {
  readonly channels: AsyncApiTable = {}
  readonly operations: AsyncApiTable = {}
  readonly messages: AsyncApiTable = {}
  readonly schemas: AsyncApiTable = {}
  readonly #prefix: string
  readonly #isCloud: boolean

  constructor(prefix: string, isCloud: boolean) {
    this.#prefix = prefix
    this.#isCloud = isCloud
  }

  api(api: Api): void {
    const id = `${api.name.replaceAll('/', '.')}.v${api.major}`
    const base = apiTopic(this.#prefix, api)
    const of = { api: api.name, major: api.major }
    if (id in this.channels) {
      throw new UsageError(`toAsyncApi: ${api.name} ${api.major} is given twice`)
    }
    for (const name of Object.keys(api.rpcs)) this.#rpc(id, base, name, api.rpcs[name]!, of)
    for (const name of Object.keys(api.events)) this.#event(id, api, name, of)
  }

  #rpc(api: string, base: string, name: string, rpc: ApiRpc, of: AsyncApiTable): void {
    const id = `${api}.rpc.${name}`
    const reply = `${id}.reply`
    this.#channel(id, `${base}/rpc/${name}`, [
      this.#message(`${id}.input`, { kind: 'request', schema: rpc.input }),
    ])
    const answers = [this.#message(`${id}.output`, { kind: 'reply', schema: rpc.output })]
    for (const [error, schema] of Object.entries(rpc.errors ?? {})) {
      answers.push(this.#message(`${id}.error.${error}`, { kind: 'reply', schema, error }))
    }
    // The address of a reply is that of its request.
    this.#channel(reply, null, answers)
    this.operations[id] = {
      action: 'receive',
      channel: { $ref: `#/channels/${id}` },
      ...descriptionOf(rpc),
      messages: [{ $ref: `#/channels/${id}/messages/${id}.input` }],
      reply: {
        address: { location: RESPONSE_TOPIC },
        channel: { $ref: `#/channels/${reply}` },
        messages: answers.map((message) => ({ $ref: `#/channels/${reply}/messages/${message}` })),
      },
      bindings: {
        mqtt: {
          ...{ qos: 1, retain: false, ...BINDING },
          messageExpiryInterval: { type: 'integer', minimum: 1 },
        },
      },
      'x-it-mqtt': { ...of, rpc: name, ...(rpc.idempotent === true ? { idempotent: true } : {}) },
    }
  }

  #event(prefix: string, api: Api, name: string, of: AsyncApiTable): void {
    const id = `${prefix}.event.${name}`
    const event: ApiEvent = api.events[name]!
    const type = this.#isCloud ? cloudEventType(api, name) : undefined
    const message = this.#message(`${id}.payload`, { kind: 'event', schema: event.payload, type })
    this.#channel(id, eventTopic(apiTopic(this.#prefix, api), name, undefined), [message])
    this.operations[id] = {
      action: 'send',
      channel: { $ref: `#/channels/${id}` },
      ...descriptionOf(event),
      messages: [{ $ref: `#/channels/${id}/messages/${message}` }],
      bindings: { mqtt: { qos: 1, retain: false, ...BINDING } },
      'x-it-mqtt': { ...of, event: name },
    }
  }

  #channel(id: string, address: string | null, messages: readonly string[]): void {
    if (id in this.channels) throw new UsageError(`toAsyncApi: ${id} is given twice`)
    this.channels[id] = {
      address,
      messages: Object.fromEntries(
        messages.map((message) => [message, { $ref: `#/components/messages/${message}` }]),
      ),
    }
  }

  /** @returns the name of the message among the components. */
  #message(name: string, { kind, schema, error, type }: MessageParts): string {
    const form = schema === undefined ? undefined : jsonFormOf(schema)
    const marks = {
      ...(error === undefined ? {} : { error }),
      // There is a value, and no JSON Schema of it.
      ...(form === null ? { schema: null } : {}),
    }
    this.messages[name] = {
      name,
      ...(schema === undefined ? {} : { contentType: 'application/json' }),
      headers: type === undefined ? MESSAGE_HEADERS[kind] : cloudHeaders(type),
      ...(kind === 'event'
        ? {}
        : { correlationId: { location: '$message.header#/correlationData' } }),
      ...(form === undefined || form === null ? {} : this.#payload(name, form)),
      bindings: { mqtt: { payloadFormatIndicator: 1, ...BINDING } },
      ...(Object.keys(marks).length === 0 ? {} : { 'x-it-mqtt': marks }),
    }
    return name
  }

  #payload(name: string, form: object): AsyncApiTable {
    const copy = JSON.parse(canonicalText(`toAsyncApi: ${name}`, form)) as AsyncApiTable
    this.schemas[name] = componentOf(name, copy)
    const { examples } = copy
    return {
      payload: { $ref: `${SCHEMAS_AT}${name}` },
      ...(Array.isArray(examples) && examples.length > 0
        ? { examples: examples.map((payload) => ({ payload })) }
        : {}),
    }
  }
}

const textHeader = { type: 'string' }
const propertyHeader = (name: string) => ({
  ...textHeader,
  description: `${name}, a property of MQTT 5.`,
})
const userHeader = (what: string) => ({ ...textHeader, description: `${what}; a User Property.` })
const SENDER_HEADERS = {
  'itm-version': userHeader('Version of the API'),
  'itm-by': userHeader('Service and process'),
}
const CORRELATION = { correlationData: propertyHeader('Correlation Data') }

/** What beside the payload is in a message. */
const MESSAGE_HEADERS = {
  request: {
    type: 'object',
    properties: {
      ...{ responseTopic: propertyHeader('Response Topic'), ...CORRELATION },
      ...{ 'itm-key': userHeader('The operation'), ...SENDER_HEADERS },
    },
    required: ['responseTopic', 'correlationData'],
  },
  reply: {
    type: 'object',
    properties: {
      ...CORRELATION,
      'itm-status': userHeader('200, or why not'),
      'itm-code': userHeader('The error'),
    },
  },
  event: {
    type: 'object',
    properties: {
      ...{
        'itm-key': userHeader('The event'),
        ...SENDER_HEADERS,
        'itm-at': userHeader('When it was fired'),
      },
    },
  },
} as const

/** The attributes of a CloudEvent in binary mode: all but the content type are User Properties. */
const cloudHeaders = (type: string) => ({
  type: 'object',
  properties: {
    specversion: { ...userHeader('Version of CloudEvents'), const: '1.0' },
    id: userHeader('The event'),
    source: { ...userHeader('Prefix and service'), format: 'uri-reference' },
    type: { ...userHeader('API and event'), const: type },
    time: { ...userHeader('When it was fired'), format: 'date-time' },
    itmversion: userHeader('Version of the API'),
    itmby: userHeader('Service and process'),
  },
  required: ['specversion', 'id', 'source', 'type'],
})
