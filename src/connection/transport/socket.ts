/**
 * TCP, TLS and Unix sockets, ready for the first byte when the promise resolves.
 */
import { connect, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { execute } from 'abort-controller-x'
import { portOf } from '../../options/endpoint.ts'
import type { Endpoint } from '../../platform/byte-stream.ts'

export function openTcp({ url }: Endpoint, signal: AbortSignal): Promise<Duplex> {
  return opened(signal, 'connect', () =>
    connect({ host: hostOf(url), port: portOf(url), noDelay: true }),
  )
}

export function openUnix({ url }: Endpoint, signal: AbortSignal): Promise<Duplex> {
  return opened(signal, 'connect', () => connect({ path: decodeURIComponent(url.pathname) }))
}

/** The certificate is verified unless the user's own `tls` options say otherwise. */
export function openTls({ url, tls }: Endpoint, signal: AbortSignal): Promise<Duplex> {
  const host = hostOf(url)
  const name = isIP(host) ? {} : { servername: host }
  return opened(signal, 'secureConnect', () => {
    const socket = connectTls({ host, port: portOf(url), ...name, ...tls })
    socket.setNoDelay(true)
    return socket
  })
}

/** The brackets of an IPv6 address belong to the URL. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}

const ignore = () => {}

function opened(
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
      // An error between this moment and the loop's own listener must not end the process.
      socket.on('error', ignore)
      // What opened the socket is not kept alive by it.
      socket.off('error', reject)
      socket.off('close', closed)
      resolve(socket)
    })
    return () => {
      socket.destroy()
    }
  })
}
