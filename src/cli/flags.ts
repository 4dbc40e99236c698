/**
 * The options that all commands share, and what they mean to the engine. Bounds are the engine's to judge.
 */
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
    'mqtt, mqtts, tcp, tls, ws, wss or unix; may carry user:password, and may be the first argument',
  )
  const reconnect = new Option('--reconnect <when>', 'what a lost or refused connection leads to')
  return command
    .addOption(url.env('IT_MQTT_URL').default('mqtt://localhost'))
    .option('-i, --client-id <id>', 'default: generated, or that of the session')
    .option('--keep-alive <seconds>', '0 = none (default: 60, over WebSocket 25)', number)
    .addOption(
      new Option('--mqtt <version>', 'default: 5, or 4 where 5 is refused').choices([
        '3',
        '4',
        '5',
      ]),
    )
    .option('--max-inflight <count>', 'publishes without acknowledgement (default: 1000)', number)
    .addOption(reconnect.choices(['always', 'after-first-success', 'never']))
    .option('--connect-timeout <ms>', 'for the whole way to the CONNACK (default: 10000)', number)
    .option(
      '--disconnect-timeout <ms>',
      'how long Ctrl-C waits for what is in flight',
      number,
      10_000,
    )
    .option('--ca <file>', 'certificates to trust, PEM')
    .option('--cert <file>', 'our certificate, PEM')
    .option('--key <file>', 'the key of our certificate, PEM')
    .option('--insecure', 'do not verify the certificate of the server')
    .option('--will-topic <topic>')
    .option('--will-payload <text>')
    .addOption(qosOption('--will-qos <qos>', 'default: 0'))
    .option('--will-retain')
    .option(
      '--session <path>',
      'keep the session in this file, and go on with the one that is kept; a directory (dir/) keeps it at every step',
    )
    .option('-q, --quiet', 'say only what went wrong')
}

export function qosOption(name: string, description: string): Option {
  return new Option(name, description).choices(['0', '1', '2'])
}

export function qosOf(flag: '0' | '1' | '2' | undefined): QoS {
  return Number(flag ?? 0) as QoS
}

export function number(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(value)) throw new InvalidArgumentError('A number is expected.')
  return value
}

/** The options of a loop. `saved`: the session of an earlier run, or what keeps it. */
export function connectionOptions(
  flags: ConnectionFlags,
  saved: Session | SessionStore | null,
): EventloopOptions {
  const { clientId, keepAlive, mqtt, maxInflight, reconnect, connectTimeout } = flags
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

export function protocolVersionOf(flag: '3' | '4' | '5' | undefined): 3 | 4 | 5 {
  return Number(flag ?? 5) as 3 | 4 | 5
}

function tlsOf({ url, ca, cert, key, insecure }: ConnectionFlags): EventloopOptions['tls'] {
  const given = { ca, cert, key, insecure }
  const name = Object.entries(given).find(([, value]) => value !== undefined)?.[0]
  if (name === undefined) return undefined
  if (/^(mqtt|tcp|unix|ws):/.test(url)) {
    throw new UsageError(`--${name} needs a connection with TLS: write mqtts:// or wss:// instead`)
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
    const orphan = willPayload !== undefined || willQos !== undefined || willRetain !== undefined
    if (orphan) throw new UsageError('a will needs --will-topic')
    return undefined
  }
  return {
    topic: willTopic,
    payload: willPayload ?? '',
    qos: qosOf(willQos),
    retain: willRetain ?? false,
  }
}
