/**
 * The road: opens a stream of bytes to an endpoint. Knows no MQTT.
 *
 * A transport is a Node Duplex: bytes in, bytes out, `pause`, `end`, `destroy`. The scheme of the URL names one of ours; the
 * option `transport` brings any other. Whoever opens one destroys what it began when the signal aborts.
 */
import type { Duplex } from 'node:stream'
import type { Endpoint } from '../../platform/byte-stream.ts'
import { openTcp, openTls, openUnix } from './socket.ts'
import { openWebSocket } from './websocket.ts'

export function openEndpoint(endpoint: Endpoint, signal: AbortSignal): Promise<Duplex> {
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
