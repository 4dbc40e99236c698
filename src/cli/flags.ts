/**
 * Which flags do all commands share, and which options of a loop do they set? The loop checks their
 * bounds.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type EventloopOptions,
  type QoS,
  type Session,
  type SessionStore,
  UsageError,
  type WillOptions,
} from '../index.ts'

export interface ConnectionFlags {
  readonly url: string
  readonly clientId?: string
  readonly keepAlive?: number
  readonly mqtt?: '3' | '4' | '5'
  readonly maxInflight?: number
  readonly reconnect?: 'always' | 'after-first-success' | 'never'
  readonly connectTimeout?: number
  readonly disconnectTimeout: number
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly insecure?: boolean
  readonly willTopic?: string
  readonly willPayload?: string
  readonly willQos?: '0' | '1' | '2'
  readonly willRetain?: boolean
  readonly session?: string
  readonly quiet?: boolean
}

export function addConnectionFlags(command: Command): Command {
  const url = new Option(
    '-u, --url <url>',
    'mqtt, mqtts, tcp, tls, ws, wss or unix; may contain user:password; may be the first argument',
  )
  const reconnect = new Option(
    '--reconnect <when>',
    'when to connect again (default: after-first-success)',
  )
  return command
    .addOption(url.env('IT_MQTT_URL').default('mqtt://localhost'))
    .option('-i, --client-id <id>', 'default: generated, or the one of the session')
    .option('--keep-alive <seconds>', '0 for none (default: 60, over WebSocket 25)', number)
    .addOption(
      new Option('--mqtt <version>', 'default: 5, or 4 if 5 is refused').choices(['3', '4', '5']),
    )
    .option(
      '--max-inflight <count>',
      'how many publishes may be unacknowledged (default: 1000)',
      number,
    )
    .addOption(reconnect.choices(['always', 'after-first-success', 'never']))
    .option(
      '--connect-timeout <ms>',
      'for the whole attempt, up to the CONNACK (default: 30000)',
      number,
    )
    .option(
      '--disconnect-timeout <ms>',
      'how long Ctrl-C waits for what is in flight',
      number,
      10_000,
    )
    .option('--ca <file>', 'certificates to trust, in PEM')
    .option('--cert <file>', 'certificate of this client, in PEM')
    .option('--key <file>', 'key of that certificate, in PEM')
    .option('--insecure', 'do not verify the certificate of the server')
    .option('--will-topic <topic>')
    .option('--will-payload <text>')
    .addOption(qosOption('--will-qos <qos>', 'default: 0'))
    .option('--will-retain')
    .option(
      '--session <path>',
      'go on with the session in this file, and save it there every second; in a directory ' +
        '(dir/), after every step',
    )
    .option('-q, --quiet', 'write errors only')
}

export function qosOption(name: string, description: string): Option {
  return new Option(name, description).choices(['0', '1', '2'])
}

export function qosFlag(flag: '0' | '1' | '2' | undefined): QoS {
  return Number(flag ?? 0) as QoS
}

export function number(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(value)) throw new InvalidArgumentError('A number is expected.')
  return value
}

/**
 * @param saved The session of an earlier run, or the store that holds it; null without `--session`.
 * @returns the options of a loop.
 */
export function connectionOptions(
  flags: ConnectionFlags,
  saved: Session | SessionStore | null,
): EventloopOptions {
  const { keepAlive, mqtt, maxInflight, reconnect, connectTimeout } = flags
  const clientId = clientIdOf(flags, saved)
  const tls = tlsOf(flags)
  const will = willOf(flags)
  return {
    url: flags.url,
    ...(clientId === undefined ? {} : { clientId }),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...(mqtt === undefined ? {} : { protocolVersion: protocolVersionOf(mqtt) }),
    ...(maxInflight === undefined ? {} : { maxInflight }),
    ...(reconnect === undefined ? {} : { reconnect }),
    ...(connectTimeout === undefined ? {} : { connectTimeout }),
    ...(tls === undefined ? {} : { tls }),
    ...(will === undefined ? {} : { will }),
    ...(flags.session === undefined ? {} : { cleanStart: false }),
    ...(saved === null ? {} : { session: saved }),
  }
}

/** A session that is saved has an identifier of its own, so that the server keeps it for later. */
function clientIdOf(
  { clientId, session }: ConnectionFlags,
  saved: Session | SessionStore | null,
): string | undefined {
  if (clientId !== undefined || session === undefined || saved !== null) return clientId
  return `it-mqtt-${randomBytes(7).toString('hex')}`
}

export function protocolVersionOf(flag: '3' | '4' | '5' | undefined): 3 | 4 | 5 {
  return Number(flag ?? 5) as 3 | 4 | 5
}

function tlsOf({ url, ca, cert, key, insecure }: ConnectionFlags): EventloopOptions['tls'] {
  const given = { ca, cert, key, insecure }
  const name = Object.entries(given).find(([, value]) => value !== undefined)?.[0]
  if (name === undefined) return undefined
  if (/^(mqtt|tcp|unix|ws):/.test(url)) {
    throw new UsageError(
      `--${name} needs a connection with TLS; use a URL that begins with mqtts:// or wss://`,
    )
  }
  return {
    ...(ca === undefined ? {} : { ca: fileOf('--ca', ca) }),
    ...(cert === undefined ? {} : { cert: fileOf('--cert', cert) }),
    ...(key === undefined ? {} : { key: fileOf('--key', key) }),
    ...(insecure === undefined ? {} : { rejectUnauthorized: !insecure }),
  }
}

function fileOf(flag: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new UsageError(`${flag}: ${(error as Error).message}`, { cause: error })
  }
}

function willOf(flags: ConnectionFlags): WillOptions | undefined {
  const { willTopic, willPayload, willQos, willRetain } = flags
  if (willTopic === undefined) {
    const hasOthers = willPayload !== undefined || willQos !== undefined || willRetain !== undefined
    if (hasOthers) throw new UsageError('a will needs --will-topic')
    return undefined
  }
  return {
    topic: willTopic,
    payload: willPayload ?? '',
    qos: qosFlag(willQos),
    retain: willRetain ?? false,
  }
}
