/**
 * How do two ends exchange bytes in memory?
 *
 * A pipe has two ends, each a `ByteStream`. What is written to one end comes out of the other once
 * the writer's code has gone on, as over a wire, and never later: no timer is involved, so a
 * virtual clock sees bytes arrive without time passing. Chunks keep their limits and are passed by
 * reference.
 */

import { soon } from '#runtime'
import type { ByteStream } from './byte-stream.ts'
import { OwnStream } from './own-stream.ts'

/** How many bytes may wait for a reader before the writer has to wait, in bytes. */
const WAITING_BYTES_MAX = 65_536

interface WaitingChunk {
  readonly bytes: Uint8Array
  /** Is called when the bytes count as handed over; null if it was called. */
  done: ((error?: Error | null) => void) | null
}

/** One end of a pipe in memory. */
class PipeEnd extends OwnStream implements ByteStream {
  #peer: PipeEnd | null = null
  /** What the other end wrote and this one has not given to its listeners. */
  #waiting: WaitingChunk[] = []
  #waitingBytes = 0
  #scheduled = false
  /** Whether `end()` was called on this end, and whether its bytes were handed over. */
  #ending = false
  #finished = false
  /** Whether the other end has ended, and whether the listeners were told. */
  #peerEnded = false
  #readEnded = false

  /** Connects two ends. */
  static connect(one: PipeEnd, other: PipeEnd): void {
    one.#peer = other
    other.#peer = one
  }

  write(bytes: Uint8Array, done: (error?: Error | null) => void = ignoreOutcome): void {
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

  resume(): void {
    this.flowing = true
    this.#schedule()
  }

  destroy(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    const unread = this.#waiting
    this.#waiting = []
    for (const { done } of unread) done?.(resetError('EPIPE', 'the other end destroyed its stream'))
    soon(() => {
      if (error !== undefined) this.emit('error', error)
      this.emit('close')
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
    while (this.flowing === true && !this.destroyed) {
      const chunk = this.#waiting.shift()
      if (chunk === undefined) break
      this.#waitingBytes -= chunk.bytes.length
      handOver(chunk)
      this.emit('data', chunk.bytes)
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
    if (this.#waiting.length > 0 || this.flowing !== true || this.#readEnded) return
    this.#readEnded = true
    this.emit('end')
    this.#closeIfDone()
  }

  #finish(): void {
    if (!this.#ending || this.#finished || this.destroyed) return
    this.#finished = true
    this.emit('finish')
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    if (this.#readEnded && this.#finished) this.destroy()
  }
}

function ignoreOutcome(): void {}

function handOver(chunk: WaitingChunk): void {
  const { done } = chunk
  chunk.done = null
  if (done !== null) soon(done, undefined)
}

/** Makes the two ends of a pipe. */
export function bytePipe(): [client: PipeEnd, server: PipeEnd] {
  const ends: [PipeEnd, PipeEnd] = [new PipeEnd(), new PipeEnd()]
  PipeEnd.connect(...ends)
  return ends
}

/** An error in the shape of those of a socket. */
export function resetError(code: 'ECONNRESET' | 'ECONNREFUSED' | 'EPIPE', message: string): Error {
  return Object.assign(new Error(message), { code })
}
