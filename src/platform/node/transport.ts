/**
 * How is a stream of bytes to an endpoint opened, and what do its errors mean? This is `#transport`
 * on Node, Bun and Deno; ../web/transport.ts is its twin. Neither knows MQTT.
 *
 * The scheme of the URL names one of our transports; the option `transport` brings any other one.
 * If `signal` aborts, the function that opens a transport destroys what it began. It reports what
 * it is waiting for (T2, the connect timeout covers the way to the CONNACK). (T1, transports)
 * `options/check-endpoint.ts` validates the URL before.
 */
import type { ByteStream, Endpoint, OpeningListener } from '../byte-stream.ts'
import { openTcp, openTls, openUnix } from './socket.ts'

export { restsWell } from './socket-reading.ts'
export { tlsProblem } from './tls-settings.ts'
export { isCertificateAlert, isOwnTlsFault, tlsWords } from './tls-words.ts'

/** Opens the transport that the scheme of the URL names. */
export function openEndpoint(
  endpoint: Endpoint,
  signal: AbortSignal,
  opening: OpeningListener,
): Promise<ByteStream> {
  switch (endpoint.url.protocol) {
    case 'unix:':
      return openUnix(endpoint, signal, opening)
    case 'mqtts:':
    case 'tls:':
      return openTls(endpoint, signal, opening)
    case 'ws:':
    case 'wss:':
      return openWebSocketLater(endpoint, signal, opening)
    default:
      return openTcp(endpoint, signal, opening)
  }
}

/** Few connections are WebSockets, so their code is loaded when it is needed. */
async function openWebSocketLater(
  endpoint: Endpoint,
  signal: AbortSignal,
  opening: OpeningListener,
): Promise<ByteStream> {
  const { openWebSocket } = await import('./websocket.ts')
  return openWebSocket(endpoint, signal, opening)
}
