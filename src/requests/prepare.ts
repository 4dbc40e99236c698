/**
 * Is a request usable, and what are its bytes? It is validated in full and encoded once, here, when
 * the loop takes it; everything behind relies on that.
 *
 * A request is never changed; it may be frozen, without a prototype, or an instance of a class. The
 * rules are those of the protocol version of the connection.
 */

import { byteLength, isBytes } from '#bytes'
import { bytesOfBase64, encodeProperties } from '../codec/writer.ts'
import { describe, UsageError } from '../errors.ts'
import type {
  Properties,
  ProtocolVersion,
  QoS,
  RequestFacts,
  SubscriptionFacts,
} from '../protocol/facts.ts'
import { needsMqtt5 } from '../protocol/refusals.ts'
import { packetBytes, REMAINING_LENGTH_MAX, varintBytes } from '../protocol/sizes.ts'
import { isShared, topicFilterProblem } from '../protocol/topics.ts'
import {
  checkRequestFields,
  checkRequestOptions,
  type Fields,
  noField,
  noRequestField,
  wrong,
} from './check.ts'
import { type PreparedControl, prepareControl } from './prepare-control.ts'
import { topicBytesOf } from './topic-cache.ts'
import type {
  PublishRequest,
  Settling,
  SubscribeRequest,
  UnsubscribeRequest,
} from './vocabulary.ts'

/** A slot keeps this beside a request. */
export interface Holding {
  /**
   * The stream whose `settled` is given the outcome. Null if it has none, or if the request was
   * restored from a saved session and its stream is not attached yet.
   */
  settling: Settling | null
  /** Stops listening to the request's signal; null if it has none. */
  unlisten: (() => void) | null
}

export interface PreparedPublish extends Holding {
  readonly kind: 'publish'
  readonly request: PublishRequest
  /** The topic as UTF-8, with its length before it. */
  readonly topic: Uint8Array
  readonly payload: Uint8Array | string
  readonly payloadBytes: number
  readonly qos: QoS
  readonly retain: boolean
  /**
   * The properties as bytes, without their length and without the Message Expiry Interval; null if
   * there are none.
   */
  readonly properties: Uint8Array | null
  /** The Message Expiry Interval in seconds; 0 if none was given. */
  readonly expirySeconds: number
  readonly expiryGiven: boolean
  /** The size of the packet as MQTT 5, the fixed header included. */
  readonly bytes: number
}

interface PreparedSubscribe extends Holding {
  readonly kind: 'subscribe'
  readonly request: SubscribeRequest
  readonly subscriptions: readonly SubscriptionFacts[]
  readonly properties: Properties | undefined
  readonly bytes: number
}

interface PreparedUnsubscribe extends Holding {
  readonly kind: 'unsubscribe'
  readonly request: UnsubscribeRequest
  readonly unsubscriptions: readonly string[]
  readonly properties: Properties | undefined
  readonly bytes: number
}

/** A request that may be sent. */
export type Sendable = PreparedPublish | PreparedSubscribe | PreparedUnsubscribe

/**
 * Validates a request or a control, and encodes what does not depend on when it is sent.
 * @throws UsageError that names the field, what is allowed and what was given.
 */
export function prepare(given: unknown, version: ProtocolVersion): Sendable | PreparedControl {
  if (typeof given !== 'object' || given === null) {
    throw wrong('a request', 'an object with cmd', given)
  }
  const fields = given as Fields
  switch (fields.cmd) {
    case 'publish':
      return preparePublish(fields, version)
    case 'subscribe':
      return prepareSubscribe(fields, version)
    case 'unsubscribe':
      return prepareUnsubscribe(fields, version)
    default:
      return prepareControl(fields)
  }
}

/**
 * Milliseconds. It is asked only for a request that expires, because a request takes nanoseconds.
 */
export interface Clock {
  now(): number
}

/** A clock for requests that do not expire. */
export const NO_CLOCK: Clock = { now: () => 0 }

