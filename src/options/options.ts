/**
 * Every option: unit, default, bounds; resolved once, at the door, so that nobody behind it has to ask again.
 */
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { IConnackPacket, IConnectPacket } from 'mqtt-packet'
import { encodeRare } from '../codec/encode-rare.ts'
import type { Authenticator } from '../connection/authentication-exchange.ts'
import { describe, UsageError, type WarningCode } from '../errors.ts'
import type { RecorderOptions } from '../loop/recorder.ts'
import { equal, type Platform, randomHex } from '../platform/runtime.ts'
import type { Config } from '../protocol/config.ts'
import { topicNameProblem } from '../protocol/topics.ts'
import {
  bounded,
  checkFields,
  choice,
  flag,
  isPlainObject,
  noField,
  whole,
  wrong,
} from '../requests/check.ts'
import { reconnectPolicy } from '../requests/reconnect-policy.ts'
import { Session, type SessionStore } from '../requests/session.ts'
import type {
  Base64,
  ConnectionFailure,
  Outcome,
  PublishRequest,
  QoS,
  ReconnectOptions,
  ReconnectWhen,
  Request,
} from '../requests/vocabulary.ts'
import { connectPacket } from './connect-packet.ts'
import {
  credentials,
  type HandshakeHeaders,
  isWebSocket,
  judgeEndpoint,
  type OpenTransport,
  urlsOf,
} from './endpoint.ts'

/** What may differ from one attempt to the next. */
export type AttemptOptions = Pick<
  EventloopOptions,
  'url' | 'headers' | 'tls' | 'transport' | 'username' | 'password' | 'clientId' | 'will'
>

/**
 * @param attempt since the last connection, from 1.
 * @param lastClose why there is no connection; null: there was none yet.
 * @param signal aborted when the attempt is given up, at `connectTimeout` say.
 */
export type ConnectOptions = (
  attempt: number,
  lastClose: ConnectionFailure | null,
  signal: AbortSignal,
) => AttemptOptions | undefined | Promise<AttemptOptions | undefined>

export interface DivertOptions {
  /**
   * After how many ms without a healthy connection (none at all, or three PINGREQs unanswered; they are sent three times as
   * often as this), 1 to 86,400,000.
   */
  readonly afterMs: number
  /**
   * Takes a publish the other way: it is settled as the promise is. It never returns to MQTT, and order does not span the two
   * ways. `signal`: the request's own, and the end of the loop.
   */
  readonly to: (request: PublishRequest, signal: AbortSignal) => unknown
  /** Calls at a time, 1 to 65,535. Default 16. */
  readonly concurrency?: number
}

export interface WillOptions {
  readonly topic: string
  readonly payload?: string | Uint8Array | Base64
  readonly qos?: QoS
  readonly retain?: boolean
  readonly properties?: NonNullable<IConnectPacket['will']>['properties']
}

/** Something that went not as it should and that the loop could live with. */
export interface Warning {
  readonly code: WarningCode
  readonly message: string
}

