/**
 * Where to connect to and as whom: read from the options when it is needed, because a URL is a large object and a process may
 * hold thousands of connections.
 */
import type { Duplex } from 'node:stream'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConnectionError, describe, UsageError, wrong } from '../errors.ts'
import { PACKET_BYTES_MAX } from '../protocol/sizes.ts'
import type { EventloopOptions } from './options.ts'

/** Where a transport goes. */
export interface Endpoint {
  readonly url: URL
  readonly tls: TlsOptions
  /** Of packets to us, in bytes: what a transport in frames may take as their bound. */
  readonly maximumPacketSize: number
  /** Of the handshake, where the transport has one. */
  readonly headers: HandshakeHeaders
}

export type HandshakeHeaders = Readonly<Record<string, string>>

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
  const { tls = NO_TLS, maximumPacketSize = PACKET_BYTES_MAX, headers = NO_HEADERS } = options
  const [url = 'custom://transport'] = urlsOf(options)
  return { url: new URL(url), tls, maximumPacketSize, headers }
}

/** The servers, the primary first; none where only the transport knows. */
export function urlsOf({ url }: Pick<EventloopOptions, 'url'>): readonly (string | URL)[] {
  if (url === undefined) return []
  return typeof url === 'string' || url instanceof URL ? [url] : url
}

/**
 * Where a Server Reference leads, the first of its list: another host and port under our own scheme, so that nobody can send us
 * from TLS to the clear. (4.11)
 */
export function redirected(from: URL, reference: string): string {
  const [first = ''] = reference.trim().split(/\s+/)
  const host = first.replace(/^[a-z]+:\/\//i, '')
  const { protocol, pathname, search } = from
  const scheme = protocol === 'unix:' || !SCHEMES.includes(protocol) ? 'mqtt:' : protocol
  const url = `${scheme}//${host}${IN_FRAMES.includes(scheme) ? pathname + search : ''}`
  if (/^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host) && URL.canParse(url)) return url
  const message = `the Server Reference ${describe(reference)} names no host`
  throw new ConnectionError(message, { code: 'BAD_SERVER_REFERENCE', retryable: true })
}

/** Whether it goes by WebSocket, where idle connections are cut soon. (T2) */
export function isWebSocket(options: EventloopOptions): boolean {
  if (options.transport !== undefined) return false
  return urlsOf(options).some((url) => IN_FRAMES.includes(new URL(url).protocol))
}

const NO_TLS: TlsOptions = {}
const NO_HEADERS: HandshakeHeaders = {}

/** The endpoint for messages: without user and password. */
export function whereOf(options: EventloopOptions): string {
  const { protocol, host, pathname } = endpointOf(options).url
  return redact(`${protocol}//${host}${protocol === 'unix:' ? pathname : ''}`)
}

/** @throws UsageError for a URL, `headers`, `tls` or `transport` that cannot be used. */
export function judgeEndpoint(options: EventloopOptions): void {
  const { url: given, tls = {}, transport, headers = {} } = options
  if (transport !== undefined && typeof transport !== 'function') {
    throw wrong(
      'transport',
      transport,
      'a function (endpoint, signal) that opens a stream of bytes',
    )
  }
  if (typeof tls !== 'object' || tls === null)
    throw wrong('tls', tls, 'an object of options for tls.connect')
  const prototype = typeof headers === 'object' ? Object.getPrototypeOf(headers ?? []) : undefined
  const plain = prototype === Object.prototype || prototype === null
  if (!plain || Object.values(headers).some((line) => typeof line !== 'string')) {
    // Not the value: headers carry secrets. A Headers or a Map has nothing that spreading would copy.
    throw new UsageError('headers: a plain object of strings is expected')
  }
  if (given === undefined && transport !== undefined) return
  const urls = Array.isArray(given) ? given : [given]
  if (urls.length === 0) throw new UsageError('url: the list is empty; it needs one URL at least')
  urls.forEach((url: unknown, i) => {
    judgeUrl(url, Array.isArray(given) ? `url[${i}]` : 'url', transport !== undefined)
  })
}

function judgeUrl(given: unknown, name: string, custom: boolean): void {
  const example = 'a URL such as mqtt://localhost:1883'
  if (typeof given !== 'string' && !(given instanceof URL)) throw wrong(name, given, example)
  let url: URL
  try {
    url = new URL(given)
  } catch {
    throw wrong(name, redact(String(given)), example)
  }
  if (custom) return
  if (!SCHEMES.includes(url.protocol))
    throw wrong(name, url.protocol, `one of the schemes ${SCHEMES.join(' ')}`)
  if (url.protocol === 'unix:' ? url.pathname === '' : url.hostname === '') {
    throw wrong(
      name,
      redact(url.href),
      'a URL with a host (mqtt://localhost), or unix:/path/of/socket',
    )
  }
}

export function defaultPort(url: URL): number {
  return url.port === '' ? (PORTS[url.protocol] ?? 0) : Number(url.port)
}

/** A URL for messages: without its password, however many slashes were forgotten, and without its query, which may be signed. */
export function redact(url: string): string {
  return url.replace(/^([a-z][a-z\d+.-]*:\/*)([^/@:]*):.*@/i, '$1$2:***@').replace(/\?.*$/s, '?…')
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
