/**
 * What a yielded payload may hold on to (R5): at most 8 KiB beyond its own size.
 *
 * A socket's chunk is up to 64 KiB; a view of it would keep all of it alive. So small bytes are copied into slabs of
 * 8 KiB, shared by all decoders of the process, and large ones into a buffer of their own.
 */
import { allocateOwn, type Bytes, BytesView, copyBytes, NO_BYTES } from '../platform/bytes.ts'

/** Bytes. What R5 allows beyond the payload itself. */
export const SLAB_BYTES = 8192
/** Bytes. Beyond half a slab an own buffer wastes less than the rest of a slab would. */
const SHARED_BYTES_MAX = 4096

let slab: Bytes = NO_BYTES
let slabUsed = SLAB_BYTES

/** Bytes of a slab that were claimed, and where they begin. */
export interface Claim {
  readonly slab: Bytes
  readonly offset: number
  readonly length: number
}

/** Claims between `least` and `most` bytes of the current slab, or of a new one. `least` is at most a slab. */
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

/** A copy of `bytes[start, end)` that holds at most a slab beyond its own size. */
export function copyOf(bytes: Bytes, start: number, end: number): Bytes {
  const length = end - start
  if (length === 0) return NO_BYTES
  if (length > SHARED_BYTES_MAX) {
    const own = allocateOwn(length)
    copyBytes(bytes, start, end, own, 0)
    return own
  }
  const { slab, offset } = claim(length, length)
  copyBytes(bytes, start, end, slab, offset)
  return new BytesView(slab.buffer, offset, length)
}