export interface EventloopOptions {
  /**
   * `mqtt:` or `tcp:` (port 1883), `mqtts:` or `tls:` (port 8883), `ws:` (80), `wss:` (443), `unix:/path`. May carry user name and
   * password. A list: the first is the primary; the others are tried in random order for what another server can cure, and the
   * next round starts at the primary.
   */
  readonly url?: string | URL | readonly (string | URL)[]
  /** Of the handshake of `ws:` and `wss:`. */
  readonly headers?: HandshakeHeaders
  /**
   * Awaited before each attempt; what it returns takes the place of these options for that attempt. A credential that the
   * server refuses is asked for once more.
   */
  readonly connectOptions?: ConnectOptions
  /** Enhanced authentication, at connect and again later. MQTT 5. (4.12) */
  readonly authenticator?: Authenticator
  /** Whether a server that names another one (0x9C, 0x9D) is believed; it gets the same credentials. Default false. */
  readonly followRedirects?: boolean
  /** Whether this side is online: asked before another server of the list is tried. Default: it is taken to be. */
  readonly connectivityCheck?: (signal: AbortSignal) => boolean | Promise<boolean>
  /** `online` retries at once, `offline` drops at once. Its end ends nothing, its error ends the loop. */
  readonly networkHints?: AsyncIterable<'online' | 'offline'>
  /** Without a connection for as many ms the loop is `suspended`, 0 to 86,400,000. Default 120,000. */
  readonly suspendAfterMs?: number
  /** How often it retries then, in ms, half of it more or less, 1 to 86,400,000. Default 30,000. */
  readonly suspendedRetryMs?: number
  /** Another way for new publishes while there is no healthy connection. */
  readonly divert?: DivertOptions
  /** At most 65,535 bytes; '' lets the server choose. Default: generated, at most 23 characters. */
  readonly clientId?: string
  /** 5 (MQTT 5), 4 (3.1.1) or 3 (3.1). Default 5, falling to 4 where a broker does not speak 5; given, it is not changed. */
  readonly protocolVersion?: 5 | 4 | 3
  readonly username?: string
  readonly password?: string | Uint8Array
  readonly will?: WillOptions
  /** Properties of the CONNECT packet that have no option of their own here. MQTT 5. */
  readonly properties?: NonNullable<IConnectPacket['properties']>
  /**
   * Whether the loop's first connection begins a new session; later ones ask to resume. In MQTT 3 true means a new session at
   * every connection. Default true; false where `session` is given.
   */
  readonly cleanStart?: boolean
  /** Seconds, 0 to 4,294,967,295. Default 300, or 86,400 where cleanStart is false. MQTT 5. */
  readonly sessionExpiryInterval?: number
  /** The session of an earlier loop, a store of sessions, or `'adopt'`: whatever the server holds is taken as it stands. */
  readonly session?: Session | SessionStore | 'adopt'
  /** Seconds, 0 (none) to 65,535. Default 60; over WebSocket 25, below what load balancers bear. [MQTT-3.1.2-20] */
  readonly keepAlive?: number
  /** Milliseconds, 1 to 3,600,000, for the whole way from the name lookup to the CONNACK. Default 10,000. */
  readonly connectTimeout?: number
  /** Default `after-first-success`. */
  readonly reconnect?: ReconnectWhen | ReconnectOptions
  /** Publishes at QoS > 0 without acknowledgement, 1 to 65,000. Default 1,000; the server may allow less. */
  readonly maxInflight?: number
  /** Messages at QoS > 0 that the server may send before we acknowledge, 1 to 65,535. Default 1,024. */
  readonly receiveMaximum?: number
  /** Packets received and not yet pulled, 1 to 1,000,000; beyond that the socket is paused. Default receiveMaximum + 1,024. */
  readonly maxBufferedPackets?: number
  /** Bytes received and not yet pulled; beyond that the socket is paused. Default 16 MiB. */
  readonly maxBufferedBytes?: number
  /** Largest packet that we take, in bytes, 1 to 268,435,455. Default 268,435,455. [MQTT-3.1.2-24] */
  readonly maximumPacketSize?: number
  /** Topic aliases that the server may use, 0 to 65,535. Default 0. */
  readonly topicAliasMaximum?: number
  /**
   * When a message at QoS > 0 is acknowledged. `pull`: when the consumer asks for the next packet. `receipt`: as it arrives.
   * `manual`: by `loop.ack(packet)`. Default `pull`.
   */
  readonly acks?: 'pull' | 'receipt' | 'manual'
  /** What becomes of publishes in flight where the server lost the session. Default `republish`. */
  readonly onSessionLost?: 'republish' | 'fail'
  /** What to do about an acknowledgement that does not come within `afterMs` (1 to 86,400,000). Default: wait. */
  readonly ackTimeout?: { readonly afterMs: number; readonly then: 'reconnect' | 'fail' }
  /** After how many closes that can only mean one message it is given up, 0 (never) to 1,000. Default 3. */
  readonly quarantineAfter?: number
  /** When the loop ends by itself: nothing more can happen, all requests are settled, never. Default `idle`. */
  readonly until?: 'idle' | 'settled' | 'closed'
  /** Reason code of our DISCONNECT: 0, or 4 to have the will published. Default 0. */
  readonly disconnectReason?: 0 | 4
  /** Requests to be sent after each CONNACK, after the renewal of subscriptions and before the backlog. */
  readonly onConnected?: (connack: IConnackPacket) => readonly Request[]
  /** The outcome of each request, after the `settled` of its source. */
  readonly onSettled?: (request: Request, outcome: Outcome) => void
  readonly onWarning?: (warning: Warning) => void
  /** After how many ms a stalled consumer or a forgotten acknowledgement is a warning. Default 30,000. */
  readonly warnAfterMs?: number
  /** Keeps the last inputs of the reducers, to be looked at after a fault (`loop.recording()`). Default: none are kept. */
  readonly recorder?: RecorderOptions
  /** Aborting ends the loop as `shutdown` does; `next()` rejects with its reason. */
  readonly signal?: AbortSignal
  /** For Node's `tls.connect`: ca, cert, key, servername … Verification is on by default. */
  readonly tls?: TlsOptions
  /** Any stream of bytes instead of those that `url` names. */
  readonly transport?: OpenTransport
  /** Clock and random numbers, for tests. */
  readonly platform?: Platform
}