/** @returns what the reducers know of a request. */
export function requestFacts(prepared: Sendable, handle: number, clock: Clock): RequestFacts {
  const { bytes } = prepared
  switch (prepared.kind) {
    case 'publish': {
      const { qos, retain, expiryGiven } = prepared
      const hasProperties = expiryGiven || prepared.properties !== null
      const expiresAt = expiryGiven ? clock.now() + prepared.expirySeconds * 1000 : 0
      return { kind: 'publish', handle, qos, retain, bytes, expiresAt, count: 1, hasProperties }
    }
    case 'subscribe': {
      const { subscriptions, properties } = prepared
      return { kind: 'subscribe', handle, bytes, subscriptions, properties }
    }
    case 'unsubscribe': {
      const { unsubscriptions, properties } = prepared
      return { kind: 'unsubscribe', handle, bytes, unsubscriptions, properties }
    }
  }
}

// ----------------------------------------------------------------------------------------- publish

const PUBLISH_FIELDS = ['cmd', 'topic', 'payload', 'qos', 'retain', 'properties', 'key', 'signal']

/** A `switch` compares pointers, which costs less than half of a look into a set. */
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

const EXPIRY = 'messageExpiryInterval'

function preparePublish(request: Fields, version: ProtocolVersion): PreparedPublish {
  for (const name in request) {
    if (!isPublishField(name)) throw noRequestField(request, name, PUBLISH_FIELDS)
  }
  const { topic, payload, qos, retain, properties } = request
  checkRequestOptions(request)
  const topicBytes = topicBytesOf(topic)
  let bytes: Uint8Array | string = ''
  let payloadBytes = 0
  if (typeof payload === 'string') {
    bytes = payload
    payloadBytes = byteLength(payload)
  } else if (payload !== undefined) {
    bytes = isBytes(payload) ? payload : base64Payload(payload)
    payloadBytes = bytes.length
  }
  if (retain !== undefined && typeof retain !== 'boolean') {
    throw wrong('publish.retain', 'true or false', retain)
  }
  let encoded: Uint8Array | null = null
  let expiry: unknown
  let propertyBytes = 0
  if (properties !== undefined) {
    checkVersion('publish.properties', version)
    encoded = encodeProperties(properties, 'publish', 'publish.properties', EXPIRY)
    expiry = (properties as Fields)[EXPIRY]
    propertyBytes = (encoded === null ? 0 : encoded.length) + (expiry === undefined ? 0 : 5)
  }
  const checkedQos = qos === undefined ? 0 : qosOf(qos, 'publish.qos')
  const rest = (checkedQos === 0 ? 0 : 2) + varintBytes(propertyBytes) + propertyBytes
  const length = topicBytes.length + rest + payloadBytes
  if (length > REMAINING_LENGTH_MAX) throw tooLong(length)
  return {
    kind: 'publish',
    request: request as unknown as PublishRequest,
    topic: topicBytes,
    payload: bytes,
    payloadBytes,
    qos: checkedQos,
    retain: retain === true,
    properties: encoded,
    expirySeconds: expiry === undefined ? 0 : (expiry as number),
    expiryGiven: expiry !== undefined,
    bytes: packetBytes(length),
    settling: null,
    unlisten: null,
  }
}

function base64Payload(payload: unknown): Uint8Array {
  const bytes = bytesOfBase64(payload)
  if (bytes !== null) return bytes
  throw wrong('publish.payload', 'a string, a Uint8Array or { base64 } (padded)', payload)
}

function tooLong(length: number): UsageError {
  return new UsageError(
    `the publish request has ${length} bytes; an MQTT packet holds ${REMAINING_LENGTH_MAX}`,
  )
}

// ----------------------------------------------------------------------- subscribe and unsubscribe

const SUBSCRIBE_FIELDS: ReadonlySet<string> = new Set([
  ...['cmd', 'subscriptions', 'properties', 'key', 'signal'],
])
const UNSUBSCRIBE_FIELDS: ReadonlySet<string> = new Set([
  ...['cmd', 'unsubscriptions', 'properties', 'key', 'signal'],
])
const SUBSCRIPTION_FIELDS: ReadonlySet<string> = new Set(['topic', 'qos', 'nl', 'rap', 'rh'])

