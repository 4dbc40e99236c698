/**
 * Are the options usable, and what are they with their defaults? They are validated once, here, so
 * that no other code has to ask again. There is one small function for each group of options.
 */

import { randomHex } from '#runtime'
import { encodeRare } from '../codec/encode-rare.ts'
import { UsageError } from '../errors.ts'
import { equal } from '../platform/equal.ts'
import type { Config } from '../protocol/config.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import { REMAINING_LENGTH_MAX, utf8Length } from '../protocol/sizes.ts'
import {
  bounded,
  checkFields,
  checkFunction,
  choice,
  DAY_MS,
  flag,
  HOUR_MS,
  isPlainObject,
  whole,
  wrong,
} from '../requests/check.ts'
import { reconnectPolicy } from '../requests/reconnect-policy.ts'
import type { Session, SessionStore } from '../requests/session.ts'
import { checkApplicability, OPTION_NAMES } from './applicability.ts'
import { checkConnect } from './check-connect.ts'
import { checkEndpoint } from './check-endpoint.ts'
import { connectPacket } from './connect-packet.ts'
import { CONNECT_TIMEOUT_MS, credentials, isWebSocket, urlsOf } from './endpoint.ts'
import { noOption } from './foreign-names.ts'
import type { EventloopOptions } from './options.ts'
import type { RecorderOptions } from './recorder-options.ts'
import { givenSession, isStore, sessionConfig } from './session-config.ts'

/** Options as the rest of the package sees them. */
export interface Resolved {
  readonly options: EventloopOptions
  readonly config: Config
  readonly clientId: string
  /** The saved session that was given, or null. */
  readonly session: Session | null
  /** The session store that was given, or null. */
  readonly store: SessionStore | null
}

/**
 * The default of mosquitto's `max_inflight_messages`, which it does not tell clients of MQTT 3.1.1.
 */
const MAX_INFLIGHT_QOS2 = 20

const OPTION_SET: ReadonlySet<string> = new Set(OPTION_NAMES)

/**
 * @param session the session that a store has loaded, in place of the store.
 * @param what whether these are the options of a loop or of one attempt.
 * @throws UsageError that names the option, what is allowed and what was given.
 */
export function resolveOptions(
  given: string | URL | EventloopOptions,
  session?: Session,
  what: 'options' | 'attempt' = 'options',
): Resolved {
  const options = toOptions(given)
  const known = what === 'options' ? configOfLike(options) : null
  if (known !== null) {
    return {
      options,
      config: known,
      clientId: clientIdOf(options, null),
      session: null,
      store: null,
    }
  }
  for (const name of Object.keys(options)) {
    if (!OPTION_SET.has(name)) throw noOption('options', name, OPTION_NAMES)
  }
  checkEndpoint(options)
  for (const url of urlsOf(options)) credentials({ ...options, url })
  const restored = session ?? givenSession(options)
  const store = isStore(options.session) ? options.session : null
  if (options.session !== undefined && options.session !== 'adopt' && !restored && !store) {
    throw wrong('session', 'a Session, a SessionStore or "adopt"', options.session)
  }
  checkListeners(options)
  checkRecorder(options.recorder)
  const clientId = clientIdOf(options, restored)
  const config = shared(configOf(options, restored, clientId))
  checkConnect(options, config.protocolVersion)
  checkApplicability(options, what)
  // The CONNECT packet is encoded once here, so that a value that cannot be encoded is refused now
  // and not at the first connection.
  encodeRare(
    connectPacket(
      { options, config },
      clientId,
      config.protocolVersion,
      config.cleanStart !== false,
    ),
    config.protocolVersion,
  )
  if (what === 'options' && restored === null && store === null)
    latestChecked = { options: { ...options }, config }
  return { options, config, clientId, session: restored, store }
}

let latestChecked: { readonly options: EventloopOptions; readonly config: Config } | null = null

/**
 * @returns the config of the loop before, if its options differ from these in the client identifier
 *   only; else null. Then nothing has to be checked again, when thousands of loops are opened.
 */
