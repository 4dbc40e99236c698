/**
 * Can the server be reached with these options: URL, headers, TLS, socket and transport?
 */

import type { TlsOptions } from '#runtime'
import { tlsProblem } from '#transport'
import { UsageError } from '../errors.ts'
import { checkFunction, list, wrong } from '../requests/check.ts'
import { type Address, addressOf, ipVersionOf } from './address.ts'
import { redact, SCHEMES, type Scheme, urlsOf } from './endpoint.ts'
import { hintFor, tlsFieldProblem } from './foreign-names.ts'
import type { EventloopOptions } from './options.ts'

/** @throws UsageError for an option about the server or the way to it that cannot be used. */
export function checkEndpoint(options: EventloopOptions): void {
  const { url: given, transport, headers = {} } = options
  if (transport !== undefined && typeof transport !== 'function') {
    const form = 'a function (endpoint, signal) that opens a stream of bytes'
    throw wrong('transport', form, transport)
  }
  checkTls(options.tls, transport !== undefined)
  checkHeaders(headers)
  if (transport === undefined) checkHeaderNames(headers)
  checkSocket(options)
  if (given === undefined && transport !== undefined) return
  const urls = Array.isArray(given) ? given : [given]
  if (urls.length === 0) throw new UsageError('url: the list is empty; it needs at least one URL')
  urls.forEach((url: unknown, i) => {
    checkUrl(Array.isArray(given) ? `url[${i}]` : 'url', url, transport !== undefined)
  })
  if (transport === undefined) checkFamily(options)
}

function checkTls(tls: unknown, custom: boolean): void {
  if (tls === undefined) return
  if (typeof tls !== 'object' || tls === null || Array.isArray(tls)) {
    throw wrong('tls', 'an object of options for tls.connect', tls)
  }
  for (const name of Object.keys(tls)) {
    const wrongName = tlsFieldProblem(name, custom)
    if (wrongName !== null) throw new UsageError(wrongName)
  }
  const problem = Object.keys(tls).length === 0 ? null : tlsProblem(tls as TlsOptions)
  if (problem !== null) throw new UsageError(problem)
}

/**
 * A `Headers` object or a `Map` is refused, because its entries are not properties that a spread
 * would copy.
 */
function checkHeaders(headers: unknown): void {
  const prototype = typeof headers === 'object' ? Object.getPrototypeOf(headers ?? []) : undefined
  const plain = prototype === Object.prototype || prototype === null
  // The messages do not show the values, because headers hold secrets.
  if (!plain || !Object.values(headers as object).every((line) => typeof line === 'string')) {
    throw new UsageError('headers must be a plain object of strings')
  }
  for (const [name, line] of Object.entries(headers as Record<string, string>)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
      throw new UsageError(`headers: "${name}" is no name of an HTTP header`)
    }
    if (/[^\t\x20-\x7e\x80-\xff]/.test(line)) {
      throw new UsageError(`headers.${name} has a character that an HTTP header cannot have`)
    }
  }
}

/** Headers of the upgrade itself would be replaced, or make it fail. */
function checkHeaderNames(headers: object): void {
  const own = Object.keys(headers).find((name) =>
    /^(?:connection|upgrade|sec-websocket-)/i.test(name),
  )
  if (own !== undefined)
    throw new UsageError(`headers: ${own} belongs to the WebSocket; leave it out`)
}

function checkSocket({ family, localAddress, lookup }: EventloopOptions): void {
  if (family !== undefined && family !== 4 && family !== 6) throw wrong('family', '4 or 6', family)
  checkFunction('lookup', lookup, 'a function such as dns.lookup')
  if (localAddress === undefined) return
  const version = typeof localAddress === 'string' ? ipVersionOf(localAddress) : 0
  if (version === 0) throw wrong('localAddress', 'an address of this machine', localAddress)
  if (family === undefined || family === version) return
  throw new UsageError(`localAddress must be an address of IPv${family}, as \`family\` says`)
}

function checkFamily(options: EventloopOptions): void {
  const { family, localAddress } = options
  const wanted = family ?? ipVersionOf(localAddress ?? '')
  if (wanted === 0) return
  for (const url of urlsOf(options)) {
    const { host } = addressOf(url)
    const version = ipVersionOf(host)
    if (version === 0 || version === wanted) continue
    const name = family === undefined ? 'localAddress' : 'family'
    throw new UsageError(`${name} is of IPv${wanted}, but the host of the URL is of IPv${version}`)
  }
}

function checkUrl(name: string, given: unknown, custom: boolean): void {
  const example = 'a URL such as mqtt://localhost:1883'
  if (typeof given !== 'string' && !(given instanceof URL)) throw wrong(name, example, given)
  let address: Address
  try {
    address = addressOf(given)
  } catch {
    throw wrong(name, example, redact(String(given)))
  }
  if (custom) return
  const { url } = address
  if (!Object.hasOwn(SCHEMES, url.protocol)) {
    throw wrong(name, `one of the schemes ${Object.keys(SCHEMES).join(' ')}`, url.protocol)
  }
  if (url.protocol === 'unix:' ? url.pathname === '' : url.hostname === '') {
    const form = 'a URL with a host (mqtt://localhost), or unix:/path/of/socket'
    throw wrong(name, form, redact(url.href))
  }
  if (url.protocol === 'unix:') checkPath(name, url)
  checkParts(name, url)
  if (url.port === '0') throw new UsageError(`${name}: no server has port 0`)
}

function checkPath(name: string, { pathname }: URL): void {
  try {
    if (!decodeURIComponent(pathname).includes('\0')) return
  } catch {
    throw new UsageError(`${name}: its path has a "%" that is no escape; write %25`)
  }
  throw new UsageError(`${name}: its path has U+0000, which no path can have`)
}

/** The parts of a URL beside the host that have an effect. */
const PARTS: Readonly<Record<Scheme, readonly string[]>> = {
  ...{ 'mqtt:': [], 'tcp:': [], 'mqtts:': [], 'tls:': [] },
  ...{ 'ws:': ['path', 'query'], 'wss:': ['path', 'query'], 'unix:': ['path'] },
}

function checkParts(name: string, url: URL): void {
  const { protocol, pathname, search, hash, host } = url
  const allowed = PARTS[protocol as Scheme]
  const given = {
    query: search !== '',
    fragment: hash !== '',
    path: pathname !== '' && pathname !== '/',
    host: protocol === 'unix:' && host !== '',
  }
  for (const [part, isGiven] of Object.entries(given)) {
    if (!isGiven || allowed.includes(part)) continue
    // A query is not shown, because it may hold a secret.
    const what = part === 'path' ? ` (${pathname})` : part === 'host' ? ` (${host})` : ''
    throw new UsageError(
      `${name}: a ${part}${what} has no effect with ${protocol}; ${adviceFor(part, url)}`,
    )
  }
}

function adviceFor(part: string, { searchParams, pathname }: URL): string {
  if (part === 'host') return `write unix:${pathname}`
  if (part === 'fragment') return 'leave it out, or write # as %23'
  if (part === 'path') return 'leave it out; a topic is given in a request'
  const hints = [...searchParams.keys()].map((key) => `${key}${hintFor(key) ?? ''}`)
  return `give options as an object (${list(hints)})`
}
