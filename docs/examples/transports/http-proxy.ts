/**
 * A tunnel through an HTTP proxy by the method CONNECT (RFC 9110, 9.3.6), for networks that let
 * only HTTP out.
 *
 *   const transport = throughHttpProxy('http://user:password@proxy:3128')
 *   eventloop({ url: 'mqtts://broker', transport })
 *
 * It serves `mqtt:` and `mqtts:` URLs. The proxy looks up the broker's name. A refusal is the error
 * of the attempt, with the status as its code (`PROXY_407`), so that `reconnect.retryable` can
 * distinguish a wrong password from an overloaded proxy.
 */
import { request as httpRequest } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import { ConnectionError, type OpenTransport } from 'it-mqtt'
import { destinationOf, type ProxyServer, proxyOf, secured } from './tunnel.ts'

/** @param proxy `http://user:password@host:port`; default port 80. */
export function throughHttpProxy(proxy: URL | string): OpenTransport {
  const known = proxyOf(proxy, 'http:', 80)
  return async (endpoint, signal) => {
    const { host, port } = destinationOf(endpoint)
    const target = `${isIPv6(host) ? `[${host}]` : host}:${port}`
    return secured(await tunnelTo(target, known, signal), endpoint, signal)
  }
}

function tunnelTo(target: string, proxy: ProxyServer, signal: AbortSignal): Promise<Socket> {
  const { host, port, name } = proxy
  return new Promise((resolve, reject) => {
    const headers = { Host: target, ...authorization(proxy) }
    // No agent: it would keep the socket, which belongs to the tunnel.
    const options = { host, port, method: 'CONNECT', path: target, headers, agent: false, signal }
    const request = httpRequest(options)
    // This event comes with every status, refusals included.
    request.once('connect', ({ statusCode = 0, statusMessage }, socket: Socket, head) => {
      if (statusCode < 200 || statusCode > 299) {
        socket.destroy()
        const message = `the proxy ${name} refused ${target}: ${statusCode} ${statusMessage}`
        reject(new ConnectionError(message, { code: `PROXY_${statusCode}` }))
        return
      }
      socket.setNoDelay(true)
      // The bytes behind the answer are from the broker.
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    request.once('error', (cause: NodeJS.ErrnoException) => {
      const message = `the proxy ${name} did not answer: ${cause.message}`
      const { code = 'PROXY_FAILED' } = cause
      reject(signal.aborted ? signal.reason : new ConnectionError(message, { code, cause }))
    })
    request.end()
  })
}

function authorization({ username, password }: ProxyServer): Readonly<Record<string, string>> {
  if (username === '' && password === '') return {}
  const credentials = Buffer.from(`${username}:${password}`).toString('base64')
  return { 'Proxy-Authorization': `Basic ${credentials}` }
}
