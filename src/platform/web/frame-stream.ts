/**
 * How does a WebSocket of the runtime become a `ByteStream`?
 *
 * It has binary frames; frames say nothing about packets [MQTT-6.0.0-2]. A text frame ends the
 * connection [MQTT-6.0.0-1]. What other streams have, a WebSocket has not:
 *
 * - *No pause.* Frames that come between `pause()` and `resume()` are held, up to a bound. Beyond
 *   it the connection is given up, because nothing else keeps the memory of the page.
 * - *No call when bytes are handed over.* `bufferedAmount` says how many are not, and is looked at
 *   as long as somebody waits, more rarely the longer it takes, and whenever a frame comes.
 * - *No half-open state.* `end()` closes both sides once everything is written.
 */
import type { ByteStream } from '../byte-stream.ts'
import { OwnStream } from '../own-stream.ts'

/** What is used of a WebSocket. */
export interface PageSocket {
  binaryType: string
  readonly protocol?: string
  readonly bufferedAmount?: number
  onopen: (() => void) | null
  onmessage: ((event: { readonly data: unknown }) => void) | null
  onerror: ((event: unknown) => void) | null
  onclose: ((event: CloseReport) => void) | null
  send(bytes: Uint8Array): void
  close(code?: number): void
}

/** What a WebSocket says of its end. */
export interface CloseReport {
  /** RFC 6455, 7.4. */
  readonly code: number
  /** What the server says. */
  readonly reason?: string
}

/** How often `bufferedAmount` is looked at, in ms: at first, and after a while. */
const LOOK_MS_MIN = 4
const LOOK_MS_MAX = 64

/** How long after an error its close may come, in ms. */
const ERROR_MS = 1000

/** How many characters of the server's text are shown. */
const REASON_CHARACTERS_MAX = 120

/** The codes of a close without a fault: as agreed, and without a code. */
const GOOD_CLOSES: ReadonlySet<number> = new Set([1000, 1005])

const MEANINGS: Readonly<Record<number, string>> = {
  1001: 'the server is going away',
  1002: 'the server found a mistake in the WebSocket protocol',
  1003: 'the server does not take this kind of data',
  1006: 'it broke without a close frame',
  1008: 'the server refused what came by its policy',
  1009: 'the server received a frame that is too large for it',
  1011: 'the server failed',
  1012: 'the server restarts',
  1013: 'the server is overloaded',
  1014: 'a gateway received no valid answer',
  1015: 'TLS failed',
}

/** @returns the error for the end of a WebSocket; its code is the close code, such as `WS_1006`. */
export function closeError({ code, reason = '' }: CloseReport): Error {
  const meaning = MEANINGS[code] ?? `the server closed it with code ${code}`
  // The text of a server must not control what shows it.
  const text = reason.replace(/[^\x20-\x7e]/g, '?').slice(0, REASON_CHARACTERS_MAX)
  const message = text === '' ? `the WebSocket: ${meaning}` : `the WebSocket: ${meaning} (${text})`
  return Object.assign(new Error(message), { code: `WS_${code}` })
}

interface Unwritten {
  /** How many bytes were sent when its last byte was. */
  readonly until: number
  readonly done: (error?: Error | null) => void
}

/** A stream of bytes over an open WebSocket. */
export class FrameStream extends OwnStream implements ByteStream {
  readonly #socket: PageSocket
  readonly #heldBytesMax: number
  /** What came while nobody took it. */
  #held: Uint8Array[] = []
  #heldBytes = 0
  /** How the server closed; null until it has. */
  #closed: CloseReport | null = null
  #ended = false
  #sentBytes = 0
  #unwritten: Unwritten[] = []
  #lookMs = LOOK_MS_MIN
  #timer: ReturnType<typeof setTimeout> | null = null
  #errorTimer: ReturnType<typeof setTimeout> | null = null
  #ending = false
  #finished = false

  /** @param heldBytesMax how many bytes may be held, a frame that is larger aside. */
  constructor(socket: PageSocket, heldBytesMax: number) {
    super()
    this.#socket = socket
    this.#heldBytesMax = heldBytesMax
    socket.onmessage = ({ data }) => this.#receive(data)
    // An error comes before its close. Where it comes alone, the connection is lost all the same.
    socket.onerror = () => {
      this.#errorTimer ??= setTimeout(() => this.destroy(closeError({ code: 1006 })), ERROR_MS)
    }
    socket.onclose = (report) => {
      this.#closed = report
      this.#forgetError()
      this.#look()
      this.#give()
    }
  }

