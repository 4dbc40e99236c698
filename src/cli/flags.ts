/**
 * Which flags do all commands share, and which options of a loop do they set? A flag has the letter
 * that it has in the mosquitto clients. The loop checks the bounds of the values.
 */
import { randomBytes } from 'node:crypto'
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type EventloopOptions,
  type QoS,
  type Session,
  type SessionStore,
  UsageError,
  type WillOptions,
} from '../index.ts'
import {
  type Commands,
  type PropertyFlags,
  PropertyOption,
  propertiesOf,
} from './property-flags.ts'
import { proxied } from './proxy.ts'
import { type ServerFlags, serverOf, srvLookup } from './server-url.ts'
import { type TlsFlags, tlsFlagOf, tlsOf, tlsOptions } from './tls-flags.ts'

export interface ConnectionFlags extends ServerFlags, TlsFlags {
  readonly localAddress?: string
  readonly proxy?: string
  readonly username?: string
  readonly password?: string
  readonly passwordFile?: string
  readonly askPassword?: boolean
  readonly clientId?: string
  readonly clientIdPrefix?: string
  readonly keepAlive?: number
  readonly mqtt?: Version
  readonly disableCleanSession?: boolean
  readonly sessionExpiry?: number
  readonly property?: readonly string[]
  readonly maxInflight?: number
  readonly reconnect?: 'always' | 'after-first-success' | 'never'
  readonly connectTimeout?: number
  readonly disconnectTimeout: number
  readonly willTopic?: string
  readonly willPayload?: string
  readonly willQos?: '0' | '1' | '2'
  readonly willRetain?: boolean
  readonly session?: string
  readonly debug?: boolean
  readonly quiet?: boolean
}

type Version = keyof typeof MQTT_VERSIONS

/** The versions of MQTT by the names that `-V` takes. */
const MQTT_VERSIONS = {
  ...{ '5': 5, '4': 4, '3': 3, '311': 4, '31': 3 },
  ...{ mqttv5: 5, mqttv311: 4, mqttv31: 3 },
} as const satisfies Record<string, 3 | 4 | 5>

/** The Session Expiry Interval of a session that does not expire. */
const NEVER_S = 0xffff_ffff

interface Choice {
  /** The long names of options that the command has in another form, or not at all. */
  readonly without?: readonly string[]
  /** The packets beside CONNECT that the command sends, with properties from `-D`. */
  readonly packets?: readonly Commands[]
}

export function addConnectionFlags(
  command: Command,
  { without = [], packets = [] }: Choice = {},
): Command {
  const groups: readonly [title: string, options: readonly Option[]][] = [
    ['Server:', serverOptions()],
    ['Who connects:', identityOptions()],
    ['Connection:', behaviourOptions(packets)],
    ['TLS:', tlsOptions()],
    ['Will:', willOptions()],
  ]
  for (const [title, options] of groups) {
    for (const option of options) {
      if (!without.includes(option.long ?? '')) command.addOption(option.helpGroup(title))
    }
  }
  return command
}

function serverOptions(): Option[] {
  const url = new Option(
    '--url <url>',
    'mqtt, mqtts, tcp, tls, unix, or ws and wss, for which the package ws has to be installed; ' +
      'may contain user:password; may be the first argument (default: mqtt://localhost)',
  )
  return [
    new Option('-h, --host <host>', 'the server, instead of a URL (default: localhost)'),
    new Option('-p, --port <port>', 'with -h; 8883 means TLS (default: 1883)').argParser(port),
    url.env('IT_MQTT_URL'),
    new Option('-L <url>', 'server and topic: mqtt://host/topic'),
    new Option('--unix <path>', 'a Unix domain socket'),
    new Option('-S, --srv', 'ask the DNS for the servers of the domain that -h names (SRV)'),
    new Option('-A, --local-address <address>', 'connect from this address of this machine'),
    new Option('--proxy <url>', 'a SOCKS 5 proxy: socks5h://user:password@host:1080'),
    new Option('--nodelay', 'always so; accepted because mosquitto_pub has it'),
  ]
}

