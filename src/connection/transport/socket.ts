/**
 * How are TCP, TLS and Unix sockets opened? The promise resolves when bytes may be written to the
 * socket.
 */
import { connect, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { execute } from 'abort-controller-x'
import type { Endpoint } from '../../platform/byte-stream.ts'

/** Opens TCP. */
export function openTcp({ url }: Endpoint, signal: AbortSignal): Promise<Duplex> {
  return openSocket(signal, 'connect', () =>
    connect({ host: hostOf(url), port: portOf(url), noDelay: true }),
  )
}

/** Opens a Unix socket; the path of the URL is its path. */
export function openUnix({ url }: Endpoint, signal: AbortSignal): Promise<Duplex> {
  return openSocket(signal, 'connect', () => connect({ path: decodeURIComponent(url.pathname) }))
}

/** Opens TLS. The certificate is verified unless the `tls` options of the user say otherwise. */
export function openTls({ url, tls }: Endpoint, signal: AbortSignal): Promise<Duplex> {
  const host = hostOf(url)
  const name = isIP(host) ? {} : { servername: host }
  return openSocket(signal, 'secureConnect', () => {
    const socket = connectTls({ host, port: portOf(url), ...name, ...tls })
    socket.setNoDelay(true)
    return socket
  })
}

/** The default ports of the schemes. */
const PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'tcp:': 1883,
  'mqtts:': 8883,
  'tls:': 8883,
}

/** @returns the port of the URL, or the default port of its scheme. */
function portOf(url: URL): number {
  return url.port === '' ? (PORTS[url.protocol] ?? 0) : Number(url.port)
}

/** @returns the host without the brackets that an IPv6 address has in a URL. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}

const ignore = () => {}

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
      // Until the loop listens, an error must not end the process.
      socket.on('error', ignore)
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
