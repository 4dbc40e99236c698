/**
 * Where are bytes kept until their packet is complete?
 *
 * Chunks are kept by reference as they came from the transport. A packet that is cut by chunks is
 * joined once, when it is complete: the cost is linear in its size, however it is cut. Nothing is
 * allocated for bytes that a packet announces and that have not come. Small chunks behind an
 * incomplete packet are gathered in one buffer, so that a peer that sends single bytes costs one
 * byte of memory for each of them, not one object.
 */
import { allocateOwn, asBytes, type Bytes, copyBytes, NO_BYTES } from '#bytes'

/** Bytes. A chunk up to this size is gathered with others. */
const SMALL_CHUNK_BYTES = 512
/** Bytes of the first buffer in which chunks are gathered. Each further one is twice as large. */
const GATHER_BYTES_MIN = 1024
const GATHER_BYTES_MAX = 65_536

export class ReceivedChunks {
  /** The chunk that is read now. */
  head: Bytes = NO_BYTES
  /** Offset in `head` of the first byte that was not read. */
  at = 0
  /** How many bytes were not read yet, in all chunks. */
  unreadBytes = 0
  /** How many bytes were copied so far. Only the tests of the linear cost read it. */
  copiedBytes = 0
  /** The chunks behind `head`, from index `nextWaiting` on. */
  private waiting: Bytes[] | null = null
  private nextWaiting = 0
  /** The buffer in which small chunks are gathered; its bytes follow those of `waiting`. */
  private gather: Bytes | null = null
  private gatheredBytes = 0

  push(chunk: Uint8Array): void {
    const length = chunk.length
    if (length === 0) return
    const bytes = asBytes(chunk)
    if (this.unreadBytes === 0) {
      this.head = bytes
      this.at = 0
    } else if (length <= SMALL_CHUNK_BYTES) {
      this.gatherSmall(bytes)
    } else {
      this.closeGather()
      this.enqueue(bytes)
    }
    this.unreadBytes += length
  }

  /** @returns the byte `offset` bytes from here. It must have come already. */
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

  /** Moves `total` bytes, which must have come already, into a buffer of their own. */
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
    this.unreadBytes -= total
    this.copiedBytes += total
    return joined
  }

  /**
   * Makes the next chunk the `head`.
   * @returns false if there is none.
   */
  next(): boolean {
    this.closeGather()
    const { waiting } = this
    const chunk = waiting?.[this.nextWaiting]
    if (waiting === null || chunk === undefined) return false
    waiting[this.nextWaiting++] = NO_BYTES // a chunk that was read can be freed
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

  /** Drops all bytes. */
  clear(): void {
    this.head = NO_BYTES
    this.at = 0
    this.unreadBytes = 0
    this.waiting = null
    this.nextWaiting = 0
    this.gather = null
    this.gatheredBytes = 0
  }

  private enqueue(chunk: Bytes): void {
    if (this.waiting === null) this.waiting = []
    this.waiting.push(chunk)
  }

  private gatherSmall(bytes: Bytes): void {
    let { gather } = this
    if (gather === null || gather.length - this.gatheredBytes < bytes.length) {
      const size = gather === null ? GATHER_BYTES_MIN : gather.length * 2
      this.closeGather()
      gather = this.gather = allocateOwn(Math.min(size, GATHER_BYTES_MAX))
    }
    copyBytes(bytes, 0, bytes.length, gather, this.gatheredBytes)
    this.gatheredBytes += bytes.length
    this.copiedBytes += bytes.length
  }

  private closeGather(): void {
    if (this.gather === null) return
    this.enqueue(this.gather.subarray(0, this.gatheredBytes))
    this.gather = null
    this.gatheredBytes = 0
  }
}
