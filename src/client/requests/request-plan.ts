/**
 * What does a request ask for? Its options, checked and with their defaults.
 */
import {
  type PublishProperties,
  type QoS,
  UsageError,
  validateFilter,
  validateTopic,
} from '../../index.ts'
import {
  checkChoice,
  checkCount,
  checkOptionFields,
  checkSignal,
  shown,
  TIME_MS_MAX,
} from '../check-options.ts'
import type { Codec } from '../codec.ts'
import { encodePayload } from '../payload.ts'
import type { ManyOptions, RequestOptions } from '../request-types.ts'
import type { StandardSchema } from '../standard-schema.ts'
import { encodeValue, type Reading, readingOf } from './response.ts'

/** What is asked for, beside the payload. Requests that ask alike may share it. */
export interface Ask {
  readonly topic: string
  readonly qos: QoS
  readonly key: string | undefined
  readonly reading: Reading
  readonly timeout: number
  readonly signal: AbortSignal | undefined
  /** What encodes the payload, or undefined if it is text or bytes. */
  readonly codec: Reading['codec']
  /** What validates the payload, if its topic has a schema. */
  readonly schema: TopicLike['schema']
  /** Without those of the wire. */
  readonly properties: PublishProperties | undefined
  /** The options of `request()`, if it has any that are rarely used. */
  readonly rare: RequestOptions<never> | null
}

export type AskedPayload = string | Uint8Array

const KEY_MAX = 1024
/** Options that two requests hardly ever have in common. */
const OWN = ['signal', 'key', 'codec', 'schema', 'properties', 'params']
const RARE = [
  'retry',
  'lane',
  'ackTimeout',
  'responseTimeout',
  'fallback',
  'afterMs',
  'responses',
  'correlate',
] as const
const ONE_FIELDS: ReadonlySet<string> = new Set(['timeout', 'qos', ...OWN, ...RARE])
const MANY_FIELDS: ReadonlySet<string> = new Set(['timeout', 'qos', ...OWN, 'max', 'stallMs'])

/** A `Topic`, as far as a request needs it. */
interface TopicLike {
  fill(params: unknown): string
  readonly codec?: Codec<unknown>
  readonly schema?: StandardSchema<unknown, unknown> | undefined
}

const NO_OPTIONS = {}

type AnyOptions = RequestOptions<never> | ManyOptions<never>

/** The one that was made last, if it has nothing but a topic, a QoS and a timeout. */
let latest: Ask | null = null

/**
 * @param defaultMs the `requestTimeout` of the client.
 * @throws UsageError for what cannot be used.
 */
export function askOf(
  what: 'request' | 'requestMany',
  given: unknown,
  value: unknown,
  defaultMs: number,
  options: AnyOptions = NO_OPTIONS,
): Ask {
  const isPlain = isSendable(value) && hasPlainOptions(options)
  if (isPlain && latest !== null && latest.topic === given) {
    const { qos = 1, timeout = defaultMs } = options
    if (latest.qos === qos && latest.timeout === timeout) return latest
  }
  const ask = newAsk(what, given, value, defaultMs, options)
  if (isPlain && typeof given === 'string') latest = ask
  return ask
}

function isSendable(value: unknown): value is AskedPayload {
  return typeof value === 'string' || value instanceof Uint8Array
}

function hasPlainOptions(options: object): boolean {
  for (const name in options) if (name !== 'qos' && name !== 'timeout') return false
  return options !== null
}

function newAsk(
  what: 'request' | 'requestMany',
  given: unknown,
  value: unknown,
  defaultMs: number,
  options: AnyOptions,
): Ask {
  checkOptionFields(`${what}: options`, options, what === 'request' ? ONE_FIELDS : MANY_FIELDS)
  const { qos = 1, key, signal, timeout } = options
  const topic = topicOf(what, given, options)
  const reading = readingOf(options)
  const own = typeof given === 'string' ? undefined : (given as TopicLike)
  const isPlain = own?.codec === undefined && isSendable(value)
  const codec = isPlain ? undefined : ((own?.codec ?? reading.codec) as Reading['codec'])
  checkChoice(`${what}: qos`, qos, [0, 1, 2])
  if (key !== undefined && !(typeof key === 'string' && key !== '' && key.length <= KEY_MAX)) {
    refuseOption(what, 'key', `a text of 1 to ${KEY_MAX} characters`, key)
  }
  return {
    topic,
    qos,
    key,
    reading,
    timeout:
      timeout === undefined ? defaultMs : checkCount(`${what}: timeout`, timeout, 1, TIME_MS_MAX),
    signal: checkSignal(`${what}: signal`, signal),
    codec,
    schema: own?.schema,
    properties: askedProperties(options.properties, value === undefined ? undefined : codec),
    rare: rareOf(options),
  }
}

