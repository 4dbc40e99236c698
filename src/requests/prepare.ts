/**
 * The door that every request passes, byte side: judged once, in full, and then trusted.
 *
 * A request is never changed and may be frozen, without a prototype, or an instance of a class. What is wrong is a
 * `UsageError` that names the field, what was given and what is allowed; the rules are those of the version that is spoken.
 */

import { bytesOfBase64, encodeProperties, isBytes } from '../codec/writer.ts'
import { describe, UsageError } from '../errors.ts'
import type { ReconnectPolicy } from '../protocol/config.ts'
import type { Properties, ProtocolVersion, QoS, SubscriptionFacts } from '../protocol/facts.ts'
import { packetBytes, REMAINING_LENGTH_MAX, varintBytes } from '../protocol/sizes.ts'
import { isShared, topicFilterProblem, topicNameProblem } from '../protocol/topics.ts'
import { noField, wrong } from './check.ts'
import type {
  Control,
  PublishRequest,
  Settling,
  SubscribeRequest,
  UnsubscribeRequest,
} from './vocabulary.ts'

/** What its holder keeps beside a request. */
export interface Holding {
  /** The stream that hears its outcome; null: none does, or it has not come back since the session was saved. */
  settling: Settling | null
  /** Stops listening to the request's signal. */
  unlisten: (() => void) | null
}

export interface PreparedPublish extends Holding {
  readonly kind: 'publish'
  readonly request: PublishRequest
  /** UTF-8 with its length before it. */
  readonly topic: Uint8Array
  readonly payload: Uint8Array | string
  readonly payloadBytes: number
  readonly qos: QoS
  readonly retain: boolean
  /** Encoded, without their length and without the Message Expiry Interval; null: none. */
  readonly properties: Uint8Array | null
  /** As given; 0: none was given, or 0 was: `expiryGiven` tells. */
  readonly expirySeconds: number
  readonly expiryGiven: boolean
  /** Size on the wire as MQTT 5, the fixed header included. */
  readonly bytes: number
}

export interface PreparedSubscribe extends Holding {
  readonly kind: 'subscribe'
  readonly request: SubscribeRequest
  readonly subscriptions: readonly SubscriptionFacts[]
  readonly properties: Properties | undefined
  readonly bytes: number
}

export interface PreparedUnsubscribe extends Holding {
  readonly kind: 'unsubscribe'
  readonly request: UnsubscribeRequest
  readonly unsubscriptions: readonly string[]
  readonly properties: Properties | undefined
  readonly bytes: number
}

/** A control that was validated. */
export interface PreparedControl {
  readonly kind: 'control'
  readonly control: Control
  /** The policy that a `reconnect` brings, with its defaults; null if it brings none. */
  readonly policy: ReconnectPolicy | null
}

export type Prepared = PreparedPublish | PreparedSubscribe | PreparedUnsubscribe | PreparedControl

/** Any object, before it is judged. */
export type Fields = { readonly [name: string]: unknown }

export function preparePublish(request: Fields, version: ProtocolVersion): PreparedPublish {
  for (const name in request) if (!isPublishField(name)) unknownField(request, name, PUBLISH_FIELDS)
  const { topic, payload, qos, retain, properties } = request
  judgeOptions(request)
  const topicBytes = topicBytesOf(topic)
  let bytes: Uint8Array | string = ''
  let payloadBytes = 0
  if (typeof payload === 'string') {
    bytes = payload
    payloadBytes = Buffer.byteLength(payload)
  } else if (payload !== undefined) {
    bytes = isBytes(payload) ? payload : (bytesOfBase64(payload) ?? wrongPayload(payload))
    payloadBytes = bytes.length
  }
  if (retain !== undefined && typeof retain !== 'boolean') {
    throw wrong('publish.retain', 'true or false', retain)
  }
  let encoded: Uint8Array | null = null
  let expiry: unknown
  let propertyBytes = 0
  if (properties !== undefined) {
    judgeProperties('publish', version)
    encoded = encodeProperties(properties, 'publish', 'publish.properties', EXPIRY)
    expiry = (properties as Fields)[EXPIRY]
    propertyBytes = (encoded === null ? 0 : encoded.length) + (expiry === undefined ? 0 : 5)
  }
  const judgedQos = qos === undefined ? 0 : qosOf(qos, 'publish.qos')
  const rest = (judgedQos === 0 ? 0 : 2) + varintBytes(propertyBytes) + propertyBytes
  const length = topicBytes.length + rest + payloadBytes
  if (length > REMAINING_LENGTH_MAX) {
    throw new UsageError(
      `the publish request has ${length} bytes; an MQTT packet holds ${REMAINING_LENGTH_MAX}`,
    )
  }
  return {
    kind: 'publish',
    request: request as unknown as PublishRequest,
    topic: topicBytes,
    payload: bytes,
    payloadBytes,
    qos: judgedQos,
    retain: retain === true,
    properties: encoded,
    expirySeconds: expiry === undefined ? 0 : (expiry as number),
    expiryGiven: expiry !== undefined,
    bytes: packetBytes(length),
    settling: null,
    unlisten: null,
  }
}

