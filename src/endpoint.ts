/**
 * Where to connect to and as whom: read from the options when it is needed, because a URL is a large object and a process may
 * hold thousands of connections.
 */
import type { Duplex } from 'node:stream'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { UsageError, wrong } from './errors.ts'
import type { EventloopOptions } from './options.ts'

/** Where a transport goes. */
export interface Endpoint {
  readonly url: URL
  readonly tls: TlsOptions
  /** Of packets to us, in bytes: what a transport in frames may take as their bound. */
  readonly maximumPacketSize: number
}

/** Opens a stream of bytes, or rejects; an abort of `signal` destroys what was begun. */
export type OpenTransport = (endpoint: Endpoint, signal: AbortSignal) => Promise<Duplex> | Duplex

const PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'tcp:': 1883,
  'mqtts:': 8883,
  'tls:': 8883,
  'ws:': 80,
  'wss:': 443,
}
const IN_FRAMES = ['ws:', 'wss:']
export const SCHEMES = [...Object.keys(PORTS), 'unix:']
/** What a transport is opened to. Made when it is needed: a URL is a large object. */
export function endpointOf(options: EventloopOptions): Endpoint {
  const { url, tls = NO_TLS, maximumPacketSize = PACKET_BYTES_MAX } = options
  return { url: new URL(url ?? 'custom://transport'), tls, maximumPacketSize }
}

/** Whether it goes by WebSocket, where idle connections are cut soon. (T2) */
export function isWebSocket({ url, transport }: EventloopOptions): boolean {
  return transport === undefined && url !== undefined && IN_FRAMES.includes(new URL(url).protocol)
}

/** The largest packet of MQTT [MQTT 2.1.4]. */
const PACKET_BYTES_MAX = 268_435_460

const NO_TLS: TlsOptions = {}

/** The endpoint for messages: without user and password. */
export function whereOf(options: EventloopOptions): string {
  const { protocol, host, pathname } = endpointOf(options).url
  return redact(`${protocol}//${host}${protocol === 'unix:' ? pathname : ''}`)
}

/** @throws UsageError for a URL, `tls` or `transport` that cannot be used. */
export function judgeEndpoint(options: EventloopOptions): void {
  const { url: given, tls = {}, transport } = options
  if (transport !== undefined && typeof transport !== 'function') {
    throw wrong(
      'transport',
      transport,
      'a function (endpoint, signal) that opens a stream of bytes',
    )
  }
  if (typeof tls !== 'object' || tls === null)
    throw wrong('tls', tls, 'an object of options for tls.connect')
  if (given === undefined && transport !== undefined) return
  if (given === undefined) throw wrong('url', given, 'a URL such as mqtt://localhost')
  let url: URL
  try {
    url = new URL(given)
  } catch {
    throw wrong(
      'url',
      typeof given === 'string' ? redact(given) : given,
      'a URL such as mqtt://localhost:1883',
    )
  }
  if (transport !== undefined) return
  if (!SCHEMES.includes(url.protocol))
    throw wrong('url', url.protocol, `one of the schemes ${SCHEMES.join(' ')}`)
  if (url.protocol === 'unix:' ? url.pathname === '' : url.hostname === '') {
    throw wrong(
      'url',
      redact(url.href),
      'a URL with a host (mqtt://localhost), or unix:/path/of/socket',
    )
  }
}

export function defaultPort(url: URL): number {
  return url.port === '' ? (PORTS[url.protocol] ?? 0) : Number(url.port)
}

/** A URL for messages: without its password. */
export function redact(url: string): string {
  return url.replace(/\/\/([^/@:]*):.*@/, '//$1:***@')
}

/** User name and password: the options' own, or those in the URL. */
export function credentials(options: EventloopOptions) {
  const { url } = endpointOf(options)
  const decode = (part: string) => {
    try {
      return part === '' ? undefined : decodeURIComponent(part)
    } catch {
      throw new UsageError('url: its user name or password has a "%" that is no escape; write %25')
    }
  }
  const username = options.username === undefined ? decode(url.username) : options.username
  const password = options.password === undefined ? decode(url.password) : options.password
  if (username !== undefined && typeof username !== 'string')
    throw wrong('username', username, 'a string')
  if (password !== undefined && typeof password !== 'string' && !(password instanceof Uint8Array)) {
    // Not the value: it may be the secret itself in the wrong form.
    const given = password === null ? 'null' : `a ${typeof password}`
    throw new UsageError(`password: a string or bytes are expected, ${given} was given`)
  }
  for (const [name, value] of Object.entries({ username, password })) {
    if (typeof value !== 'string' && !(value instanceof Uint8Array)) continue
    const bytes = typeof value === 'string' ? Buffer.byteLength(value) : value.length
    if (bytes > 65_535)
      throw new UsageError(`${name}: at most 65,535 bytes are allowed, ${bytes} were given`)
  }
  return { username, password }
}