/**
 * @returns the payload of a request.
 * @throws UsageError for a value that is neither text nor bytes if there is no codec, and with code
 *   INVALID_PAYLOAD if the schema or the codec of the topic refuse it.
 */
export function askedPayload(what: string, value: unknown, { codec, schema }: Ask): AskedPayload {
  if (codec === undefined && isSendable(value)) return value
  if (codec === undefined || (value === undefined && schema === undefined)) {
    return encodeValue(what, value, codec).payload
  }
  return encodePayload({ codec, schema }, value)
}

function askedProperties(
  given: PublishProperties | undefined,
  codec: Reading['codec'],
): PublishProperties | undefined {
  const { contentType, payloadFormatIndicator } = codec ?? {}
  if (contentType === undefined && payloadFormatIndicator === undefined) return given
  const said: { -readonly [Name in keyof PublishProperties]: PublishProperties[Name] } = {}
  if (contentType !== undefined) said.contentType = contentType
  if (payloadFormatIndicator !== undefined) said.payloadFormatIndicator = payloadFormatIndicator
  // What the caller gives comes before what the codec says.
  return Object.assign(said, given)
}

function topicOf(what: string, given: unknown, options: object): string {
  const topic =
    typeof given === 'string'
      ? given
      : typeof (given as TopicLike | undefined)?.fill === 'function'
        ? (given as TopicLike).fill((options as { params?: unknown }).params ?? {})
        : refuseOption(what, 'topic', 'a string or a topic()', given)
  const problem = validateTopic(topic)
  if (problem !== null) throw new UsageError(`${what}: ${problem}`)
  return topic
}

/** @returns the options if they have one that most requests do not have, else null. */
function rareOf(options: RequestOptions<never>): RequestOptions<never> | null {
  if (!RARE.some((name) => options[name] !== undefined)) return null
  const { retry, lane, ackTimeout, responseTimeout, fallback, afterMs } = options
  const what = 'request'
  checkChoice('request: retry', retry, [undefined, 'never', 'lost'])
  if (lane !== undefined && (typeof lane !== 'string' || lane === '')) {
    refuseOption(what, 'lane', 'a text', lane)
  }
  if (fallback !== undefined && typeof fallback !== 'function') {
    refuseOption(what, 'fallback', 'a function', fallback)
  }
  for (const [name, ms] of Object.entries({ ackTimeout, responseTimeout, afterMs })) {
    const least = name === 'afterMs' ? 0 : 1
    if (ms !== undefined) checkCount(`request: ${name}`, ms, least, TIME_MS_MAX)
  }
  checkResponses(options)
  return options
}

function checkResponses({ responses, correlate }: RequestOptions<never>): void {
  if (correlate !== undefined && typeof correlate !== 'function') {
    refuseOption('request', 'correlate', 'a function', correlate)
  }
  if (responses === undefined) return
  if (!Array.isArray(responses) || responses.length === 0) {
    refuseOption('request', 'responses', 'a list of { topic, ok }', responses)
  }
  for (const { topic, ok } of responses) {
    const problem = validateFilter(topic)
    if (problem !== null) throw new UsageError(`request: responses: ${problem}`)
    if (typeof ok !== 'boolean') refuseOption('request', 'responses[].ok', 'true or false', ok)
  }
}

function refuseOption(what: string, name: string, wanted: string, given: unknown): never {
  throw new UsageError(`${what}: ${name} must be ${wanted}, not ${shown(given)}`)
}