const EXPIRY = 'messageExpiryInterval'

export function prepareSubscribe(request: Fields, version: ProtocolVersion): PreparedSubscribe {
  judgeFields(request, SUBSCRIBE_FIELDS)
  judgeOptions(request)
  const given = listOf(request.subscriptions, 'subscribe.subscriptions', 'MQTT-3.8.3-2')
  let length = 2
  const subscriptions = given.map((item, index): SubscriptionFacts => {
    const where = `subscribe.subscriptions[${index}]`
    if (typeof item !== 'object' || item === null)
      throw wrong(where, 'an object with topic, qos', item)
    const subscription = item as Fields
    for (const name in subscription) {
      if (!SUBSCRIPTION_FIELDS.has(name)) {
        throw noField(where, name, SUBSCRIPTION_FIELDS)
      }
    }
    const { nl, rap, rh } = subscription
    const topic = filterOf(subscription.topic, `${where}.topic`, version)
    const qos = qosOf(subscription.qos, `${where}.qos`)
    judgeFlag(nl, `${where}.nl`, version)
    judgeFlag(rap, `${where}.rap`, version)
    if (rh !== undefined && rh !== 0 && rh !== 1 && rh !== 2)
      throw wrong(`${where}.rh`, '0, 1 or 2', rh)
    if (rh && version !== 5) onlyFive(`${where}.rh`)
    if (nl === true && isShared(topic)) {
      throw new UsageError(`${where}.nl cannot be true for a shared subscription [MQTT-3.8.3-4]`)
    }
    length += 3 + Buffer.byteLength(topic)
    return version === 5
      ? { topic, qos, nl: nl === true, rap: rap === true, rh: rh ?? 0 }
      : { topic, qos }
  })
  const properties = copiedProperties(request, 'subscribe', version)
  length += encodedBytes(properties, 'subscribe')
  return {
    kind: 'subscribe',
    request: request as unknown as SubscribeRequest,
    subscriptions,
    properties,
    bytes: packetBytes(length),
    settling: null,
    unlisten: null,
  }
}

export function prepareUnsubscribe(request: Fields, version: ProtocolVersion): PreparedUnsubscribe {
  judgeFields(request, UNSUBSCRIBE_FIELDS)
  judgeOptions(request)
  const given = listOf(request.unsubscriptions, 'unsubscribe.unsubscriptions', 'MQTT-3.10.3-2')
  let length = 2
  const unsubscriptions = given.map((item, index) => {
    const filter = filterOf(item, `unsubscribe.unsubscriptions[${index}]`, version)
    length += 2 + Buffer.byteLength(filter)
    return filter
  })
  const properties = copiedProperties(request, 'unsubscribe', version)
  length += encodedBytes(properties, 'unsubscribe')
  return {
    kind: 'unsubscribe',
    request: request as unknown as UnsubscribeRequest,
    unsubscriptions,
    properties,
    bytes: packetBytes(length),
    settling: null,
    unlisten: null,
  }
}

// ---------------------------------------------------------------------------------------------------------------- topics

/** Topics repeat: what was judged and encoded once is kept, within bounds. */
const TOPICS_MAX = 4096
/** UTF-16 units; the cache holds at most some 3 MiB. */
const CACHED_TOPIC_LENGTH_MAX = 256
const topics = new Map<string, Uint8Array>()
let lastTopic: string | null = null
let lastTopicBytes = new Uint8Array(0) as Uint8Array

function topicBytesOf(topic: unknown): Uint8Array {
  if (typeof topic !== 'string') throw wrong('publish.topic', 'a string', topic)
  // Most often it is the one before: a comparison of pointers where the text is the same object.
  if (topic === lastTopic) return lastTopicBytes
  const known = topics.get(topic)
  if (known !== undefined) return remember(topic, known)
  const problem = topicNameProblem(topic)
  if (problem !== null) throw new UsageError(`publish.topic ${problem}: ${describe(topic)}`)
  const length = Buffer.byteLength(topic)
  const bytes = Buffer.allocUnsafeSlow(2 + length)
  bytes.writeUInt16BE(length, 0)
  bytes.write(topic, 2)
  if (topic.length <= CACHED_TOPIC_LENGTH_MAX) {
    if (topics.size >= TOPICS_MAX) topics.clear()
    topics.set(topic, bytes)
  }
  return remember(topic, bytes)
}

