/**
 * The common parts of tunnels through a proxy: the proxy, the broker, and TLS with the broker
 * inside the tunnel.
 *
 * The proxy sees a host, a port and then bytes. With `mqtts:` the certificate is the broker's and
 * is verified against the broker's name, so a proxy cannot read the traffic unnoticed.
 */
import { isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { type Endpoint, UsageError } from 'it-mqtt'

export interface ProxyServer {
  readonly host: string
  readonly port: number
  /** Empty if the proxy asks for none. */
  readonly username: string
  /** Empty if the proxy asks for none. */
  readonly password: string
  /** The proxy's URL without credentials, for messages. */
  readonly name: string
}

export interface Destination {
  readonly host: string
  readonly port: number
  readonly secure: boolean
}

const PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'tcp:': 1883,
  'mqtts:': 8883,
  'tls:': 8883,
}

/** @throws UsageError that does not repeat the URL, which may contain a password. */
export function proxyOf(given: URL | string, scheme: string, defaultPort: number): ProxyServer {
  try {
    const url = new URL(given)
    if (url.protocol !== scheme || url.hostname === '') throw new Error('another kind of URL')
    return {
      host: hostOf(url),
      port: url.port === '' ? defaultPort : Number(url.port),
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      name: `${scheme}//${url.host}`,
    }
  } catch {
    throw new UsageError(`proxy: a URL such as ${scheme}//user:password@proxy:port is expected`)
  }
}

/**
 * @throws UsageError for a URL that is not MQTT on a plain stream of bytes, WebSocket for example.
 */
export function destinationOf({ url }: Endpoint): Destination {
  const defaultPort = PORTS[url.protocol]
  if (defaultPort === undefined) {
    const schemes = Object.keys(PORTS).join(' ')
    throw new UsageError(`url: through a proxy it is one of ${schemes}, not ${url.protocol}`)
  }
  const port = url.port === '' ? defaultPort : Number(url.port)
  return { host: hostOf(url), port, secure: defaultPort === PORTS['mqtts:'] }
}

/** @returns the host name; the brackets of an IPv6 address belong to the URL only. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}

/**
 * Resolves when the socket is open. An error, an early close or an abort rejects and leaves no
 * socket.
 *
 * @param signal must not be aborted yet.
 */
export function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason)
      socket.destroy()
    }
    // The listener stays: an error before the loop listens must not end the process.
    socket.on('error', reject)
    socket.once('close', () => {
      signal.removeEventListener('abort', abort)
      reject(new Error('the connection was closed'))
    })
    socket.once(event, () => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
    signal.addEventListener('abort', abort)
  })
}

/**
 * @returns the tunnel, or TLS inside it if the URL says so. If anything fails, the tunnel is
 *   closed.
 */
export async function secured(
  tunnel: Socket,
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<Duplex> {
  tunnel.on('error', () => {})
  try {
    signal.throwIfAborted()
    const { host, secure } = destinationOf(endpoint)
    if (!secure) return tunnel
    const name = isIP(host) ? {} : { servername: host }
    const socket = connectTls({ host, ...name, ...endpoint.tls, socket: tunnel })
    await opened(socket, 'secureConnect', signal)
    return socket
  } catch (error) {
    tunnel.destroy()
    throw error
  }
}