/** Options as the rest of the package sees them. */
export interface Resolved {
  readonly options: EventloopOptions
  readonly config: Config
  readonly clientId: string
  readonly session: Session | null
  readonly store: SessionStore | null
}

const DAY_MS = 86_400_000
/** Properties of CONNECT that are options of their own, because the engine itself keeps to them. */
const OWN_PROPERTIES = [
  'sessionExpiryInterval',
  'receiveMaximum',
  'maximumPacketSize',
  'topicAliasMaximum',
] as const

/** @throws UsageError that names the option, what was given and what is allowed. */
export function resolveOptions(
  given: string | URL | EventloopOptions,
  session?: Session,
): Resolved {
  const options = toOptions(given)
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name)) throw noField('options', name, NAMES)
  }
  judgeEndpoint(options)
  for (const url of urlsOf(options)) credentials({ ...options, url })
  const { username, password } = credentials(options)
  const restored = session ?? (options.session instanceof Session ? options.session : null)
  const store = isStore(options.session) ? options.session : null
  if (options.session !== undefined && options.session !== 'adopt' && !restored && !store) {
    throw wrong('session', 'a Session, a SessionStore or "adopt"', options.session)
  }
  judgeRecorder(options.recorder)
  const { clientId, ...rest } = resolveConfig(options, restored)
  const config = shared(rest)
  checkProperties('properties', options.properties, config.protocolVersion)
  for (const name of OWN_PROPERTIES) {
    if (options.properties?.[name] === undefined) continue
    throw new UsageError(`properties.${name}: give it as the option ${name}`)
  }
  checkWill(options.will, config.protocolVersion)
  if (config.protocolVersion < 5 && password !== undefined && username === undefined) {
    throw new UsageError('password: MQTT 3 allows no password without a user name [MQTT-3.1.2-22]')
  }
  // What cannot be encoded is said now, not at the first connection.
  encodeRare(
    connectPacket({ options, config }, clientId, config.protocolVersion, config.cleanStart),
    config.protocolVersion,
  )
  return { options, config, clientId, session: restored, store }
}

function judgeRecorder(given: unknown): void {
  if (given === undefined) return
  if (!isPlainObject(given)) throw wrong('recorder', '{ inputs, bytes, onFault }', given)
  checkFields('recorder', given, RECORDER_FIELDS)
  const { inputs, bytes, onFault } = given as Partial<RecorderOptions>
  whole('recorder.inputs', inputs ?? Number.NaN, 0, 1, 10_000_000)
  flag('recorder.bytes', bytes, false)
  if (onFault !== undefined && typeof onFault !== 'function') {
    throw wrong('recorder.onFault', 'a function', onFault)
  }
}

const RECORDER_FIELDS: ReadonlySet<string> = new Set(['inputs', 'bytes', 'onFault'])

/** A saved session or a store was given: what an earlier loop held may be there. */
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

function isStore(value: unknown): value is SessionStore {
  const store = value as Partial<SessionStore> | null | undefined
  return (
    typeof store === 'object' &&
    store !== null &&
    typeof store.load === 'function' &&
    typeof store.commit === 'function'
  )
}

const WILL_FIELDS: ReadonlySet<string> = new Set([
  'topic',
  'payload',
  'qos',
  'retain',
  'properties',
])