function configOfLike(options: EventloopOptions): Config | null {
  if (latestChecked === null) return null
  const before = latestChecked.options
  const names = Object.keys(options) as (keyof EventloopOptions)[]
  if (names.length !== Object.keys(before).length) return null
  const isAlike = names.every((name) => {
    const value = options[name]
    if (!Object.hasOwn(before, name)) return false
    if (name === 'clientId') return isName(value) && isName(before.clientId)
    // The content of an object may have changed.
    return value === before[name] && (typeof value !== 'object' || value === null)
  })
  return isAlike ? latestChecked.config : null
}

/** Whether it is not empty, which would ask the server for an identifier. */
function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** @returns whether a saved session or a store was given, in which requests may be held. */
export function hasSession({ session, store }: Resolved): boolean {
  return session !== null || store !== null
}

function toOptions(given: unknown): EventloopOptions {
  if (typeof given === 'string') return { url: given }
  // A URL can be changed later, a string cannot.
  if (given instanceof URL) return { url: given.href }
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
    const { url } = given as EventloopOptions
    if (url instanceof URL) return { ...given, url: url.href }
    if (Array.isArray(url)) return { ...given, url: url.map(hrefOf) }
    return given
  }
  throw wrong('options', 'a URL or an object of options', given)
}

function hrefOf(url: string | URL): string {
  return url instanceof URL ? url.href : url
}

// ------------------------------------------------------------------------------------------ config

let latestConfig: Config | null = null

/**
 * @returns the config, shared with the previous loop if both are equal, because a process may have
 *   thousands of loops.
 */
function shared(config: Config): Config {
  if (latestConfig === null || !equal(config, latestConfig)) latestConfig = config
  return latestConfig
}

function configOf(o: EventloopOptions, session: Session | null, clientId: string): Config {
  const kept = sessionConfig(o, session)
  const version = versionOf(o, session, clientId, kept.cleanStart !== false)
  return {
    ...version,
    ...kept,
    ...receivingConfig(o),
    keepAlive: whole('keepAlive', o.keepAlive, isWebSocket(o) ? 25 : 60, 0, 65_535),
    connectTimeoutMs: bounded('connectTimeout', o.connectTimeout, CONNECT_TIMEOUT_MS, 1, HOUR_MS),
    reconnect: reconnectPolicy('reconnect', o.reconnect),
    maxInflight: whole('maxInflight', o.maxInflight, 1000, 1, 65_000),
    maxInflightQos2: o.maxInflight ?? MAX_INFLIGHT_QOS2,
    offlineRequests: whole('offlineRequests', o.offlineRequests, 100, 0, 65_000),
    onSessionLost: choice('onSessionLost', o.onSessionLost, 'republish', ['republish', 'fail']),
    ackTimeout: ackTimeoutOf(o.ackTimeout),
    quarantineAfter: whole('quarantineAfter', o.quarantineAfter, 3, 0, 1000),
    until: choice('until', o.until, 'idle', ['idle', 'settled', 'closed']),
    hasBirths: o.onConnected !== undefined,
    disconnectReason: choice('disconnectReason', o.disconnectReason, 0, [0, 4]),
    authenticationMethod: authenticationMethodOf(o, version.protocolVersion),
    authenticator:
      o.authenticator === undefined ? 'none' : o.authenticator.serverMayStart ? 'either' : 'client',
    servers: serversOf(o),
    divert: divertOf(o.divert),
    requestProblemInformation: o.properties?.requestProblemInformation !== false,
    warnAfterMs: bounded('warnAfterMs', o.warnAfterMs, 30_000, 1, DAY_MS),
  }
}

function clientIdOf(o: EventloopOptions, session: Session | null): string {
  const clientId = o.clientId === undefined ? session?.clientId : o.clientId
  if (clientId === undefined) return `it-mqtt-${randomHex(7)}`
  if (typeof clientId !== 'string') throw wrong('clientId', 'a string', clientId)
  if (utf8Length(clientId) > 65_535 || /\0|\p{Surrogate}/u.test(clientId)) {
    throw wrong('clientId', 'a string of at most 65,535 bytes of UTF-8 without U+0000', clientId)
  }
  if (session !== null && clientId !== session.clientId) {
    throw wrong('clientId', `"${session.clientId}", whose session was given`, clientId)
  }
  return clientId
}

