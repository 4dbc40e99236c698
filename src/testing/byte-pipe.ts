/**
 * How do a client and the broker exchange bytes in memory?
 *
 * A pipe has two ends, each a `ByteStream`. What is written to one end comes out of the other once
 * the writer's code has gone on, as over a wire, and never later: no timer is involved, so a
 * virtual clock sees bytes arrive without time passing. Chunks keep their limits and are passed by
 * reference.
 */

import { soon } from '#runtime'
import type { ByteStream } from '../platform/byte-stream.ts'

/** How many bytes may wait for a reader before the writer has to wait, in bytes. */
const WAITING_BYTES_MAX = 65_536

interface WaitingChunk {
  readonly bytes: Uint8Array
  /** Is called when the bytes count as handed over; null if it was called. */
  done: ((error?: Error | null) => void) | null
}

interface PipeListeners {
  readonly data: ((chunk: Uint8Array) => void)[]
  readonly error: ((error: Error) => void)[]
  readonly end: (() => void)[]
  readonly close: (() => void)[]
  readonly finish: (() => void)[]
}

/** One end of a pipe in memory. */
class PipeEnd implements ByteStream {
  destroyed = false
  #peer: PipeEnd | null = null
  /** What the other end wrote and this one has not given to its listeners. */
  #waiting: WaitingChunk[] = []
  #waitingBytes = 0
  /** Whether chunks may be given; null as long as nobody has said so. */
  #flowing: boolean | null = null
  #scheduled = false
  /** Whether `end()` was called on this end, and whether its bytes were handed over. */
  #ending = false
  #finished = false
  /** Whether the other end has ended, and whether the listeners were told. */
  #peerEnded = false
  #readEnded = false
  readonly #listeners: PipeListeners = { data: [], error: [], end: [], close: [], finish: [] }

  /** Connects two ends. */
  static connect(one: PipeEnd, other: PipeEnd): void {
    one.#peer = other
    other.#peer = one
  }

  on(event: 'data', listener: (chunk: Uint8Array) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  on(event: 'end' | 'close' | 'finish', listener: () => void): void
  on(event: keyof PipeListeners, listener: (value: never) => void): void {
    const listeners = this.#listeners[event] as ((value: never) => void)[]
    listeners.push(listener)
    if (event === 'data' && this.#flowing === null) this.resume()
  }

  /** A stream finishes once, so the listener need not be removed. */
  once(event: 'finish', listener: () => void): void {
    this.on(event, listener)
  }

  write(bytes: Uint8Array, done: (error?: Error | null) => void): void {
    const peer = this.#peer
    if (this.destroyed || peer === null || peer.destroyed) {
      const error = resetError('EPIPE', 'the other end of the transport is gone')
      soon(done, error)
      if (!this.destroyed) this.destroy(error)
      return
    }
    peer.#waiting.push({ bytes, done })
    peer.#waitingBytes += bytes.length
    peer.#schedule()
  }

  end(): void {
    if (this.#ending || this.destroyed) return
    this.#ending = true
    const peer = this.#peer
    if (peer === null) return
    peer.#peerEnded = true
    peer.#schedule()
  }

  pause(): void {
    this.#flowing = false
  }

  resume(): void {
    this.#flowing = true
    this.#schedule()
  }

  destroy(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    const unread = this.#waiting
    this.#waiting = []
    for (const { done } of unread) done?.(resetError('EPIPE', 'the other end destroyed its stream'))
    soon(() => {
      if (error !== undefined)
        for (const listener of this.#listeners.error) listener.call(this, error)
      for (const listener of this.#listeners.close) listener.call(this)
      // As over a wire, the other end sees the end later.
      const peer = this.#peer
      if (peer === null || peer.destroyed) return
      peer.#peerEnded = true
      peer.#schedule()
    }, undefined)
  }

  #schedule(): void {
    if (this.#scheduled || this.destroyed) return
    this.#scheduled = true
    soon(PipeEnd.#flush, this)
  }

  static #flush(this: void, end: PipeEnd): void {
    end.#scheduled = false
    end.#give()
  }

  #give(): void {
    while (this.#flowing === true && !this.destroyed) {
      const chunk = this.#waiting.shift()
      if (chunk === undefined) break
      this.#waitingBytes -= chunk.bytes.length
      handOver(chunk)
      for (const listener of this.#listeners.data) listener.call(this, chunk.bytes)
    }
    if (this.destroyed) return
    // As in a socket, some bytes count as handed over before they are read.
    let bytes = 0
    for (const chunk of this.#waiting) {
      bytes += chunk.bytes.length
      if (bytes > WAITING_BYTES_MAX) break
      handOver(chunk)
    }
    if (!this.#peerEnded || this.#waitingBytes > WAITING_BYTES_MAX) return
    const writer = this.#peer
    if (writer !== null) writer.#finish()
    if (this.#waiting.length > 0 || this.#flowing !== true || this.#readEnded) return
    this.#readEnded = true
    for (const listener of this.#listeners.end) listener.call(this)
    this.#closeIfDone()
  }

  #finish(): void {
    if (!this.#ending || this.#finished || this.destroyed) return
    this.#finished = true
    for (const listener of this.#listeners.finish) listener.call(this)
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    if (this.#readEnded && this.#finished) this.destroy()
  }
}

function handOver(chunk: WaitingChunk): void {
  const { done } = chunk
  chunk.done = null
  if (done !== null) soon(done, undefined)
}

/** Makes the two ends of a pipe. */
export function bytePipe(): [client: PipeEnd, broker: PipeEnd] {
  const ends: [PipeEnd, PipeEnd] = [new PipeEnd(), new PipeEnd()]
  PipeEnd.connect(...ends)
  return ends
}

/** An error in the shape of those of a socket. */
export function resetError(code: 'ECONNRESET' | 'ECONNREFUSED' | 'EPIPE', message: string): Error {
  return Object.assign(new Error(message), { code })
}
