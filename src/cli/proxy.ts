/**
 * How does a connection get through a SOCKS 5 proxy (`--proxy`)? The proxy looks up the server's
 * name, sees a host, a port and then bytes. TLS is spoken with the server inside the tunnel.
 */
import { isIP, connect as openSocket, type Socket } from 'node:net'
import { connect as openTls } from 'node:tls'
import { ConnectionError, type Endpoint, type OpenTransport, UsageError } from '../index.ts'

interface Proxy {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
}

const PROXY_PORT = 1080
/** The most bytes that a user name or a password may have (RFC 1929). */
const CREDENTIAL_BYTES_MAX = 255

/** @param url `socks5h://user:password@host:port`; the proxy finds the name of the server. */
export function proxied(url: string): OpenTransport {
  const proxy = proxyOf(url)
  return async (endpoint, signal) => {
    if (!/^(mqtts?|tcp|tls):$/.test(endpoint.url.protocol)) {
      throw new UsageError('--proxy works with mqtt:// and mqtts:// only')
    }
    const socket = await dial(proxy, endpoint, signal)
    const abort = () => socket.destroy()
    signal.addEventListener('abort', abort)
    try {
      await negotiate(socket, proxy, endpoint)
      return /^(mqtts|tls):$/.test(endpoint.url.protocol)
        ? await secured(socket, endpoint, signal)
        : socket
    } catch (error) {
      socket.destroy()
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}

/** @throws UsageError that does not repeat the URL, which may contain a password. */
function proxyOf(text: string): Proxy {
  try {
    const url = new URL(text)
    if (!/^socks5h?:$/.test(url.protocol) || url.hostname === '') throw new Error('another URL')
    const [username, password] = [url.username, url.password].map(decodeURIComponent)
    const bytes = [username, password].map((one) => Buffer.byteLength(one!))
    if (Math.max(...bytes) > CREDENTIAL_BYTES_MAX) throw new Error('too long')
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? PROXY_PORT : Number(url.port),
      username: username!,
      password: password!,
    }
  } catch {
    throw new UsageError(
      '--proxy: a URL such as socks5h://user:password@host:1080 is expected, with at most ' +
        `${CREDENTIAL_BYTES_MAX} bytes in its user name and in its password`,
    )
  }
}

async function dial(proxy: Proxy, { socket: options }: Endpoint, signal: AbortSignal) {
  signal.throwIfAborted()
  const { host, port } = proxy
  const { localAddress } = options
  const socket = openSocket({
    ...{ host, port, noDelay: true },
    ...(localAddress === undefined ? {} : { localAddress }),
  })
  try {
    await socketOpened(socket, 'connect', signal)
    return socket
  } catch (cause) {
    signal.throwIfAborted()
    const { code = 'PROXY_FAILED', message } = cause as NodeJS.ErrnoException
    const text = `the proxy ${host}:${port} did not answer: ${message}`
    throw new ConnectionError(text, { code, cause })
  }
}

/** Resolves when the socket is open, and leaves none behind otherwise. */
function socketOpened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason)
      socket.destroy()
    }
    // This listener stays: an error before the loop listens must not end the process.
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

async function negotiate(socket: Socket, proxy: Proxy, { host, port }: Endpoint): Promise<void> {
  const { username, password } = proxy
  const credentials = username === '' ? {} : { userId: username, password }
  const { SocksClient } = await import('socks')
  try {
    await SocksClient.createConnection({
      command: 'connect',
      proxy: { host: proxy.host, port: proxy.port, type: 5, ...credentials },
      destination: { host, port },
      existing_socket: socket,
    })
  } catch (error) {
    // The error is not given as `cause`, because errors of `socks` contain the password.
    const where = `${proxy.host}:${proxy.port}`
    const message = `the proxy ${where} refused ${host}:${port}: ${(error as Error).message}`
    throw new ConnectionError(message, { code: 'PROXY_FAILED' })
  }
}

async function secured(tunnel: Socket, { host, tls }: Endpoint, signal: AbortSignal) {
  tunnel.on('error', () => {})
  const name = isIP(host) ? {} : { servername: host }
  const socket = openTls({ host, ...name, ...tls, socket: tunnel })
  await socketOpened(socket, 'secureConnect', signal)
  return socket
}
