/**
 * Chunks as they came from the socket, until their packets are whole.
 *
 * They are kept by reference and joined once, when a packet that they cut is complete: linear whatever the cuts, and
 * nothing is allocated because of a size that was merely announced. Small chunks behind an incomplete packet are gathered,
 * so that a drip of single bytes costs a byte each, not an object each.
 */
import { allocateOwn, asBytes, type Bytes, copyBytes, NO_BYTES } from '../platform/bytes.ts'

/** Bytes. */
const SMALL_CHUNK_BYTES = 512
/** Bytes: gathering begins with a buffer of this size and doubles it. */
const GATHER_BYTES_MIN = 1024
const GATHER_BYTES_MAX = 65_536

export class ReceivedChunks {
  /** The chunk being read, and how far. */
  head: Bytes = NO_BYTES
  at = 0
  /** Bytes not yet read, in all chunks. */
  held = 0
  /** Bytes that were copied so far; for the tests of linear time. */
  copied = 0
  private waiting: Bytes[] | null = null
  private nextWaiting = 0
  private gather: Bytes | null = null
  private gathered = 0

  push(chunk: Uint8Array): void {
    const length = chunk.length
    if (length === 0) return
    const bytes = asBytes(chunk)
    if (this.held === 0) {
      this.head = bytes
      this.at = 0
    } else if (length <= SMALL_CHUNK_BYTES) {
      this.gatherSmall(bytes)
    } else {
      this.closeGather()
      this.enqueue(bytes)
    }
    this.held += length
  }

  /** The byte `offset` bytes from here; it is held. */
  peek(offset: number): number {
    let left = offset
    const rest = this.head.length - this.at
    if (left < rest) return this.head[this.at + left]!
    left -= rest
    this.closeGather()
    for (let i = this.nextWaiting; ; i++) {
      const chunk = this.waiting![i]!
      if (left < chunk.length) return chunk[left]!
      left -= chunk.length
    }
  }

  /** Takes `total` bytes, which are held, into a buffer of their own. */
  join(total: number): Bytes {
    const joined = allocateOwn(total)
    let filled = 0
    for (;;) {
      const part = Math.min(this.head.length - this.at, total - filled)
      copyBytes(this.head, this.at, this.at + part, joined, filled)
      filled += part
      this.at += part
      if (filled === total) break
      this.next()
    }
    this.held -= total
    this.copied += total
    return joined
  }

  /** Goes on to the next chunk, if there is one. */
  next(): boolean {
    this.closeGather()
    const { waiting } = this
    const chunk = waiting?.[this.nextWaiting]
    if (waiting === null || chunk === undefined) return false
    waiting[this.nextWaiting++] = NO_BYTES // what is read can be freed while more waits
    if (this.nextWaiting === waiting.length) {
      this.waiting = null
      this.nextWaiting = 0
    } else if (this.nextWaiting >= 64 && this.nextWaiting * 2 >= waiting.length) {
      waiting.splice(0, this.nextWaiting)
      this.nextWaiting = 0
    }
    this.head = chunk
    this.at = 0
    return true
  }

  /** Lets go of everything. */
  clear(): void {
    this.head = NO_BYTES
    this.at = 0
    this.held = 0
    this.waiting = null
    this.nextWaiting = 0
    this.gather = null
    this.gathered = 0
  }

  private enqueue(chunk: Bytes): void {
    if (this.waiting === null) this.waiting = []
    this.waiting.push(chunk)
  }

  private gatherSmall(bytes: Bytes): void {
    let { gather } = this
    if (gather === null || gather.length - this.gathered < bytes.length) {
      const size = gather === null ? GATHER_BYTES_MIN : gather.length * 2
      this.closeGather()
      gather = this.gather = allocateOwn(Math.min(size, GATHER_BYTES_MAX))
    }
    copyBytes(bytes, 0, bytes.length, gather, this.gathered)
    this.gathered += bytes.length
    this.copied += bytes.length
  }

  private closeGather(): void {
    if (this.gather === null) return
    this.enqueue(this.gather.subarray(0, this.gathered))
    this.gather = null
    this.gathered = 0
  }
}