function identityOptions(): Option[] {
  return [
    new Option('-u, --username <name>'),
    new Option('-P, --password <password>', 'other users of this machine may see it').env(
      'IT_MQTT_PASSWORD',
    ),
    new Option('--password-file <file>', 'the password is in this file'),
    new Option('--ask-password', 'ask for the password at the terminal'),
    new Option('-i, --client-id <id>', 'default: generated, or the one of the session'),
    new Option('-I, --client-id-prefix <text>', 'the client identifier is this and a number'),
    new Option(
      '--session <path>',
      'go on with the session in this file, and save it there every second; in a directory ' +
        '(dir/), after every step, for which the package classic-level has to be installed',
    ),
    new Option(
      '-c, --disable-clean-session',
      'go on with the session that the server has for -i, and leave it there',
    ),
    new Option(
      '-x, --session-expiry <seconds>',
      'how long the server keeps the session of a lost connection, and with -c of one that ended ' +
        'in order; -1 for ever (default: 300; with -c -1)',
    ).argParser(seconds),
  ]
}

function behaviourOptions(packets: readonly Commands[]): Option[] {
  const versions = Object.keys(MQTT_VERSIONS)
  return [
    new Option('-k, --keep-alive <seconds>', '0 for none (default: 60; WebSocket 25)').argParser(
      number,
    ),
    new Option('-V, --mqtt <version>', 'default: 5, or 4 if 5 is refused').choices(versions),
    new PropertyOption(['connect', ...packets, 'will']),
    new Option(
      '-M, --max-inflight <count>',
      'how many publishes may be unacknowledged (default: 1000)',
    ).argParser(number),
    new Option(
      '--reconnect <when>',
      'when to connect again (default: after-first-success; with pipe --spool: always)',
    ).choices(['always', 'after-first-success', 'never']),
    new Option(
      '--connect-timeout <ms>',
      'for the whole attempt, up to the CONNACK (default: 30000)',
    ).argParser(number),
    new Option('--disconnect-timeout <ms>', 'how long Ctrl-C waits for what is in flight')
      .argParser(timeLimit)
      .default(10_000),
    new Option('-d, --debug', 'write each packet to standard error'),
    new Option('--quiet', 'write errors only'),
  ]
}

function willOptions(): Option[] {
  return [
    new Option('--will-topic <topic>', 'the server publishes here if this client is cut off'),
    new Option('--will-payload <text>', 'default: empty'),
    qosOption('--will-qos <qos>', 'default: 0'),
    new Option('--will-retain', 'ask the server to retain the will'),
  ]
}

export function qosOption(name: string, description: string): Option {
  return new Option(name, description).choices(['0', '1', '2'])
}

export function qosFlag(flag: '0' | '1' | '2' | undefined, otherwise: QoS = 0): QoS {
  return flag === undefined ? otherwise : (Number(flag) as QoS)
}

/**
 * @returns the QoS of messages for which the user names none. What is stored until it is delivered
 *   has QoS 1: at QoS 0 it would count as delivered before the server has it.
 */
export function keptQos(flags: { session?: string; checkpoint?: string; spool?: string }): QoS {
  return [flags.session, flags.checkpoint, flags.spool].some((path) => path !== undefined) ? 1 : 0
}

export function number(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(value)) throw new InvalidArgumentError('A number is expected.')
  return value
}

function port(text: string): number {
  const value = number(text)
  if (Number.isInteger(value) && value >= 1 && value <= 65_535) return value
  throw new InvalidArgumentError('1 to 65535 is expected.')
}

function timeLimit(text: string): number {
  const value = number(text)
  if (value < 0) throw new InvalidArgumentError('A number of milliseconds is expected.')
  return value
}

/** Parses an option that may be given several times. */
export function severalTimes(text: string, before: readonly string[] = []): string[] {
  return [...before, text]
}

function seconds(text: string): number {
  return text === '-1' || text === '∞' ? NEVER_S : number(text)
}

/** @returns the topic of `-L`, or null if there is none. */
export function topicOfUrl(flags: ConnectionFlags): string | null {
  return serverOf(flags, tlsFlagOf(flags) !== undefined).topic
}

/**
 * @param saved The session of an earlier run, or the store that holds it; null without `--session`.
 * @returns the options of a loop.
 */
