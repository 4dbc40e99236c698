/**
 * What a yielded payload may hold on to (R5): at most 8 KiB beyond its own size.
 *
 * A socket's chunk is up to 64 KiB; a view of it would keep all of it alive. So small bytes are copied into slabs of
 * 8 KiB, shared by all decoders of the process, and large ones into a buffer of their own. The view is made by the
 * constructor behind `Buffer` (its species): half the cost of `Buffer.from(arrayBuffer, …)`, and the same class.
 */

/** Bytes. What R5 allows beyond the payload itself. */
export const SLAB_BYTES = 8192
/** Bytes. Beyond half a slab an own buffer wastes less than the rest of a slab would. */
const SHARED_BYTES_MAX = 4096

type MakeView = new (memory: ArrayBufferLike, offset: number, length: number) => Buffer

/** A Buffer over memory that is there already; nothing is copied. */
export const View: MakeView = (Buffer as unknown as { readonly [Symbol.species]: MakeView })[
  Symbol.species
]

/** Zero bytes; shared. */
export const EMPTY: Buffer = Buffer.allocUnsafeSlow(0)

let slab: Buffer = EMPTY
let slabUsed = SLAB_BYTES

/** Bytes of a slab that were claimed, and where they begin. */
export interface Claim {
  readonly slab: Buffer
  readonly offset: number
  readonly length: number
}

/** Claims between `least` and `most` bytes of the current slab, or of a new one. `least` is at most a slab. */
export function claim(least: number, most: number): Claim {
  if (SLAB_BYTES - slabUsed < least) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    slabUsed = 0
  }
  const length = Math.min(most, SLAB_BYTES - slabUsed)
  const offset = slabUsed
  slabUsed += length
  return { slab, offset, length }
}

/** A copy of `bytes[start, end)` that holds at most a slab beyond its own size. */
export function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const length = end - start
  if (length === 0) return EMPTY
  if (length > SHARED_BYTES_MAX) {
    const own = Buffer.allocUnsafeSlow(length)
    bytes.copy(own, 0, start, end)
    return own
  }
  const { slab, offset } = claim(length, length)
  bytes.copy(slab, offset, start, end)
  return new View(slab.buffer, offset, length)
}