function prepareSubscribe(request: Fields, version: ProtocolVersion): PreparedSubscribe {
  checkRequestFields(request, SUBSCRIBE_FIELDS)
  const given = filledArray(request.subscriptions, 'subscribe.subscriptions', 'MQTT-3.8.3-2')
  let length = 2
  const subscriptions = given.map((item, index) => {
    const subscription = subscriptionOf(item, `subscribe.subscriptions[${index}]`, version)
    length += 3 + byteLength(subscription.topic)
    return subscription
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

/** @returns the subscription with its defaults; in MQTT 3, which has no other options, its QoS. */
function subscriptionOf(
  given: unknown,
  where: string,
  version: ProtocolVersion,
): SubscriptionFacts {
  if (typeof given !== 'object' || given === null) {
    throw wrong(where, 'an object with topic, qos', given)
  }
  const subscription = given as Fields
  for (const name in subscription) {
    if (!SUBSCRIPTION_FIELDS.has(name)) throw noField(where, name, SUBSCRIPTION_FIELDS)
  }
  const { nl, rap, rh } = subscription
  const topic = filterOf(subscription.topic, `${where}.topic`, version)
  const qos = qosOf(subscription.qos, `${where}.qos`)
  checkFlag(nl, `${where}.nl`, version)
  checkFlag(rap, `${where}.rap`, version)
  if (rh !== undefined && rh !== 0 && rh !== 1 && rh !== 2) {
    throw wrong(`${where}.rh`, '0, 1 or 2', rh)
  }
  if (rh) checkVersion(`${where}.rh`, version)
  if (nl === true && isShared(topic)) {
    throw new UsageError(`${where}.nl cannot be true for a shared subscription [MQTT-3.8.3-4]`)
  }
  return version === 5
    ? { topic, qos, nl: nl === true, rap: rap === true, rh: rh ?? 0 }
    : { topic, qos }
}

function prepareUnsubscribe(request: Fields, version: ProtocolVersion): PreparedUnsubscribe {
  checkRequestFields(request, UNSUBSCRIBE_FIELDS)
  const given = filledArray(request.unsubscriptions, 'unsubscribe.unsubscriptions', 'MQTT-3.10.3-2')
  let length = 2
  const unsubscriptions = given.map((item, index) => {
    const filter = filterOf(item, `unsubscribe.unsubscriptions[${index}]`, version)
    length += 2 + byteLength(filter)
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

function filterOf(filter: unknown, where: string, version: ProtocolVersion): string {
  if (typeof filter !== 'string') throw wrong(where, 'a string', filter)
  const problem = topicFilterProblem(filter, version)
  if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(filter)}`)
  return filter
}

function checkFlag(value: unknown, where: string, version: ProtocolVersion): void {
  if (value !== undefined && typeof value !== 'boolean') throw wrong(where, 'true or false', value)
  if (value === true) checkVersion(where, version)
}

function qosOf(value: unknown, where: string): QoS {
  if (value !== 0 && value !== 1 && value !== 2) throw wrong(where, '0, 1 or 2', value)
  return value
}

function filledArray(value: unknown, where: string, clause: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(where, 'an array', value)
  if (value.length === 0) {
    throw new UsageError(`${where} is empty; it needs at least one entry [${clause}]`)
  }
  return Array.from(value)
}

/**
 * A copy, because what is kept for the renewal of subscriptions must not change with the original.
 */
function copiedProperties(
  request: Fields,
  cmd: 'subscribe' | 'unsubscribe',
  version: ProtocolVersion,
): Properties | undefined {
  const { properties } = request
  if (properties === undefined) return undefined
  checkVersion(`${cmd}.properties`, version)
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

/** Checks that the connection uses MQTT 5, which the field needs. */
function checkVersion(where: string, version: ProtocolVersion): void {
  if (version < 5) throw new UsageError(needsMqtt5(where))
}
