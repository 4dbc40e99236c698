/**
 * A tunnel through a SOCKS 5 proxy (RFC 1928, RFC 1929): `ssh -D`, Tor, a jump host. It needs the
 * package `socks`.
 *
 *   const transport = throughSocks5('socks5://user:password@proxy:1080')
 *   eventloop({ url: 'mqtts://broker', transport })
 *
 * It serves `mqtt:` and `mqtts:` URLs. The proxy looks up the broker's name. `socks` gives a proxy
 * 30 s at most, whatever `connectTimeout` says.
 */
import { connect, type Socket } from 'node:net'
import { ConnectionError, type OpenTransport, UsageError } from 'it-mqtt'
import { SocksClient } from 'socks'
import {
  type Destination,
  destinationOf,
  opened,
  type ProxyServer,
  proxyOf,
  secured,
} from './tunnel.ts'

/** The most bytes that a user name or a password may have (RFC 1929). */
const CREDENTIAL_BYTES_MAX = 255

/** @param proxy `socks5://user:password@host:port`; default port 1080. */
export function throughSocks5(proxy: URL | string): OpenTransport {
  const known = proxyOf(proxy, 'socks5:', 1080)
  judgeCredentials(known)
  return async (endpoint, signal) => {
    const destination = destinationOf(endpoint)
    const socket = await dial(known, signal)
    await negotiate(socket, known, destination, signal)
    return secured(socket, endpoint, signal)
  }
}

function judgeCredentials({ username, password }: ProxyServer): void {
  const bytes = Math.max(Buffer.byteLength(username), Buffer.byteLength(password))
  if (bytes <= CREDENTIAL_BYTES_MAX) return
  const allowed = `${CREDENTIAL_BYTES_MAX} bytes are allowed for its user name and its password`
  throw new UsageError(`proxy: ${allowed}, ${bytes} were given`)
}

/**
 * Opens the socket to the proxy. `socks` would keep a socket that it opened itself until its own
 * time-out, even if the attempt was aborted.
 */
async function dial({ host, port, name }: ProxyServer, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect({ host, port, noDelay: true })
  try {
    await opened(socket, 'connect', signal)
    return socket
  } catch (cause) {
    signal.throwIfAborted()
    const { code = 'PROXY_FAILED', message } = cause as NodeJS.ErrnoException
    throw new ConnectionError(`the proxy ${name} did not answer: ${message}`, { code, cause })
  }
}

async function negotiate(
  socket: Socket,
  proxy: ProxyServer,
  { host, port }: Destination,
  signal: AbortSignal,
): Promise<void> {
  const { username: userId, password, name } = proxy
  const abort = () => socket.destroy()
  signal.addEventListener('abort', abort)
  try {
    await SocksClient.createConnection({
      command: 'connect',
      proxy: { host: proxy.host, port: proxy.port, type: 5, userId, password },
      destination: { host, port },
      existing_socket: socket,
    })
  } catch (error) {
    socket.destroy()
    signal.throwIfAborted()
    // The error is not given as `cause`, because errors of `socks` contain the password.
    const message = `the proxy ${name} refused ${host}:${port}: ${(error as Error).message}`
    throw new ConnectionError(message, { code: 'PROXY_FAILED' })
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