function versionOf(
  o: EventloopOptions,
  session: Session | null,
  clientId: string,
  cleanStart: boolean,
): Pick<Config, 'protocolVersion' | 'versionMayFall'> {
  const made: ProtocolVersion | undefined = session?.protocolVersion || undefined
  const asked = o.protocolVersion === undefined ? made : o.protocolVersion
  const protocolVersion = choice('protocolVersion', asked, 5, [5, 4, 3])
  if (clientId === '' && protocolVersion < 5 && !cleanStart) {
    throw new UsageError(
      'clientId: MQTT 3 allows an empty one only with cleanStart: true [MQTT-3.1.3-7]',
    )
  }
  const pinned =
    o.protocolVersion !== undefined ||
    made !== undefined ||
    o.properties !== undefined ||
    o.authenticator !== undefined ||
    // MQTT 3 has no password without a user name [MQTT-3.1.2-22], so a token alone needs MQTT 5.
    (o.password !== undefined && o.username === undefined) ||
    o.will?.properties !== undefined
  return { protocolVersion, versionMayFall: !pinned }
}

type Receiving = Pick<
  Config,
  | 'receiveMaximum'
  | 'maxBufferedPackets'
  | 'maxBufferedBytes'
  | 'maximumPacketSize'
  | 'topicAliasMaximum'
  | 'tolerance'
  | 'acks'
  | 'packets'
  | 'gatherReads'
>

function receivingConfig(o: EventloopOptions): Receiving {
  const { maxBufferedPackets, maxBufferedBytes, maximumPacketSize } = o
  const receiveMaximum = whole('receiveMaximum', o.receiveMaximum, 1024, 1, 65_535)
  const packets = receiveMaximum + 1024
  const bytes = 16 * 1024 * 1024
  const bytesMax = Number.MAX_SAFE_INTEGER
  const size = REMAINING_LENGTH_MAX
  return {
    receiveMaximum,
    maxBufferedPackets: whole('maxBufferedPackets', maxBufferedPackets, packets, 1, 1_000_000),
    maxBufferedBytes: whole('maxBufferedBytes', maxBufferedBytes, bytes, 1, bytesMax),
    maximumPacketSize: whole('maximumPacketSize', maximumPacketSize, size, 1, size),
    topicAliasMaximum: whole('topicAliasMaximum', o.topicAliasMaximum, 0, 0, 65_535),
    tolerance: choice('tolerance', o.tolerance, 'field', ['field', 'strict']),
    acks: choice('acks', o.acks, 'pull', ['pull', 'receipt', 'manual']),
    packets: choice('packets', o.packets, 'all', ['all', 'messages']),
    gatherReads: flag('gatherReads', o.gatherReads, true),
  }
}

/** One object for all loops that use the defaults of these options. */
const DEFAULT_SERVERS: Config['servers'] = {
  hosts: 1,
  checksConnectivity: false,
  followRedirects: false,
  renewsCredentials: false,
  suspendAfterMs: 120_000,
  suspendedRetryMs: 30_000,
}

function serversOf(o: EventloopOptions): Config['servers'] {
  const { suspendAfterMs, suspendedRetryMs } = DEFAULT_SERVERS
  const servers = {
    hosts: Math.max(1, urlsOf(o).length),
    checksConnectivity: o.connectivityCheck !== undefined,
    followRedirects: flag('followRedirects', o.followRedirects, false),
    renewsCredentials: o.connectOptions !== undefined,
    suspendAfterMs: bounded('suspendAfterMs', o.suspendAfterMs, suspendAfterMs, 0, DAY_MS),
    suspendedRetryMs: bounded('suspendedRetryMs', o.suspendedRetryMs, suspendedRetryMs, 1, DAY_MS),
  }
  return equal(servers, DEFAULT_SERVERS) ? DEFAULT_SERVERS : servers
}

const DIVERT_FIELDS: ReadonlySet<string> = new Set(['afterMs', 'to', 'concurrency'])

