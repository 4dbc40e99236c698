/**
 * What is a bench to do? The flags become a plan here: everything that has no effect or cannot work
 * is refused before the first connection.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { InvalidArgumentError } from 'commander'
import { type EventloopOptions, publish, type QoS, subscribe, UsageError } from '../../index.ts'
import { checkFlags } from '../check-flags.ts'
import {
  type ConnectionFlags,
  connectionOptions,
  number,
  protocolVersionOf,
  qosFlag,
  topicOfUrl,
} from '../flags.ts'
import { type PropertyFlags, propertiesOf } from '../property-flags.ts'
import { fileOf } from '../tls-flags.ts'
import { RUNS, STAMP_BYTES } from './stamp.ts'

export type BenchKind = 'conn' | 'pub' | 'sub' | 'pub-sub'

export interface BenchFlags extends Omit<ConnectionFlags, 'localAddress'> {
  readonly clients: number
  readonly subscribers?: number
  readonly connectRate?: number
  readonly startNumber: number
  readonly localAddress?: readonly string[]
  readonly topic?: readonly string[]
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
  readonly size?: SizeRange
  readonly message?: string
  readonly file?: string
  readonly rate?: number
  readonly messages?: number
  readonly duration?: number
  readonly warmUp: number
  readonly ackTimeout: number
  readonly timeout?: number
  readonly failAbove?: readonly Threshold[]
  readonly json?: boolean
  readonly svg?: string
}

interface SizeRange {
  readonly min: number
  readonly max: number
}

/** The bench has failed if this percentile of its latency is above so many ms. */
interface Threshold {
  readonly text: string
  readonly percentile: number
  readonly ms: number
}

export interface Plan {
  readonly kind: BenchKind
  /** A random number that tells the messages of this run from others. */
  readonly run: number
  readonly publishers: number
  readonly subscribers: number
  /** Clients that neither publish nor subscribe. */
  readonly idlers: number
  /** Connections a second, or null for as fast as the server accepts them. */
  readonly connectRate: number | null
  /** Messages a second of all publishers together, or null for as fast as the window allows. */
  readonly rate: number | null
  /** How many messages are measured, or null if time alone ends the bench. */
  readonly messages: number | null
  /** How long is measured, or null if the number of messages, or the user, ends the bench. */
  readonly durationMs: number | null
  readonly warmUpMs: number
  readonly ackTimeoutMs: number
  readonly timeoutMs: number | null
  /** How long Ctrl-C waits for what is under way. */
  readonly interruptedMs: number
  /** Topics or filters, with %i and %c in them. */
  readonly topics: readonly string[]
  readonly qos: QoS
  readonly retain: boolean
  /** The properties of -D, for publishes and subscriptions. */
  readonly properties: PropertyFlags
  readonly size: SizeRange
  /** The content of each message, or null if it has a size only. */
  readonly content: Buffer | null
  readonly durable: boolean
  readonly thresholds: readonly Threshold[]
  /** The most publishes in flight for each client, as far as the client decides. */
  readonly window: number
  readonly localAddresses: readonly string[]
  /** The server, without user name and password. */
  readonly server: string
  readonly startNumber: number
  /** The options of the client with this number, from 0. */
  readonly optionsOf: (client: number) => EventloopOptions & { readonly clientId: string }
}

const DEFAULT_SIZE: SizeRange = { min: 100, max: 100 }
const DEFAULT_WINDOW = 1000
/** mosquitto loses messages at QoS 2 beyond so many, so the loop sends no more with MQTT 3. */
const WINDOW_OF_QOS2_MQTT3 = 20
/** A bench that is killed leaves its sessions behind for no longer than this. */
const DURABLE_EXPIRY_S = 300
/** How long `pub` and `pub-sub` send if the user says nothing. */
const DEFAULT_DURATION_MS = 10_000