export function connectionOptions(
  flags: ConnectionFlags,
  saved: Session | SessionStore | null,
): EventloopOptions {
  const { username, password, keepAlive, maxInflight, reconnect, connectTimeout } = flags
  const wantsTls = tlsFlagOf(flags) !== undefined
  const { url } = serverOf(flags, wantsTls)
  const clientId = clientIdOf(flags, saved)
  const tls = tlsOf(flags, url)
  const properties = propertiesOf(flags.property)
  const will = willOf(flags, properties.will)
  const { proxy, localAddress } = flags
  return {
    url,
    ...(flags.srv ? { connectOptions: srvLookup(flags, wantsTls) } : {}),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(proxy === undefined ? {} : { transport: proxied(proxy) }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...versionOf(flags),
    ...(maxInflight === undefined ? {} : { maxInflight }),
    ...(reconnect === undefined ? {} : { reconnect }),
    ...(connectTimeout === undefined ? {} : { connectTimeout }),
    ...(tls === undefined ? {} : { tls }),
    ...(will === undefined ? {} : { will }),
    ...connectProperties(properties.connect),
    ...sessionOptions(flags, properties.connect?.sessionExpiryInterval),
    ...(saved === null ? {} : { session: saved }),
  }
}

/** The version that is asked for, if one is. `-D` asks for MQTT 5. */
function versionOf(flags: ConnectionFlags): Pick<EventloopOptions, 'protocolVersion'> {
  const { mqtt, property } = flags
  if (mqtt === undefined) return property === undefined ? {} : { protocolVersion: 5 }
  const protocolVersion = MQTT_VERSIONS[mqtt]
  if (property !== undefined && protocolVersion !== 5) {
    throw new UsageError(`-D needs MQTT 5; leave out -V ${mqtt}`)
  }
  return { protocolVersion }
}

/** The properties of `-D connect`, of which some are options of a loop. */
function connectProperties(given: PropertyFlags['connect'] = {}): Partial<EventloopOptions> {
  const { receiveMaximum, maximumPacketSize, topicAliasMaximum, ...others } = given
  const { sessionExpiryInterval: _, ...rest } = others
  return {
    ...(receiveMaximum === undefined ? {} : { receiveMaximum }),
    ...(maximumPacketSize === undefined ? {} : { maximumPacketSize }),
    ...(topicAliasMaximum === undefined ? {} : { topicAliasMaximum }),
    ...(Object.keys(rest).length === 0 ? {} : { properties: rest }),
  }
}

/** @param ofProperty the Session Expiry Interval of `-D connect`. */
function sessionOptions(
  flags: ConnectionFlags,
  ofProperty: number | undefined,
): Partial<EventloopOptions> {
  const { session, disableCleanSession, sessionExpiry, mqtt, clientId } = flags
  if (disableCleanSession && session !== undefined) {
    throw new UsageError('-c has no effect beside --session, which goes on with a session too')
  }
  if (disableCleanSession && clientId === undefined) {
    throw new UsageError(
      '-c needs the client identifier of the session: write -i too; a profile is --profile name',
    )
  }
  const isVersion5 = mqtt === undefined || MQTT_VERSIONS[mqtt] === 5
  if (sessionExpiry !== undefined && ofProperty !== undefined) {
    throw new UsageError('-x and -D connect session-expiry-interval exclude each other')
  }
  const byDefault = disableCleanSession && isVersion5 ? NEVER_S : undefined
  const expiry = sessionExpiry ?? ofProperty ?? byDefault
  return {
    ...(session === undefined && !disableCleanSession ? {} : { cleanStart: false }),
    ...(expiry === undefined ? {} : { sessionExpiryInterval: expiry }),
  }
}

/** A session that is saved has an identifier of its own, so that the server keeps it for later. */
function clientIdOf(
  { clientId, clientIdPrefix, session }: ConnectionFlags,
  saved: Session | SessionStore | null,
): string | undefined {
  if (clientIdPrefix !== undefined) {
    if (clientId !== undefined) throw new UsageError('-i and -I exclude each other')
    if (session !== undefined) throw new UsageError('--session needs -i: -I changes at every run')
    return `${clientIdPrefix}${process.pid}`
  }
  if (clientId !== undefined || session === undefined || saved !== null) return clientId
  return `it-mqtt-${randomBytes(7).toString('hex')}`
}

export function protocolVersionOf(flag: Version | undefined): 3 | 4 | 5 {
  return flag === undefined ? 5 : MQTT_VERSIONS[flag]
}

function willOf(
  flags: ConnectionFlags,
  properties: PropertyFlags['will'],
): WillOptions | undefined {
  const { willTopic, willPayload, willQos, willRetain } = flags
  if (willTopic === undefined) {
    const others = [willPayload, willQos, willRetain, properties]
    if (others.some((one) => one !== undefined)) throw new UsageError('a will needs --will-topic')
    return undefined
  }
  return {
    topic: willTopic,
    payload: willPayload ?? '',
    qos: qosFlag(willQos),
    retain: willRetain ?? false,
    ...(properties === undefined ? {} : { properties }),
  }
}
