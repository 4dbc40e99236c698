/**
 * How does a message become the JSON of mosquitto_sub (`-F %j`, `-F %J`), and how does a line of it
 * become a request of `pipe`? A line says how long the payload was, so that a payload that this
 * JSON cannot carry is found.
 */
import { isUtf8 } from 'node:buffer'
import type { Line } from '../disk/index.ts'
import type { IncomingPublish, PublishProperties, PublishRequest, QoS } from '../index.ts'
import { UsageError } from '../index.ts'
import { isoTimeMicros } from './strftime.ts'

/** Every line of `mosquitto_sub -F %j` begins so. */
const BEGINNING = Buffer.from('{"tst":')

/**
 * @param kind `text` writes the payload as a string (`%j`), `json` as the JSON that it is (`%J`).
 * @returns the bytes, or null if the payload is to be JSON and is not.
 */
export function mosquittoJson(
  packet: IncomingPublish,
  at: Date,
  kind: 'text' | 'json',
  pretty: boolean,
): Buffer | null {
  const { topic, qos, retain, messageId, payload } = packet
  const head = {
    ...{ tst: isoTimeMicros(at), topic, qos, retain: Number(retain), payloadlen: payload.length },
    ...(qos > 0 ? { mid: messageId } : {}),
    ...propertiesJson(packet),
  }
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (kind === 'json') {
    const value = jsonIn(bytes)
    return value === undefined ? null : jsonBytes({ ...head, payload: value }, pretty)
  }
  if (bytes.length === 0) return jsonBytes({ ...head, payload: null }, pretty)
  if (isUtf8(bytes)) return jsonBytes({ ...head, payload: bytes.toString() }, pretty)
  // Other bytes are written as they are, as mosquitto_sub does, although JSON is UTF-8.
  const text = stringify({ ...head, payload: '' }, pretty)
  const [front, back] = [text.slice(0, text.lastIndexOf('""')), pretty ? '\n}' : '}']
  const quoted = Buffer.from(JSON.stringify(bytes.toString('latin1')), 'latin1')
  return Buffer.concat([Buffer.from(front), quoted, Buffer.from(back)])
}

function jsonBytes(value: unknown, pretty: boolean): Buffer {
  return Buffer.from(stringify(value, pretty))
}

/** Readable JSON has a tab behind each colon, as that of mosquitto_sub. */
function stringify(value: unknown, pretty: boolean): string {
  if (!pretty) return JSON.stringify(value)
  return JSON.stringify(value, null, '\t').replace(/^(\t+"(?:[^"\\]|\\.)*":) /gm, '$1\t')
}

/** @returns the value, or undefined if the bytes are no JSON; null for no bytes. */
function jsonIn(bytes: Buffer): unknown {
  if (bytes.length === 0) return null
  if (!isUtf8(bytes)) return undefined
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

function propertiesJson({ properties = {} }: IncomingPublish): { properties?: object } {
  const { payloadFormatIndicator, correlationData, userProperties } = properties
  const all = {
    'payload-format-indicator':
      payloadFormatIndicator === undefined ? undefined : Number(payloadFormatIndicator),
    'message-expiry-interval': properties.messageExpiryInterval,
    'content-type': properties.contentType,
    'response-topic': properties.responseTopic,
    'correlation-data':
      correlationData === undefined ? undefined : Buffer.from(correlationData).toString(),
    'subscription-identifier': [properties.subscriptionIdentifier].flat()[0],
    'topic-alias': properties.topicAlias,
    'user-properties': userProperties,
  }
  const given = Object.entries(all).filter(([, value]) => value !== undefined)
  return given.length === 0 ? {} : { properties: Object.fromEntries(given) }
}

interface MosquittoLine {
  readonly topic?: unknown
  readonly qos?: unknown
  readonly retain?: unknown
  readonly payload?: unknown
  readonly payloadlen?: unknown
  readonly properties?: Readonly<Record<string, unknown>>
}

/**
 * @returns the request that a line of `mosquitto_sub -F %j` or `%J` means, or null if the line is
 *   of another kind.
 * @throws UsageError if the line does not have the whole payload.
 */
export function requestOfMosquitto({ number, bytes }: Line): PublishRequest | null {
  if (!bytes.subarray(0, BEGINNING.length).equals(BEGINNING)) return null
  const where = `line ${number}`
  let line: MosquittoLine
  try {
    line = JSON.parse(bytes.toString())
  } catch (error) {
    throw new UsageError(`${where}: ${(error as Error).message}`, { cause: error })
  }
  const { topic, qos = 0, retain = 0 } = line
  if (typeof topic !== 'string') throw new UsageError(`${where}: a topic is expected`)
  const properties = propertiesFrom(line.properties)
  refuseRepeatedNames(bytes, properties, where)
  return {
    ...{ cmd: 'publish', topic, payload: payloadFrom(line, where) },
    ...{ qos: qos as QoS, retain: retain === 1 || retain === true },
    ...(properties === undefined ? {} : { properties }),
  }
}

/** mosquitto_sub writes a name twice that has two values, and JSON has only one of them then. */
function refuseRepeatedNames(
  bytes: Buffer,
  properties: PublishProperties | undefined,
  where: string,
): void {
  const { userProperties } = properties ?? {}
  if (userProperties === undefined || bytes.includes(JSON.stringify(userProperties))) return
  throw new UsageError(
    `${where}: a user property has several values, of which this JSON keeps one; write such ` +
      'messages with `it-mqtt sub --json`',
  )
}

function payloadFrom({ payload, payloadlen }: MosquittoLine, where: string): string {
  const asText = payload === null || payload === undefined ? '' : payload
  const json = JSON.stringify(payload)
  if (typeof asText !== 'string') return json
  const isWhole = (text: string) =>
    payloadlen === undefined || Buffer.byteLength(text) === payloadlen
  if (isWhole(asText)) return asText
  if (isWhole(json)) return json
  throw new UsageError(
    `${where}: the payload had ${payloadlen} bytes, and the line does not have them: it was no ` +
      'text; write such messages with `it-mqtt sub --json`',
  )
}

const OUR_NAMES: Readonly<Record<string, keyof PublishProperties>> = {
  'message-expiry-interval': 'messageExpiryInterval',
  'content-type': 'contentType',
  'response-topic': 'responseTopic',
  'correlation-data': 'correlationData',
  'user-properties': 'userProperties',
}

/** The properties that belong to a message, and not to its delivery. */
function propertiesFrom(given: MosquittoLine['properties']): PublishProperties | undefined {
  const found: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given ?? {})) {
    if (name === 'payload-format-indicator') found['payloadFormatIndicator'] = value === 1
    const ours = OUR_NAMES[name]
    if (ours !== undefined) found[ours] = value
  }
  return Object.keys(found).length === 0 ? undefined : (found as PublishProperties)
}