/** @throws UsageError if the flags contradict each other or cannot work. */
export function planOf(kind: BenchKind, flags: BenchFlags): Plan {
  refuseContradictions(kind, flags)
  const publishes = kind === 'pub' || kind === 'pub-sub'
  const { clients, rate = null, messages = null, duration, mqtt, maxInflight, timeout } = flags
  const size = flags.size ?? DEFAULT_SIZE
  const content = messageContent(flags)
  if (kind === 'pub-sub' && content === null && size.min < STAMP_BYTES) {
    throw new UsageError(
      `--size: a message of pub-sub has at least ${STAMP_BYTES} bytes, for its number and its time`,
    )
  }
  const run = randomInt(RUNS)
  const topics = topicsOf(kind, flags, run)
  const qos = qosFlag(flags.qos)
  const isOldQos2 = qos === 2 && mqtt !== undefined && protocolVersionOf(mqtt) < 5
  const optionsOf = optionsBy(flags)
  const byDefault = publishes && messages === null ? DEFAULT_DURATION_MS : null
  return {
    ...{ kind, run, rate, messages, topics, qos, size, content },
    publishers: publishes ? clients : 0,
    subscribers: kind === 'sub' ? clients : kind === 'pub-sub' ? (flags.subscribers ?? clients) : 0,
    idlers: kind === 'conn' ? clients : 0,
    connectRate: flags.connectRate ?? null,
    durationMs: duration ?? byDefault,
    warmUpMs: flags.warmUp,
    ackTimeoutMs: flags.ackTimeout,
    timeoutMs: timeout === undefined ? null : timeout * 1000,
    interruptedMs: flags.disconnectTimeout,
    retain: flags.retain ?? false,
    properties: propertiesOf(flags.property),
    durable: flags.disableCleanSession ?? false,
    thresholds: flags.failAbove ?? [],
    window: maxInflight ?? (isOldQos2 ? WINDOW_OF_QOS2_MQTT3 : DEFAULT_WINDOW),
    localAddresses: flags.localAddress ?? [],
    server: serverName(optionsOf(0)),
    startNumber: flags.startNumber,
    optionsOf,
  }
}

function refuseContradictions(kind: BenchKind, flags: BenchFlags): void {
  const { clientId, clientIdPrefix, clients, messages, duration } = flags
  const isAlone = clients === 1 && kind !== 'pub-sub'
  if (clientId !== undefined && clientIdPrefix !== undefined) {
    throw new UsageError('-i and -I exclude each other')
  }
  if (clientId !== undefined && !isAlone && !clientId.includes('%i')) {
    throw new UsageError('-i needs %i, the number of the client, if there are several clients')
  }
  if (messages !== undefined && duration !== undefined && kind !== 'sub') {
    throw new UsageError('--messages and --duration exclude each other')
  }
  const ways = [
    ...(flags.size === undefined ? [] : ['--size']),
    ...(flags.message === undefined ? [] : ['-m']),
    ...(flags.file === undefined ? [] : ['-f']),
  ]
  if (ways.length > 1) throw new UsageError(`${ways.join(' and ')} exclude each other`)
}

function messageContent({ message, file }: BenchFlags): Buffer | null {
  if (message !== undefined) return Buffer.from(message)
  return file === undefined ? null : fileOf('-f', file)
}

/** @returns the topics, or one of their own for each run so that two runs do not meet. */
function topicsOf(kind: BenchKind, flags: BenchFlags, run: number): readonly string[] {
  const { localAddress: _, ...others } = flags
  const fromUrl = topicOfUrl(others)
  const given = [...(flags.topic ?? []), ...(fromUrl === null ? [] : [fromUrl])]
  if (kind === 'conn') {
    if (given.length > 0) throw new UsageError('-L gives a topic, which conn has no use for')
    return []
  }
  if (kind === 'sub' && given.length === 0) {
    throw new UsageError('the topic is missing: write -t topic; %i stands for the client')
  }
  const topics = given.length > 0 ? given : [`it-mqtt-bench/${run.toString(36)}/%i`]
  const version = protocolVersionOf(flags.mqtt)
  for (const topic of topics) {
    const sample = topicFor(topic, 1, 'c', flags.username)
    checkFlags(kind === 'sub' ? subscribe(sample) : publish(sample, ''), version)
  }
  return topics
}