function divertOf(given: EventloopOptions['divert']): Config['divert'] {
  if (given === undefined) return null
  if (!isPlainObject(given)) throw wrong('divert', '{ afterMs, to }', given)
  if (isLiteral(given)) checkFields('divert', given, DIVERT_FIELDS)
  const { afterMs, to, concurrency } = given
  if (typeof to !== 'function') throw wrong('divert.to', 'a function (request, signal)', to)
  return {
    afterMs: bounded('divert.afterMs', afterMs, Number.NaN, 1, DAY_MS),
    concurrency: whole('divert.concurrency', concurrency, 16, 1, 65_535),
  }
}

const ACK_TIMEOUT_FIELDS: ReadonlySet<string> = new Set(['afterMs', 'then'])

function ackTimeoutOf(given: EventloopOptions['ackTimeout']): Config['ackTimeout'] {
  if (given === undefined) return null
  if (typeof given !== 'object' || given === null) {
    throw wrong('ackTimeout', '{ afterMs, then }', given)
  }
  checkFields('ackTimeout', given, ACK_TIMEOUT_FIELDS)
  return {
    afterMs: bounded('ackTimeout.afterMs', given.afterMs, Number.NaN, 1, DAY_MS),
    then: choice('ackTimeout.then', given.then, 'reconnect', ['reconnect', 'fail']),
  }
}

const AUTHENTICATOR_FIELDS: ReadonlySet<string> = new Set(['method', 'exchange', 'serverMayStart'])

function authenticationMethodOf(
  { authenticator, properties }: EventloopOptions,
  version: number,
): string | null {
  if (authenticator === undefined) return properties?.authenticationMethod ?? null
  if (!isPlainObject(authenticator)) {
    throw wrong('authenticator', '{ method, exchange }', authenticator)
  }
  if (isLiteral(authenticator)) checkFields('authenticator', authenticator, AUTHENTICATOR_FIELDS)
  const { method, exchange, serverMayStart } = authenticator
  if (typeof method !== 'string') throw wrong('authenticator.method', 'a string', method)
  if (typeof exchange !== 'function') {
    throw wrong('authenticator.exchange', 'a generator function', exchange)
  }
  flag('authenticator.serverMayStart', serverMayStart, false)
  if (version < 5) {
    throw new UsageError('authenticator: only MQTT 5 has enhanced authentication [MQTT-3.1.2-31]')
  }
  for (const name of ['authenticationMethod', 'authenticationData'] as const) {
    if (properties?.[name] === undefined) continue
    throw new UsageError(`properties.${name}: the authenticator gives it; leave it out`)
  }
  return method
}

/** @returns whether it is no instance of a class, which may have fields of its own. */
function isLiteral(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

// ------------------------------------------------------------------------------------------ checks

const PLATFORM_METHODS = ['now', 'setTimer', 'clearTimer', 'random'] as const

function checkListeners(o: EventloopOptions): void {
  const { onConnected, onSettled, onWarning, connectOptions, connectivityCheck } = o
  const callbacks = { onConnected, onSettled, onWarning, connectOptions, connectivityCheck }
  for (const [name, value] of Object.entries(callbacks)) checkFunction(name, value)
  const { networkHints, signal, platform } = o
  for (const name of PLATFORM_METHODS) {
    if (platform !== undefined && typeof platform?.[name] !== 'function') {
      throw wrong('platform', `an object with the methods ${PLATFORM_METHODS.join(', ')}`, platform)
    }
  }
  if (networkHints !== undefined && typeof networkHints?.[Symbol.asyncIterator] !== 'function') {
    throw wrong('networkHints', 'an AsyncIterable of "online" and "offline"', networkHints)
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrong('signal', 'an AbortSignal', signal)
  }
}

const RECORDER_FIELDS: ReadonlySet<string> = new Set(['inputs', 'bytes', 'onFault'])

function checkRecorder(given: unknown): void {
  if (given === undefined) return
  if (!isPlainObject(given)) throw wrong('recorder', '{ inputs, bytes, onFault }', given)
  checkFields('recorder', given, RECORDER_FIELDS)
  const { inputs, bytes, onFault } = given as Partial<RecorderOptions>
  whole('recorder.inputs', inputs, Number.NaN, 1, 10_000_000)
  flag('recorder.bytes', bytes, false)
  checkFunction('recorder.onFault', onFault)
}
