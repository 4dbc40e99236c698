/**
 * How is a stream of bytes to an endpoint opened? This folder knows no MQTT.
 *
 * The scheme of the URL names one of our transports; the option `transport` brings any other one.
 * If `signal` aborts, the function that opens a transport destroys what it began. (T1, transports)
 * `options/endpoint.ts` validates the URL before, and lists the schemes with their default ports.
 */
import type { ByteStream, Endpoint } from '../../platform/byte-stream.ts'
import { openTcp, openTls, openUnix } from './socket.ts'
import { openWebSocket } from './websocket.ts'

/** Opens the transport that the scheme of the URL names. */
export function openEndpoint(endpoint: Endpoint, signal: AbortSignal): Promise<ByteStream> {
  switch (endpoint.url.protocol) {
    case 'unix:':
      return openUnix(endpoint, signal)
    case 'mqtts:':
    case 'tls:':
      return openTls(endpoint, signal)
    case 'ws:':
    case 'wss:':
      return openWebSocket(endpoint, signal)
    default:
      return openTcp(endpoint, signal)
  }
}
