/**
 * What is the CRC32 of these bytes? Node's zlib computes it for long runs of bytes, if the runtime
 * has it; for short ones the call costs more than eight tables in JavaScript.
 *
 * The module is asked for at run time and is not imported, so that a bundler for browsers finds
 * nothing of Node here.
 */

/** Computes a CRC32 that continues the one of earlier bytes. */
type Checksum = (bytes: Uint8Array, earlier?: number) => number

/** From so many bytes on zlib is faster than the tables. */
const NATIVE_BYTES_MIN = 320

/** The polynomial of CRC32, its bits in reverse order. */
const POLYNOMIAL = 0xedb88320

/** One table for each of eight bytes that are taken together, one behind the other. */
let tables: Int32Array | null = null
/** Undefined until it is looked for. */
let native: Checksum | null | undefined

/**
 * @param earlier the CRC32 of the bytes before, 0 if there are none
 * @returns the CRC32 of these and of `bytes[start, end)`, as an unsigned number
 */
export function crc32(bytes: Uint8Array, start: number, end: number, earlier = 0): number {
  if (end - start >= NATIVE_BYTES_MIN) {
    if (native === undefined) native = findNative()
    if (native !== null) return native(bytes.subarray(start, end), earlier)
  }
  const t = (tables ??= makeTables())
  let crc = ~earlier
  let at = start
  for (; end - at >= 8; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      t[1792 + (crc & 255)]! ^
      t[1536 + ((crc >>> 8) & 255)]! ^
      t[1280 + ((crc >>> 16) & 255)]! ^
      t[1024 + (crc >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = t[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8)
  return ~crc >>> 0
}

function makeTables(): Int32Array {
  const made = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    made[byte] = crc
  }
  for (let i = 256; i < made.length; i++) {
    const before = made[i - 256]!
    made[i] = (before >>> 8) ^ made[before & 255]!
  }
  return made
}

/** What is looked for of the runtime: Node 20.16 and 22.3, Bun and Deno have it. */
interface Runtime {
  readonly getBuiltinModule?: (name: string) => { readonly crc32?: Checksum } | undefined
}

function findNative(): Checksum | null {
  const runtime = (globalThis as { readonly process?: Runtime })['process']
  return runtime?.getBuiltinModule?.('node:zlib')?.crc32 ?? null
}
