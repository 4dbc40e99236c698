/**
 * What memory may a payload keep alive?
 *
 * A payload keeps at most 8 KiB beyond its own size in memory (R5, a yielded packet keeps little
 * memory alive). A chunk from the socket has up to 64 KiB, and a view of it would keep all of it in
 * memory. So small payloads are copied into slabs of 8 KiB that all decoders of the process share,
 * and a large one into a buffer of its own.
 */
import { allocateOwn, type Bytes, BytesView, copyBytes, NO_BYTES } from '#bytes'

/** Size of a slab in bytes: as much as R5 allows beyond the payload itself. */
const SLAB_BYTES = 8192
/**
 * In bytes. A longer copy gets a buffer of its own, because a new slab for it would leave more of
 * the current slab unused.
 */
const SHARED_BYTES_MAX = 4096

let slab: Bytes = NO_BYTES
let slabUsed = SLAB_BYTES

/** In bytes. For up to this many a loop is faster than `copyBytes`, which makes a view first. */
const LOOP_BYTES_MAX = 24

/** A part of a slab: `length` bytes from `offset` on. */
interface Claim {
  readonly slab: Bytes
  readonly offset: number
  readonly length: number
}

/**
 * Reserves between `least` and `most` bytes of the current slab, or of a new one. `least` is at
 * most `SLAB_BYTES`.
 */
export function claim(least: number, most: number): Claim {
  if (SLAB_BYTES - slabUsed < least) {
    slab = allocateOwn(SLAB_BYTES)
    slabUsed = 0
  }
  const length = Math.min(most, SLAB_BYTES - slabUsed)
  const offset = slabUsed
  slabUsed += length
  return { slab, offset, length }
}

/** @returns a copy of `bytes[start, end)` that keeps at most a slab alive beyond its own size. */
export function copyOf(bytes: Bytes, start: number, end: number): Bytes {
  const length = end - start
  if (length === 0) return NO_BYTES
  if (length > SHARED_BYTES_MAX) {
    const own = allocateOwn(length)
    copyBytes(bytes, start, end, own, 0)
    return own
  }
  const { slab, offset } = claim(length, length)
  if (length > LOOP_BYTES_MAX) copyBytes(bytes, start, end, slab, offset)
  else for (let i = 0; i < length; i++) slab[offset + i] = bytes[start + i]!
  return new BytesView(slab.buffer, offset, length)
}

/** Nothing else uses the joined packet, so the payload is a view of it if R5 allows that. */
export function payloadOfJoined(joined: Bytes, start: number, end: number): Bytes {
  const length = end - start
  if (length === 0) return NO_BYTES
  if (joined.length - length > SLAB_BYTES) return copyOf(joined, start, end)
  return new BytesView(joined.buffer, start, length)
}
