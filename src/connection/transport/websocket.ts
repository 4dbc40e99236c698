/**
 * WebSocket as a stream of bytes: binary frames, sub-protocol `mqtt` [MQTT-6.0.0-3]. Frames say nothing about packets
 * [MQTT-6.0.0-2]; a text frame ends the connection [MQTT-6.0.0-1], and so does a frame larger than a packet may be.
 */
import type { Duplex } from 'node:stream'
import { execute } from 'abort-controller-x'
import { UsageError } from '../../errors.ts'
import type { Endpoint } from '../../platform/byte-stream.ts'

/** Servers put small packets together: a frame may be this large, in bytes, however small packets have to be. */
const FRAME_BYTES_MIN = 256 << 10

/** `ws:` and `wss:`; needs the package `ws`. The certificate is verified unless the user's own `tls` options say otherwise. */
export async function openWebSocket(endpoint: Endpoint, signal: AbortSignal): Promise<Duplex> {
  const { WebSocket, createWebSocketStream } = await packageOf()
  const { tls, maximumPacketSize, headers } = endpoint
  const url = new URL(endpoint.url)
  // They are for MQTT, and not for the door in front of it.
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
      // An error between this moment and the loop's own listener must not end the process.
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
