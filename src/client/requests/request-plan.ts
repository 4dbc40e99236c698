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
import { checkChoice, checkCount, checkOptionFields, shown, TIME_MS_MAX } from '../check-options.ts'
import type { Codec } from '../codec.ts'
import { encodePayload } from '../payload.ts'
import type { ManyOptions, RequestOptions } from '../request-types.ts'
import type { StandardSchema } from '../standard-schema.ts'
import { encodeValue, type Reading, readingOf } from './response.ts'

/** What is sent, whatever the attempt. */
export interface Ask {
  readonly topic: string
  readonly payload: string | Uint8Array
  readonly qos: QoS
  readonly key: string | undefined
  readonly reading: Reading
  readonly timeout: number
  readonly signal: AbortSignal | undefined
  /** Without those of the wire. */
  readonly properties: PublishProperties | undefined
  /** The options of `request()`, if it has any that are rarely used. */
  readonly rare: RequestOptions<never> | null
}

const KEY_MAX = 1024
const COMMON = ['timeout', 'signal', 'qos', 'key', 'codec', 'schema', 'properties', 'params']
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
const ONE_FIELDS: ReadonlySet<string> = new Set([...COMMON, ...RARE])
const MANY_FIELDS: ReadonlySet<string> = new Set([...COMMON, 'max', 'stallMs'])

const NO_OPTIONS = {}

/** A `Topic`, as far as a request needs it. */
interface TopicLike {
  fill(params: unknown): string
  readonly codec?: Codec<unknown>
  readonly schema?: StandardSchema<unknown, unknown> | undefined
}

/**
 * @param defaultMs the `requestTimeout` of the client.
 * @throws UsageError for what cannot be used.
 */
export function askOf(
  what: 'request' | 'requestMany',
  given: unknown,
  value: unknown,
  defaultMs: number,
  options: RequestOptions<never> | ManyOptions<never> = NO_OPTIONS,
): Ask {
  if (options !== NO_OPTIONS) {
    checkOptionFields(`${what}: options`, options, what === 'request' ? ONE_FIELDS : MANY_FIELDS)
  }
  const { qos = 1, key, signal, timeout } = options
  const topic = topicOf(what, given, options)
  const reading = readingOf(options)
  const own = typeof given === 'string' ? undefined : (given as TopicLike)
  const encoded = own?.codec
    ? encodedFor(own.codec, own.schema, value)
    : encodeValue(what, value, isPlain(value) ? undefined : reading.codec)
  checkChoice(`${what}: qos`, qos, [0, 1, 2])
  if (key !== undefined && !(typeof key === 'string' && key !== '' && key.length <= KEY_MAX)) {
    refuseOption(what, 'key', `a text of 1 to ${KEY_MAX} characters`, key)
  }
  return {
    topic,
    payload: encoded.payload,
    qos,
    key,
    reading,
    timeout:
      timeout === undefined ? defaultMs : checkCount(`${what}: timeout`, timeout, 1, TIME_MS_MAX),
    signal,
    properties: askedProperties(options.properties, encoded),
    rare: rareOf(options),
  }
}

function encodedFor(
  codec: Codec<unknown>,
  schema: TopicLike['schema'],
  value: unknown,
): ReturnType<typeof encodeValue> {
  if (value === undefined && schema === undefined) return { payload: '' }
  const { contentType, payloadFormatIndicator } = codec
  return { payload: encodePayload({ codec, schema }, value), contentType, payloadFormatIndicator }
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || isByteArray(value)
}

function askedProperties(
  given: PublishProperties | undefined,
  { contentType, payloadFormatIndicator }: PublishProperties,
): PublishProperties | undefined {
  if (contentType === undefined && payloadFormatIndicator === undefined) return given
  return {
    ...(contentType === undefined ? {} : { contentType }),
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator }),
    ...given,
  }
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
  if (options === NO_OPTIONS || !RARE.some((name) => options[name] !== undefined)) return null
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

function isByteArray(value: unknown): boolean {
  return value instanceof Uint8Array
}