  resume(): void {
    if (this.flowing) return
    this.flowing = true
    // As in Node, no chunk comes before the caller has gone on.
    queueMicrotask(() => this.#give())
  }

  write(bytes: Uint8Array, done: (error?: Error | null) => void): void {
    if (this.destroyed || this.#closed !== null) {
      queueMicrotask(() => done(new Error('the WebSocket is closed')))
      return
    }
    try {
      this.#socket.send(own(bytes))
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      queueMicrotask(() => done(error))
      this.destroy(error)
      return
    }
    this.#sentBytes += bytes.length
    this.#unwritten.push({ until: this.#sentBytes, done })
    this.#lookLater()
  }

  end(): void {
    if (this.#ending || this.destroyed) return
    this.#ending = true
    this.#finishIfWritten()
  }

  destroy(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    const socket = this.#socket
    socket.onmessage = null
    socket.onclose = null
    // Without a listener some runtimes report the error as one that nobody handles.
    socket.onerror = () => {}
    this.#forgetError()
    if (this.#timer !== null) clearTimeout(this.#timer)
    // Some runtimes answer the close of a server only then; elsewhere it changes nothing.
    try {
      socket.close()
    } catch {
      // It is closed.
    }
    this.#held = []
    const unwritten = this.#unwritten
    this.#unwritten = []
    queueMicrotask(() => {
      for (const { done } of unwritten) done(error ?? new Error('the WebSocket is closed'))
      if (error !== undefined) this.emit('error', error)
      this.emit('close')
    })
  }

  #forgetError(): void {
    if (this.#errorTimer !== null) clearTimeout(this.#errorTimer)
    this.#errorTimer = null
  }

  #receive(data: unknown): void {
    if (!isArrayBuffer(data)) {
      const kind = typeof data === 'string' ? 'a text frame' : 'a frame of an unknown kind'
      this.destroy(new Error(`${kind} came; MQTT is binary`))
      return
    }
    if (this.#unwritten.length > 0) this.#look()
    if (data.byteLength === 0 || this.destroyed) return
    const chunk = new Uint8Array(data)
    if (this.flowing === true && this.#held.length === 0) {
      this.emit('data', chunk)
      return
    }
    // One frame is always held: it may be larger than the bound.
    if (this.#held.length > 0 && this.#heldBytes + chunk.length > this.#heldBytesMax) {
      this.destroy(overflowError(this.#heldBytesMax))
      return
    }
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
  }

  /** Gives what was held, and the end behind it. */
  #give(): void {
    while (this.flowing === true && !this.destroyed) {
      const chunk = this.#held.shift()
      if (chunk === undefined) break
      this.#heldBytes -= chunk.length
      this.emit('data', chunk)
    }
    if (this.flowing !== true || this.#closed === null || this.#ended || this.destroyed) return
    this.#ended = true
    if (!GOOD_CLOSES.has(this.#closed.code)) {
      this.destroy(closeError(this.#closed))
      return
    }
    this.emit('end')
    this.destroy()
  }

  #lookLater(): void {
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#lookMs = Math.min(this.#lookMs * 2, LOOK_MS_MAX)
      this.#look()
    }, this.#lookMs)
  }

  /** Reports what was handed over since. */
  #look(): void {
    const handedOver = this.#sentBytes - (this.#socket.bufferedAmount ?? 0)
    while (this.#unwritten.length > 0 && this.#unwritten[0]!.until <= handedOver) {
      this.#lookMs = LOOK_MS_MIN
      this.#unwritten.shift()!.done()
    }
    const waits = this.#unwritten.length > 0 && !this.destroyed && this.#closed === null
    if (waits) this.#lookLater()
    this.#finishIfWritten()
  }

  #finishIfWritten(): void {
    if (!this.#ending || this.#finished || this.destroyed || this.#unwritten.length > 0) return
    this.#finished = true
    this.#socket.close(1000)
    queueMicrotask(() => this.emit('finish'))
  }
}

/** Whether it is one of this realm or of another. */
function isArrayBuffer(data: unknown): data is ArrayBuffer {
  return Object.prototype.toString.call(data) === '[object ArrayBuffer]'
}

/** @returns the bytes, in memory that a WebSocket takes: it is neither shared nor resizable. */
function own(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes as {
    readonly buffer: ArrayBufferLike & { readonly resizable?: boolean }
  }
  return isArrayBuffer(buffer) && !buffer.resizable ? bytes : bytes.slice()
}

function overflowError(bytes: number): Error {
  const message =
    `more than ${bytes} bytes came that nobody took, and a WebSocket cannot be paused; take` +
    ' packets faster, raise maxBufferedBytes, or subscribe with QoS 1 and a smaller receiveMaximum'
  return Object.assign(new Error(message), { code: 'WS_OVERFLOW' })
}