/** @returns a topic with the client for %i, its identifier for %c and the user name for %u. */
export function topicFor(
  template: string,
  client: number,
  clientId: string,
  username = '',
): string {
  const values: Readonly<Record<string, string>> = { i: String(client), c: clientId, u: username }
  return template.replace(/%([icu])/g, (_, letter: string) => values[letter]!)
}

function optionsBy(flags: BenchFlags): Plan['optionsOf'] {
  const { clientId, clientIdPrefix, startNumber, localAddress = [], ...others } = flags
  const prefix = clientIdPrefix ?? `bench-${randomBytes(3).toString('hex')}-`
  const template = clientId ?? `${prefix}%i`
  const durable = flags.disableCleanSession ?? false
  // In MQTT 3 a session that is durable stays until it is ended.
  const hasExpiry = protocolVersionOf(flags.mqtt) === 5
  const expiry = flags.sessionExpiry ?? (durable ? (hasExpiry ? DURABLE_EXPIRY_S : undefined) : 0)
  const options = connectionOptions(durable ? { ...others, clientId: template } : others, null)
  return (client) => ({
    ...options,
    // The session of a client that is not durable ends with its connection.
    ...(expiry === undefined ? {} : { sessionExpiryInterval: expiry }),
    clientId: template.replaceAll('%i', String(startNumber + client)),
    ...(localAddress.length === 0
      ? {}
      : { localAddress: localAddress[client % localAddress.length]! }),
    ackTimeout: { afterMs: flags.ackTimeout, then: 'fail' },
  })
}

function serverName({ url }: EventloopOptions): string {
  const plain = new URL(String(url))
  plain.username = ''
  plain.password = ''
  return plain.href
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** @returns the milliseconds of `500ms`, `60s`, `5m`, `1h` or a number of seconds. */
export function milliseconds(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim()) ?? []
  if (digits === undefined) {
    throw new InvalidArgumentError('A time is expected: 500ms, 60s, 5m, 1h, or seconds.')
  }
  return Number(digits) * UNITS_MS[unit]!
}

export function longerThanZero(text: string): number {
  const ms = milliseconds(text)
  if (ms < 1) throw new InvalidArgumentError('A time above 0 is expected.')
  return ms
}

/** @returns the number of `1000` or `1000/s`. */
export function perSecond(text: string): number {
  const value = number(text.replace(/\/s$/, ''))
  if (value <= 0) throw new InvalidArgumentError('A number above 0 is expected: 1000, or 1000/s.')
  return value
}

/** @returns the sizes of `100` or `100-2000`. */
export function sizeRange(text: string): SizeRange {
  const [, min, max = min] = /^(\d+)(?:-(\d+))?$/.exec(text.trim()) ?? []
  const range = { min: Number(min), max: Number(max) }
  const isGood = range.min <= range.max && range.max <= 268_000_000
  if (!isGood) throw new InvalidArgumentError('Bytes are expected: 100, or 100-2000.')
  return range
}

/** Parses `p99=50ms`; may be given several times. */
export function threshold(text: string, before: readonly Threshold[] = []): Threshold[] {
  const [, name, limit] = /^(p\d\d(?:\.\d+)?|max)=(.+)$/.exec(text) ?? []
  if (name === undefined || limit === undefined) {
    throw new InvalidArgumentError('A percentile and a time are expected: p99=50ms, or max=1s.')
  }
  const percentile = name === 'max' ? 100 : Number(name.slice(1))
  return [...before, { text, percentile, ms: milliseconds(limit) }]
}
