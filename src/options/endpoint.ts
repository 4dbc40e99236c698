/**
 * Which server does a connection go to, and with which credentials? Both are read from the options
 * each time they are needed, because a URL is a large object and a process may hold thousands of
 * connections.
 */

import { ConnectionError, describe, UsageError } from '../errors.ts'
import type { Endpoint, HandshakeHeaders } from '../platform/byte-stream.ts'
import type { TlsOptions } from '../platform/runtime.ts'
import { PACKET_BYTES_MAX, utf8Length } from '../protocol/sizes.ts'
import { wrong } from '../requests/check.ts'
import type { EventloopOptions } from './options.ts'

const WEBSOCKET_SCHEMES = ['ws:', 'wss:']
/** The schemes of our own transports. */
const SCHEMES = ['mqtt:', 'tcp:', 'mqtts:', 'tls:', ...WEBSOCKET_SCHEMES, 'unix:']

const NO_TLS: TlsOptions = {}
const NO_HEADERS: HandshakeHeaders = {}

/** @returns the endpoint of the first URL. */
export function endpointOf(options: EventloopOptions): Endpoint {
  const { tls = NO_TLS, maximumPacketSize = PACKET_BYTES_MAX, headers = NO_HEADERS } = options
  const [url = 'custom://transport'] = urlsOf(options)
  return { url: new URL(url), tls, maximumPacketSize, headers }
}

/** @returns the servers, the primary first; none if the user gives a transport and no URL. */
export function urlsOf({ url }: Pick<EventloopOptions, 'url'>): readonly (string | URL)[] {
  if (url === undefined) return []
  return typeof url === 'string' || url instanceof URL ? [url] : url
}

/**
 * Only host and port are taken from a Server Reference; the scheme stays, so that no server can
 * send a client from TLS to an unencrypted transport. (4.13)
 *
 * @returns the URL of the first server that the reference names.
 * @throws ConnectionError if it names no host.
 */
export function redirected(from: URL, reference: string): string {
  const [first = ''] = reference.trim().split(/\s+/)
  const host = first.replace(/^[a-z]+:\/\//i, '')
  const { protocol, pathname, search } = from
  const scheme = protocol === 'unix:' || !SCHEMES.includes(protocol) ? 'mqtt:' : protocol
  const url = `${scheme}//${host}${WEBSOCKET_SCHEMES.includes(scheme) ? pathname + search : ''}`
  if (/^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host) && URL.canParse(url)) return url
  const message = `the Server Reference ${describe(reference)} names no host`
  throw new ConnectionError(message, { code: 'BAD_SERVER_REFERENCE', retryable: true })
}

/**
 * @returns whether one of the servers is reached over WebSocket, where idle connections are often
 *   closed early (T2, the connect timeout covers the way to the CONNACK).
 */
export function isWebSocket(options: EventloopOptions): boolean {
  if (options.transport !== undefined) return false
  return urlsOf(options).some((url) => WEBSOCKET_SCHEMES.includes(new URL(url).protocol))
}

/** @returns the endpoint for messages: without user name and password. */
export function whereOf(options: EventloopOptions): string {
  const { protocol, host, pathname } = endpointOf(options).url
  return redact(`${protocol}//${host}${protocol === 'unix:' ? pathname : ''}`)
}

/** @throws UsageError for a URL, `headers`, `tls` or `transport` that cannot be used. */
export function checkEndpoint(options: EventloopOptions): void {
  const { url: given, tls = {}, transport, headers = {} } = options
  if (transport !== undefined && typeof transport !== 'function') {
    const form = 'a function (endpoint, signal) that opens a stream of bytes'
    throw wrong('transport', form, transport)
  }
  if (typeof tls !== 'object' || tls === null) {
    throw wrong('tls', 'an object of options for tls.connect', tls)
  }
  checkHeaders(headers)
  if (given === undefined && transport !== undefined) return
  const urls = Array.isArray(given) ? given : [given]
  if (urls.length === 0) throw new UsageError('url: the list is empty; it needs at least one URL')
  urls.forEach((url: unknown, i) => {
    checkUrl(Array.isArray(given) ? `url[${i}]` : 'url', url, transport !== undefined)
  })
}

/**
 * A `Headers` object or a `Map` is refused, because its entries are not properties that a spread
 * would copy.
 */
function checkHeaders(headers: unknown): void {
  const prototype = typeof headers === 'object' ? Object.getPrototypeOf(headers ?? []) : undefined
  const plain = prototype === Object.prototype || prototype === null
  if (plain && Object.values(headers as object).every((line) => typeof line === 'string')) return
  // The message does not show the value, because headers hold secrets.
  throw new UsageError('headers must be a plain object of strings')
}

function checkUrl(name: string, given: unknown, custom: boolean): void {
  const example = 'a URL such as mqtt://localhost:1883'
  if (typeof given !== 'string' && !(given instanceof URL)) throw wrong(name, example, given)
  let url: URL
  try {
    url = new URL(given)
  } catch {
    throw wrong(name, example, redact(String(given)))
  }
  if (custom) return
  if (!SCHEMES.includes(url.protocol)) {
    throw wrong(name, `one of the schemes ${SCHEMES.join(' ')}`, url.protocol)
  }
  if (url.protocol === 'unix:' ? url.pathname === '' : url.hostname === '') {
    const form = 'a URL with a host (mqtt://localhost), or unix:/path/of/socket'
    throw wrong(name, form, redact(url.href))
  }
}

/**
 * @returns the URL for messages: without its password, even if slashes are missing, and without its
 * query, which may hold a signature.
 */
function redact(url: string): string {
  return url.replace(/^([a-z][a-z\d+.-]*:\/*)([^/@:]*):.*@/i, '$1$2:***@').replace(/\?.*$/s, '?…')
}

/**
 * @returns user name and password: those of the options, or those of the first URL.
 * @throws UsageError if one of them cannot be used.
 */
export function credentials(options: EventloopOptions) {
  const { url } = endpointOf(options)
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