function checkWill(will: WillOptions | undefined, protocolVersion: number): void {
  if (will === undefined) return
  if (!isPlainObject(will)) throw wrong('will', 'an object with topic and payload', will)
  checkFields('will', will, WILL_FIELDS)
  const { topic, payload = '', qos = 0, retain = false, properties } = will
  const problem = typeof topic === 'string' ? topicNameProblem(topic) : 'is no string'
  if (problem !== null) throw new UsageError(`will.topic ${problem}: ${describe(topic)}`)
  if (!isPayload(payload)) throw wrong('will.payload', 'a string, bytes or { base64 }', payload)
  if (![0, 1, 2].includes(qos)) throw wrong('will.qos', '0, 1 or 2', qos)
  if (typeof retain !== 'boolean') throw wrong('will.retain', 'true or false', retain)
  checkProperties('will.properties', properties, protocolVersion)
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

function isPayload(value: unknown): boolean {
  if (typeof value === 'string' || value instanceof Uint8Array) return true
  const base64 = isPlainObject(value) ? (value as Partial<Base64>).base64 : undefined
  return typeof base64 === 'string' && BASE64.test(base64)
}

function checkProperties(name: string, given: unknown, protocolVersion: number): void {
  if (given === undefined) return
  if (!isPlainObject(given)) throw wrong(name, 'an object of properties', given)
  if (protocolVersion === 5) return
  throw new UsageError(
    `${name}: only MQTT 5 has properties; leave them out or set protocolVersion: 5`,
  )
}

/** An instance of a class may have fields of its own. */
function isLiteral(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

let latestConfig: Config | null = null

/** Thousands of loops of one process say the same, but for who they are. */
function shared(config: Config): Config {
  if (latestConfig === null || !equal(config, latestConfig)) latestConfig = config
  return latestConfig
}

function resolveConfig(
  o: EventloopOptions,
  session: Session | null,
): Config & Pick<Resolved, 'clientId'> {
  // One that never met a server has nothing there to be resumed.
  const resumes = session !== null && session.protocolVersion > 0
  const kept = isStore(o.session)
  const adopt = o.session === 'adopt'
  const cleanStart = resumes || adopt || kept ? false : flag('cleanStart', o.cleanStart, true)
  const receiveMaximum = whole('receiveMaximum', o.receiveMaximum, 1024, 1, 65_535)
  const generated = `it-mqtt-${randomHex(7)}`
  const clientId = o.clientId === undefined ? (session?.clientId ?? generated) : o.clientId
  if (typeof clientId !== 'string') throw wrong('clientId', 'a string', clientId)
  if (Buffer.byteLength(clientId) > 65_535 || /\0|\p{Surrogate}/u.test(clientId)) {
    throw wrong('clientId', 'a string of at most 65,535 bytes of UTF-8 without U+0000', clientId)
  }
  if (session !== null && clientId !== session.clientId) {
    throw wrong('clientId', `"${session.clientId}", whose session was given`, clientId)
  }
  const made = session?.protocolVersion || undefined
  const spoken = o.protocolVersion ?? made ?? 5
  if (clientId === '' && spoken < 5 && !cleanStart) {
    throw new UsageError(
      'clientId: MQTT 3 allows an empty one only with cleanStart: true [MQTT-3.1.3-7]',
    )
  }
  const protocolVersion = choice(
    'protocolVersion',
    o.protocolVersion === undefined ? made : o.protocolVersion,
    5,
    [5, 4, 3],
  )
  const pinned =
    o.protocolVersion !== undefined ||
    made !== undefined ||
    o.properties !== undefined ||
    o.authenticator !== undefined ||
    // A token alone is no credential of MQTT 3. [MQTT-3.1.2-22]
    (o.password !== undefined && o.username === undefined) ||
    o.will?.properties !== undefined
  const { onConnected, onSettled, onWarning, connectOptions, connectivityCheck } = o
  const callbacks = { onConnected, onSettled, onWarning, connectOptions, connectivityCheck }
  for (const [name, value] of Object.entries(callbacks)) {
    if (value !== undefined && typeof value !== 'function') throw wrong(name, 'a function', value)
  }
  const { networkHints } = o
  if (networkHints !== undefined && typeof networkHints?.[Symbol.asyncIterator] !== 'function') {
    throw wrong('networkHints', 'an AsyncIterable of "online" and "offline"', networkHints)
  }
  if (o.signal !== undefined && !(o.signal instanceof AbortSignal))
    throw wrong('signal', 'an AbortSignal', o.signal)
  return {
    protocolVersion,
    versionMayFall: !pinned,
    clientId,
    cleanStart,
    store: kept ? 'kept' : 'none',
    resumes,
    adopt,
    sessionExpiryInterval: whole(
      'sessionExpiryInterval',
      o.sessionExpiryInterval,
      cleanStart ? 300 : 86_400,
      0,
      0xffff_ffff,
    ),
    keepAlive: whole('keepAlive', o.keepAlive, isWebSocket(o) ? 25 : 60, 0, 65_535),
    connectTimeoutMs: bounded('connectTimeout', o.connectTimeout, 10_000, 1, 3_600_000),
    reconnect: reconnectPolicy('reconnect', o.reconnect),
    maxInflight: whole('maxInflight', o.maxInflight, 1000, 1, 65_000),
    receiveMaximum,
    maxBufferedPackets: whole(
      'maxBufferedPackets',
      o.maxBufferedPackets,
      receiveMaximum + 1024,
      1,
      1_000_000,
    ),
    maxBufferedBytes: whole(
      'maxBufferedBytes',
      o.maxBufferedBytes,
      16 * 1024 * 1024,
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    maximumPacketSize: whole(
      'maximumPacketSize',
      o.maximumPacketSize,
      MAXIMUM_PACKET_SIZE,
      1,
      MAXIMUM_PACKET_SIZE,
    ),
    topicAliasMaximum: whole('topicAliasMaximum', o.topicAliasMaximum, 0, 0, 65_535),
    acks: choice('acks', o.acks, 'pull', ['pull', 'receipt', 'manual']),
    onSessionLost: choice('onSessionLost', o.onSessionLost, 'republish', ['republish', 'fail']),
    ackTimeout: ackTimeout(o.ackTimeout),
    quarantineAfter: whole('quarantineAfter', o.quarantineAfter, 3, 0, 1000),
    until: choice('until', o.until, 'idle', ['idle', 'settled', 'closed']),
    hasBirths: o.onConnected !== undefined,
    disconnectReason: choice('disconnectReason', o.disconnectReason, 0, [0, 4]),
    authenticationMethod: methodOf(o, protocolVersion),
    authenticator:
      o.authenticator === undefined ? 'none' : o.authenticator.serverMayStart ? 'either' : 'client',
    servers: serversOf(o),
    divert: divertOf(o.divert),
    requestProblemInformation: o.properties?.requestProblemInformation !== false,
    warnAfterMs: bounded('warnAfterMs', o.warnAfterMs, 30_000, 1, DAY_MS),
  }
}

/** The largest that a fixed header can say, 256 MiB - 1, is the remaining length; the packet with its header is 5 bytes more. */
const MAXIMUM_PACKET_SIZE = 268_435_455

/** One for all that say nothing: a process may hold thousands. */
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

const AUTHENTICATOR_FIELDS: ReadonlySet<string> = new Set(['method', 'exchange', 'serverMayStart'])

function methodOf({ authenticator, properties }: EventloopOptions, version: number): string | null {
  if (authenticator === undefined) return properties?.authenticationMethod ?? null
  if (!isPlainObject(authenticator))
    throw wrong('authenticator', '{ method, exchange }', authenticator)
  if (isLiteral(authenticator)) checkFields('authenticator', authenticator, AUTHENTICATOR_FIELDS)
  const { method, exchange, serverMayStart } = authenticator
  if (typeof method !== 'string') throw wrong('authenticator.method', 'a string', method)
  if (typeof exchange !== 'function')
    throw wrong('authenticator.exchange', 'a generator function', exchange)
  flag('authenticator.serverMayStart', serverMayStart, false)
  if (version < 5)
    throw new UsageError('authenticator: only MQTT 5 has enhanced authentication [MQTT-3.1.2-31]')
  for (const name of ['authenticationMethod', 'authenticationData'] as const) {
    if (properties?.[name] === undefined) continue
    throw new UsageError(`properties.${name}: the authenticator says it; leave it out`)
  }
  return method
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

function ackTimeout(given: EventloopOptions['ackTimeout']): Config['ackTimeout'] {
  if (given === undefined) return null
  if (typeof given !== 'object' || given === null)
    throw wrong('ackTimeout', '{ afterMs, then }', given)
  return {
    afterMs: bounded('ackTimeout.afterMs', given.afterMs, Number.NaN, 1, DAY_MS),
    then: choice('ackTimeout.then', given.then, 'reconnect', ['reconnect', 'fail']),
  }
}

const NAMES: ReadonlySet<string> = new Set([
  'url',
  'clientId',
  'protocolVersion',
  'username',
  'password',
  'will',
  'properties',
  'cleanStart',
  'sessionExpiryInterval',
  'session',
  'keepAlive',
  'connectTimeout',
  'reconnect',
  'maxInflight',
  'receiveMaximum',
  'maxBufferedPackets',
  'maxBufferedBytes',
  'maximumPacketSize',
  'topicAliasMaximum',
  'acks',
  'onSessionLost',
  'ackTimeout',
  'quarantineAfter',
  'until',
  'disconnectReason',
  'onConnected',
  'onSettled',
  'onWarning',
  'warnAfterMs',
  'recorder',
  'signal',
  'tls',
  'transport',
  'platform',
  'headers',
  'connectOptions',
  'authenticator',
  'followRedirects',
  'connectivityCheck',
  'networkHints',
  'suspendAfterMs',
  'suspendedRetryMs',
  'divert',
] satisfies (keyof EventloopOptions)[])
