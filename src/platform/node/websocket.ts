/**
 * How is a WebSocket opened as a stream of bytes?
 *
 * It has binary frames and the sub-protocol of MQTT [MQTT-6.0.0-3]. Frames say nothing about
 * packets [MQTT-6.0.0-2]. A text frame ends the connection [MQTT-6.0.0-1], and so does a frame that
 * is larger than a packet may be.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { execute } from 'abort-controller-x/lib/execute.js'
import type { Endpoint, OpeningListener } from '../byte-stream.ts'
import { guardErrors } from '../error-guard.ts'
import { importFailure } from '../import-failure.ts'
import { tcpSocket, tlsSocket } from './socket.ts'
import { upgradeRefusal } from './upgrade-refusal.ts'

/**
 * Bytes. Servers put small packets together, so a frame may be this large however small the
 * packets.
 */
const FRAME_BYTES_MIN = 256 << 10

const ignore = () => {}

/**
 * Opens `ws:` and `wss:`, with the package `ws`. The certificate is verified unless the `tls`
 * options of the user say otherwise.
 */
export async function openWebSocket(
  endpoint: Endpoint,
  signal: AbortSignal,
  opening: OpeningListener,
): Promise<Duplex> {
  const { WebSocket, createWebSocketStream } = await packageOf()
  const { tls, maximumPacketSize, headers, subprotocol, lenient } = endpoint
  const url = new URL(endpoint.url)
  // The user name and the password are for the MQTT server, not for HTTP.
  url.username = ''
  url.password = ''
  return execute<Duplex>(signal, (resolve, reject) => {
    const socket = new WebSocket(url, [subprotocol], {
      ...tls,
      headers,
      perMessageDeflate: false,
      maxPayload: Math.max(maximumPacketSize, FRAME_BYTES_MIN),
      createConnection: () => openBelow(endpoint, opening),
    })
    const refused = (_: unknown, response: IncomingMessage) => {
      reject(upgradeRefusal(url, response))
      response.destroy()
      socket.on('error', ignore)
      socket.terminate()
    }
    const upgraded = ({ headers: answer }: IncomingMessage) => {
      if (!lenient || answer['sec-websocket-protocol'] !== undefined) return
      opening.deviated(
        `the server selected no WebSocket sub-protocol; "${subprotocol}" was offered`,
      )
      // `ws` compares this header with the offer afterwards.
      answer['sec-websocket-protocol'] = subprotocol
    }
    socket.once('error', reject)
    socket.once('unexpected-response', refused)
    socket.once('upgrade', upgraded)
    socket.once('open', () => {
      socket.off('error', reject)
      socket.off('unexpected-response', refused)
      socket.on('message', (_, isBinary) => {
        if (!isBinary) stream.destroy(new Error('a text frame came; MQTT is binary'))
      })
      const stream = createWebSocketStream(socket)
      guardErrors(stream)
      resolve(stream)
    })
    return () => socket.terminate()
  })
}

/** Opens the socket below, in the same way as without WebSocket. */
function openBelow(endpoint: Endpoint, opening: OpeningListener) {
  const secure = endpoint.url.protocol === 'wss:'
  const socket = secure ? tlsSocket(endpoint, opening) : tcpSocket(endpoint, opening)
  socket.once(secure ? 'secureConnect' : 'connect', () => opening.reached('upgrade'))
  return socket
}

async function packageOf() {
  try {
    return await import('ws')
  } catch (cause) {
    const need = 'url: ws: and wss: need the package ws'
    throw importFailure(cause, { name: 'ws', need, install: 'ws@8', code: 'NO_WEBSOCKET' })
  }
}
