/**
 * How are TCP, TLS and Unix sockets opened? The promise resolves when bytes may be written to the
 * socket.
 */
import {
  connect,
  type IpcNetConnectOpts,
  isIP,
  type Socket,
  type TcpNetConnectOpts,
} from 'node:net'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, checkServerIdentity, connect as connectTls } from 'node:tls'
import { domainToASCII } from 'node:url'
// Its index loads a dozen files, each of which a start waits for.
import { execute } from 'abort-controller-x/lib/execute.js'
import type { Lookup } from '#runtime'
import type { Endpoint, OpeningListener } from '../byte-stream.ts'
import { guardErrors } from '../error-guard.ts'
import { markReading, READING } from './socket-reading.ts'

/** Opens TCP. */
export function openTcp(
  endpoint: Endpoint,
  signal: AbortSignal,
  opening: OpeningListener,
): Promise<Duplex> {
  return openSocket(signal, 'connect', () => tcpSocket(endpoint, opening))
}

/** Opens a Unix socket; the path of the URL is its path. */
export function openUnix(
  { url }: Endpoint,
  signal: AbortSignal,
  opening: OpeningListener,
): Promise<Duplex> {
  opening.reached('unix')
  const path = decodeURIComponent(url.pathname)
  // Unlike its types say, Node takes `onread` for a path, too.
  const options = { path, ...READING } as IpcNetConnectOpts
  return openSocket(signal, 'connect', () => markReading(connect(options)))
}

/** Opens TLS. The certificate is verified unless the `tls` options of the user say otherwise. */
export function openTls(
  endpoint: Endpoint,
  signal: AbortSignal,
  opening: OpeningListener,
): Promise<Duplex> {
  return openSocket(signal, 'secureConnect', () => tlsSocket(endpoint, opening))
}

/** @returns a socket that connects to the endpoint by TCP. */
export function tcpSocket(endpoint: Endpoint, opening: OpeningListener): Socket {
  const socket = markReading(connect({ ...netOptionsOf(endpoint), ...READING }))
  reportLookup(socket, endpoint, opening)
  return socket
}

/** @returns a socket that connects to the endpoint by TLS. */
export function tlsSocket(endpoint: Endpoint, opening: OpeningListener): Socket {
  const { servername } = endpoint.tls
  const socket = connectTls({
    ...netOptionsOf(endpoint),
    ...identityOf(endpoint),
    ...endpoint.tls,
    ...(servername === undefined ? {} : { servername: certifiedName(servername) }),
  })
  socket.setNoDelay(true)
  reportLookup(socket, endpoint, opening)
  socket.once('connect', () => opening.reached('tls'))
  return socket
}

function reportLookup(socket: Socket, { host }: Endpoint, opening: OpeningListener): void {
  if (isIP(host) !== 0) return opening.reached('tcp')
  opening.reached('lookup')
  socket.once('lookup', () => opening.reached('tcp'))
}

/** How much of `connectTimeout` one of several addresses may take. */
const ATTEMPT_SHARE = 1 / 8
/** Node's default, in ms. */
const ATTEMPT_MS_MIN = 250

/**
 * If a name has several addresses, Node gives each but the last one 250 ms to accept, which a slow
 * link needs for one round trip. A share of `connectTimeout` lets a SYN that was lost be sent
 * again, and still leaves time for the other addresses.
 */
function netOptionsOf({ host, port, socket, connectTimeout }: Endpoint): TcpNetConnectOpts {
  const { localAddress, lookup } = socket
  // An address of one version of IP cannot be left for one of the other.
  const family = socket.family ?? isIP(localAddress ?? '')
  const share = Math.round(connectTimeout * ATTEMPT_SHARE)
  return {
    ...{ host, port, noDelay: true },
    autoSelectFamilyAttemptTimeout: Math.max(ATTEMPT_MS_MIN, share),
    ...(family === 0 ? {} : { family }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(lookup === undefined ? {} : { lookup: adapted(lookup, family) }),
  }
}

/**
 * Node asks for all addresses or for one. Many functions give one always, or all of them always, as
 * texts or as objects, to the callback or as a promise; and not all of them hear `family`.
 */
function adapted(lookup: Lookup, wanted: number): Lookup {
  return (name, options, done) => {
    const answer = (error: unknown, found?: unknown) => {
      if (error) return done(error as NodeJS.ErrnoException, '')
      const list = addressesIn(found).filter(({ family }) => wanted === 0 || family === wanted)
      const [first] = list
      // Node would throw where nobody can catch it.
      if (first === undefined) return done(noAddress(name, wanted), '')
      if (options.all) return done(null, list)
      done(null, first.address, first.family)
    }
    const promised: unknown = lookup(name, options, answer as Parameters<Lookup>[2])
    if (!(promised instanceof Promise)) return
    promised.then((found) => found !== undefined && answer(null, found), answer)
  }
}

function addressesIn(found: unknown): { address: string; family: number }[] {
  return [found].flat().flatMap((one) => {
    const { address = one } = (one ?? {}) as { readonly address?: unknown }
    return typeof address === 'string' ? [{ address, family: isIP(address) }] : []
  })
}

function noAddress(name: string, family: number): Error {
  const kind = family === 0 ? '' : ` of IPv${family}`
  return Object.assign(new Error(`the lookup of ${name} gave no address${kind}`), {
    code: 'ENOTFOUND',
  })
}

/**
 * The name that the certificate must have. The zone of an address is known on this machine only.
 */
function identityOf({ host }: Endpoint): ConnectionOptions {
  if (isIP(host) === 0) return { servername: certifiedName(host) }
  const [address = host, zone] = host.split('%')
  if (zone === undefined) return {}
  return { checkServerIdentity: (_, certificate) => checkServerIdentity(address, certificate) }
}

/**
 * Certificates have names in ASCII, and a dot at the end of a name is for the resolver only
 * (RFC 6066, 3).
 */
function certifiedName(name: string): string {
  return (isIP(name) === 0 ? domainToASCII(name) || name : name).replace(/\.$/, '')
}

/** @returns the socket when it has emitted `event`; it is destroyed if `signal` aborts before. */
function openSocket(
  signal: AbortSignal,
  event: 'connect' | 'secureConnect',
  open: () => Socket,
): Promise<Duplex> {
  return execute<Duplex>(signal, (resolve, reject) => {
    const socket = open()
    const closed = () => reject(new Error('the connection was closed'))
    socket.on('error', reject)
    socket.on('close', closed)
    socket.once(event, () => {
      guardErrors(socket)
      // The socket lives on, and must not keep alive what opened it.
      socket.off('error', reject)
      socket.off('close', closed)
      resolve(socket)
    })
    return () => {
      socket.destroy()
    }
  })
}
