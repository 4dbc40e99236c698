/**
 * How is a stream of bytes to an endpoint opened where there are no sockets? By the WebSocket of
 * the runtime. This is `#transport` in browsers, workers and React Native; ../node/transport.ts is
 * its twin. Neither knows MQTT.
 */
import { UsageError } from '../../errors.ts'
import { abortReason } from '../abort-listeners.ts'
import { bytePipe } from '../byte-pipe.ts'
import type {
  ByteStream,
  Endpoint,
  ErrorMeaning,
  Lack,
  OpeningListener,
  Wishes,
} from '../byte-stream.ts'
import { type CloseReport, closeError, FrameStream, type PageSocket } from './frame-stream.ts'

type SocketClass = new (url: string, protocols: readonly string[]) => PageSocket

function socketClass(): SocketClass | undefined {
  return (globalThis as unknown as { readonly WebSocket?: SocketClass }).WebSocket
}

/** Opens a WebSocket. The promise resolves when bytes may be written to it. */
export function openEndpoint(
  endpoint: Endpoint,
  signal: AbortSignal,
  opening: OpeningListener,
): Promise<ByteStream> {
  const { subprotocol, lenient, unreadBytesMax } = endpoint
  return new Promise((resolve, reject) => {
    opening.reached('upgrade')
    const socket = openSocket(endpoint)
    const end = (): void => {
      socket.onopen = null
      socket.onclose = null
      signal.removeEventListener('abort', abort)
    }
    const giveUp = (error: unknown): void => {
      end()
      socket.close()
      reject(error)
    }
    const abort = (): void => giveUp(abortReason(signal))
    signal.addEventListener('abort', abort)
    socket.binaryType = 'arraybuffer'
    socket.onclose = (report) => giveUp(dialError(report))
    // Without a listener some runtimes report the error as one that nobody handles.
    socket.onerror = () => {}
    socket.onopen = () => {
      const selected = socket.protocol ?? subprotocol
      if (selected !== subprotocol && !(lenient && selected === '')) {
        giveUp(new Error(`the server selected the WebSocket sub-protocol "${selected}"`))
        return
      }
      if (selected === '') {
        opening.deviated(
          `the server selected no WebSocket sub-protocol; "${subprotocol}" was offered`,
        )
      }
      end()
      resolve(new FrameStream(socket, unreadBytesMax))
    }
  })
}

function openSocket({ url, subprotocol }: Endpoint): PageSocket {
  const Socket = socketClass()
  if (Socket === undefined) throw lackError(NO_WEBSOCKET)
  const plain = new URL(url)
  // The user name and the password are for the MQTT server, not for HTTP.
  plain.username = ''
  plain.password = ''
  try {
    return new Socket(plain.href, [subprotocol])
  } catch (cause) {
    const message =
      'url: the runtime refuses this WebSocket; a page that came by https: may only use wss:'
    throw new UsageError(message, { code: 'USAGE', cause })
  }
}

/** The runtime does not say why an attempt failed, so that a page cannot explore a network. */
function dialError(report: CloseReport): Error {
  if (report.code !== 1006) return closeError(report)
  const message =
    'the WebSocket was not opened, and the runtime does not say why: check that the server runs,' +
    ' its certificate, and host, port and path of the URL; brokers often have WebSocket at /mqtt'
  return Object.assign(new Error(message), { code: 'WS_1006' })
}

const NO_WEBSOCKET: Lack = {
  code: 'NO_WEBSOCKET',
  message: 'url: this runtime has no WebSocket; open the connection with the option `transport`',
}

function lackError({ code, message }: Lack): UsageError {
  return new UsageError(message, { code })
}

/** @returns what this runtime cannot do of what the options ask for; null if it can do all. */
export function lackOf({ schemes, headers, socketOptions }: Wishes): Lack | null {
  const scheme = schemes.find((one) => one !== 'ws:' && one !== 'wss:')
  if (scheme !== undefined) {
    const message =
      `url: ${scheme} needs sockets, which this runtime has not; give the URL of the server's` +
      ' WebSocket listener (wss: or ws:), or open the connection with the option `transport`'
    return { code: 'NO_SOCKETS', message }
  }
  if (headers) {
    const message =
      'headers: a WebSocket of this runtime has no headers of yours; use `username` and' +
      ' `password`, or the query of the URL'
    return { code: 'NO_HEADERS', message }
  }
  const [option] = socketOptions
  if (option !== undefined) {
    const message =
      `${option} has no effect here: the runtime opens the WebSocket and verifies the` +
      ' certificate by itself; leave it out'
    return { code: 'NO_SOCKETS', message }
  }
  return socketClass() === undefined ? NO_WEBSOCKET : null
}

const UNKNOWN: ErrorMeaning = {
  words: null,
  isBadCertificate: false,
  isRefusedCertificate: false,
  isBadSetting: false,
  isHopeless: false,
}

/** @returns what an error means: no more than its text says. */
export function meaningOf(_code: string, _text: string, _situation: string | null): ErrorMeaning {
  return UNKNOWN
}

/** Whether reading stops immediately after `pause()`, so that it may rest. */
export function restsWell(_stream: object): boolean {
  return false
}

/** TLS options are for a transport of the user, which validates them. */
export function tlsProblem(_tls: object): string | null {
  return null
}

/**
 * Makes two connected streams in memory: what is written to one is read from the other.
 * @returns both ends.
 */
export function memoryPair(): [client: ByteStream, server: ByteStream] {
  return bytePipe()
}
