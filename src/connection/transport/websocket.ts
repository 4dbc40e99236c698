/**
 * How is a WebSocket opened as a stream of bytes?
 *
 * It has binary frames and the sub-protocol `mqtt` [MQTT-6.0.0-3]. Frames say nothing about packets
 * [MQTT-6.0.0-2]. A text frame ends the connection [MQTT-6.0.0-1], and so does a frame that is
 * larger than a packet may be.
 */
import type { Duplex } from 'node:stream'
import { execute } from 'abort-controller-x'
import { UsageError } from '../../errors.ts'
import type { Endpoint } from '../../platform/byte-stream.ts'

/**
 * Bytes. Servers put small packets together, so a frame may be this large however small the
 * packets.
 */
const FRAME_BYTES_MIN = 256 << 10

/**
 * Opens `ws:` and `wss:`, with the package `ws`. The certificate is verified unless the `tls`
 * options of the user say otherwise.
 */
export async function openWebSocket(endpoint: Endpoint, signal: AbortSignal): Promise<Duplex> {
  const { WebSocket, createWebSocketStream } = await packageOf()
  const { tls, maximumPacketSize, headers } = endpoint
  const url = new URL(endpoint.url)
  // The user name and the password are for the MQTT server, not for HTTP.
  url.username = ''
  url.password = ''
  return execute<Duplex>(signal, (resolve, reject) => {
    const socket = new WebSocket(url, ['mqtt'], {
      ...tls,
      headers,
      perMessageDeflate: false,
      maxPayload: Math.max(maximumPacketSize, FRAME_BYTES_MIN),
    })
    socket.once('error', reject)
    socket.once('open', () => {
      socket.off('error', reject)
      socket.on('message', (_, isBinary) => {
        if (!isBinary) stream.destroy(new Error('a text frame came; MQTT is binary'))
      })
      const stream = createWebSocketStream(socket)
      // Until the loop listens, an error must not end the process.
      stream.on('error', () => {})
      resolve(stream)
    })
    return () => socket.terminate()
  })
}

async function packageOf() {
  try {
    return await import('ws')
  } catch (cause) {
    const message = 'url: ws: and wss: need the package ws: npm install ws@8'
    throw new UsageError(message, { code: 'NO_WEBSOCKET', cause })
  }
}