function remember(topic: string, bytes: Uint8Array): Uint8Array {
  lastTopic = topic
  lastTopicBytes = bytes
  return bytes
}

function filterOf(filter: unknown, where: string, version: ProtocolVersion): string {
  if (typeof filter !== 'string') throw wrong(where, 'a string', filter)
  const problem = topicFilterProblem(filter, version)
  if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(filter)}`)
  return filter
}

// ---------------------------------------------------------------------------------------------------------------- fields

const PUBLISH_FIELDS = ['cmd', 'topic', 'payload', 'qos', 'retain', 'properties', 'key', 'signal']

/** Whether it is one of PUBLISH_FIELDS: a comparison of pointers costs less than half of a look into a set. */
function isPublishField(name: string): boolean {
  switch (name) {
    case 'cmd':
    case 'topic':
    case 'payload':
    case 'qos':
    case 'retain':
    case 'properties':
    case 'key':
    case 'signal':
      return true
    default:
      return false
  }
}

const SUBSCRIBE_FIELDS: ReadonlySet<string> = new Set([
  ...['cmd', 'subscriptions', 'properties', 'key', 'signal'],
])
const UNSUBSCRIBE_FIELDS: ReadonlySet<string> = new Set([
  ...['cmd', 'unsubscriptions', 'properties', 'key', 'signal'],
])
const SUBSCRIPTION_FIELDS: ReadonlySet<string> = new Set(['topic', 'qos', 'nl', 'rap', 'rh'])

export function judgeFields(request: Fields, allowed: ReadonlySet<string>): void {
  for (const name in request) if (!allowed.has(name)) unknownField(request, name, allowed)
}

function unknownField(request: Fields, name: string, allowed: Iterable<string>): never {
  const where = `the ${String(request.cmd)} request`
  if (name === 'messageId' || name === 'dup') {
    throw new UsageError(`${where} has ${name}, which the engine assigns: leave it out`)
  }
  throw noField(where, name, allowed)
}

/** `key` and `signal`, which every request may have. */
export function judgeOptions(request: Fields): void {
  const { key, signal } = request
  if (key !== undefined && typeof key !== 'string' && !Number.isFinite(key)) {
    throw wrong(`${String(request.cmd)}.key`, 'a string or a finite number', key)
  }
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.aborted !== 'boolean') {
    throw wrong(`${String(request.cmd)}.signal`, 'an AbortSignal', signal)
  }
}

function judgeProperties(cmd: string, version: ProtocolVersion): void {
  if (version !== 5) onlyFive(`${cmd}.properties`)
}

function judgeFlag(value: unknown, where: string, version: ProtocolVersion): void {
  if (value !== undefined && typeof value !== 'boolean') throw wrong(where, 'true or false', value)
  if (value === true && version !== 5) onlyFive(where)
}

function qosOf(value: unknown, where: string): QoS {
  if (value !== 0 && value !== 1 && value !== 2) throw wrong(where, '0, 1 or 2', value)
  return value
}

function listOf(value: unknown, where: string, clause: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(where, 'an array', value)
  if (value.length === 0)
    throw new UsageError(`${where} is empty; it needs one at least [${clause}]`)
  return Array.from(value)
}

/** A copy: what is kept for the renewal of subscriptions must not change with the caller's object. */
function copiedProperties(
  request: Fields,
  cmd: 'subscribe' | 'unsubscribe',
  version: ProtocolVersion,
): Properties | undefined {
  const { properties } = request
  if (properties === undefined) return undefined
  judgeProperties(cmd, version)
  encodeProperties(properties, cmd, `${cmd}.properties`)
  const { subscriptionIdentifier, userProperties } = properties as Fields
  const copy: { [name: string]: unknown } = {}
  if (subscriptionIdentifier !== undefined) copy.subscriptionIdentifier = subscriptionIdentifier
  if (userProperties !== undefined) copy.userProperties = structuredClone(userProperties)
  return copy
}

function encodedBytes(
  properties: Properties | undefined,
  cmd: 'subscribe' | 'unsubscribe',
): number {
  const bytes = encodeProperties(properties, cmd, `${cmd}.properties`)?.length ?? 0
  return varintBytes(bytes) + bytes
}

function onlyFive(where: string): never {
  throw new UsageError(`${where} needs MQTT 5; this connection speaks MQTT 3.1 or 3.1.1`)
}

function wrongPayload(payload: unknown): never {
  throw wrong('publish.payload', 'a string, a Uint8Array or { base64 } (padded)', payload)
}
