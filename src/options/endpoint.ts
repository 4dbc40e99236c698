/**
 * Which server does a connection go to, and with which credentials? Both are read from the options
 * each time they are needed, because a URL is a large object and a process may hold thousands of
 * connections.
 */

import type { TlsOptions } from '#runtime'
import { ConnectionError, describe, UsageError } from '../errors.ts'
import type { Endpoint, HandshakeHeaders, SocketOptions } from '../platform/byte-stream.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import { PACKET_BYTES_MAX, utf8Length } from '../protocol/sizes.ts'
import { wrong } from '../requests/check.ts'
import { type Address, addressOf, schemeOf } from './address.ts'
import type { EventloopOptions } from './options.ts'

/** The schemes of our own transports, with their default ports. */
export const SCHEMES = {
  'mqtt:': 1883,
  'tcp:': 1883,
  'mqtts:': 8883,
  'tls:': 8883,
  'ws:': 80,
  'wss:': 443,
  'unix:': 0,
} as const

export type Scheme = keyof typeof SCHEMES

/** The default of `connectTimeout`, in ms. */
export const CONNECT_TIMEOUT_MS = 30_000

const NO_TLS: TlsOptions = {}
const NO_HEADERS: HandshakeHeaders = {}

/** @returns the endpoint of the first URL, for an attempt with this version. */
export function endpointOf(options: EventloopOptions, version: ProtocolVersion): Endpoint {
  const { tls = NO_TLS, maximumPacketSize = PACKET_BYTES_MAX, headers = NO_HEADERS } = options
  const { url: shared, host } = addressOfServer(options)
  // A transport of the user may change its URL.
  const url = options.transport === undefined ? shared : new URL(shared)
  return {
    ...{ url, host, port: portOf(url), tls, headers, maximumPacketSize },
    socket: socketOptionsOf(options),
    connectTimeout: options.connectTimeout ?? CONNECT_TIMEOUT_MS,
    subprotocol: version === 3 ? 'mqttv3.1' : 'mqtt',
    lenient: options.tolerance !== 'strict',
  }
}

function addressOfServer(options: EventloopOptions): Address {
  const [url = 'custom://transport'] = urlsOf(options)
  return addressOf(url)
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (SCHEMES[protocol as Scheme] ?? 0) : Number(port)
}

function socketOptionsOf({ family, localAddress, lookup }: EventloopOptions): SocketOptions {
  return {
    ...(family === undefined ? {} : { family }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(lookup === undefined ? {} : { lookup }),
  }
}

/** @returns the servers, the primary first; none if the user gives a transport and no URL. */
export function urlsOf({ url }: Pick<EventloopOptions, 'url'>): readonly (string | URL)[] {
  if (url === undefined) return []
  return typeof url === 'string' || url instanceof URL ? [url] : url
}

const WEBSOCKET_SCHEMES: readonly string[] = ['ws:', 'wss:']

/**
 * Only host and port are taken from a Server Reference; the scheme stays, so that no server can
 * send a client from TLS to an unencrypted transport. (4.13)
 *
 * @returns the URL of the first server that the reference names.
 * @throws ConnectionError if it names no host.
 */
export function redirected(from: URL, reference: string): string {
  const [first = ''] = reference.trim().split(/\s+/)
  const place = first.replace(/^[a-z]+:\/\//i, '')
  const { protocol, pathname, search } = from
  const scheme = protocol === 'unix:' || !Object.hasOwn(SCHEMES, protocol) ? 'mqtt:' : protocol
  const url = `${scheme}//${place}${WEBSOCKET_SCHEMES.includes(scheme) ? pathname + search : ''}`
  if (PLACE.test(place) && isAddress(url)) return url
  const message = `the Server Reference ${describe(reference)} names no host`
  throw new ConnectionError(message, { code: 'BAD_SERVER_REFERENCE', retryable: true })
}

/** A host, or an address in brackets, with or without a port. */
const PLACE = /^(?:[^\s:/@?#[\]\\]+|\[[^\s/@?#[\]\\]+\])(?::\d{1,5})?$/

function isAddress(url: string): boolean {
  try {
    return addressOf(url).host !== ''
  } catch {
    return false
  }
}

/**
 * @returns whether one of the servers is reached over WebSocket, where idle connections are often
 *   closed early (T2, the connect timeout covers the way to the CONNACK).
 */
export function isWebSocket(options: EventloopOptions): boolean {
  if (options.transport !== undefined) return false
  return urlsOf(options).some((url) => WEBSOCKET_SCHEMES.includes(schemeOf(url)))
}

/** @returns the endpoint for messages: without user name and password. */
export function whereOf(options: EventloopOptions): string {
  const { url, host } = addressOfServer(options)
  const { protocol, port, pathname } = url
  const name = host.includes(':') ? `[${host}]` : host
  const place = protocol === 'unix:' ? pathname : port === '' ? name : `${name}:${port}`
  return redact(`${protocol}//${place}`)
}

/**
 * @returns the URL for messages: without its password, even if slashes are missing, and without its
 * query, which may hold a signature.
 */
export function redact(url: string): string {
  return url.replace(/^([a-z][a-z\d+.-]*:\/*)([^/@:]*):.*@/i, '$1$2:***@').replace(/\?.*$/s, '?…')
}

/**
 * @returns user name and password: those of the options, or those of the first URL.
 * @throws UsageError if one of them cannot be used.
 */
export function credentials(options: EventloopOptions) {
  const { url } = addressOfServer(options)
  const username = options.username === undefined ? decoded(url.username) : options.username
  const password = options.password === undefined ? decoded(url.password) : options.password
  if (username !== undefined && typeof username !== 'string') {
    throw wrong('username', 'a string', username)
  }
  if (password !== undefined && typeof password !== 'string' && !(password instanceof Uint8Array)) {
    // The message does not show the value, which may be the password in the wrong form.
    const given = password === null ? 'null' : `a ${typeof password}`
    throw new UsageError(`password must be a string or bytes, not ${given}`)
  }
  for (const [name, value] of Object.entries({ username, password })) {
    if (typeof value !== 'string' && !(value instanceof Uint8Array)) continue
    const bytes = typeof value === 'string' ? utf8Length(value) : value.length
    if (bytes <= 65_535) continue
    throw new UsageError(`${name} must have at most 65,535 bytes, not ${bytes}`)
  }
  return { username, password }
}

function decoded(part: string): string | undefined {
  try {
    return part === '' ? undefined : decodeURIComponent(part)
  } catch {
    throw new UsageError('url: its user name or password has a "%" that is no escape; write %25')
  }
}

/** @returns the URL of the first server. */
export function urlOf(options: EventloopOptions): URL {
  return addressOfServer(options).url
}
