/**
 * How does a record show that it is whole? It begins with a checksum of what follows.
 *
 * A `CheckedRecord` collects the bytes of a record and seals them; `intact` checks a sealed one.
 */
import { createHash } from 'node:crypto'

/** The checksum is the beginning of the SHA-256 of the rest of the record. */
export const CHECKSUM_BYTES = 8
const FIRST_BYTES = 16 << 10
/**
 * A buffer larger than this is released after use, so that one large entry does not keep it in
 * memory.
 */
const KEPT_BYTES_MAX = 1 << 20
/** A UTF-16 code unit takes at most three bytes in UTF-8. */
const UTF8_BYTES_MAX = 3

export class CheckedRecord {
  buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  /** The end of what was written. */
  at = CHECKSUM_BYTES

  /** Makes room for this many bytes behind `at`. */
  reserve(bytes: number): void {
    const needed = this.at + bytes
    if (needed <= this.buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2))
    larger.set(this.buffer.subarray(0, this.at))
    this.buffer = larger
  }

  /**
   * Writes text as UTF-8, or bytes, at `at`. Call `reserve` before, with `bytesAtMost(value)`.
   * @returns how many bytes were written.
   */
  write(value: string | Uint8Array, at: number): number {
    if (typeof value === 'string') return this.buffer.write(value, at)
    this.buffer.set(value, at)
    return value.length
  }

  /** @returns the record with its checksum. This object is empty again. */
  seal(): Buffer {
    const record = Buffer.allocUnsafeSlow(this.at)
    this.buffer.copy(record, 0, 0, this.at)
    record.set(checksumOf(record))
    this.at = CHECKSUM_BYTES
    if (this.buffer.length > KEPT_BYTES_MAX) this.buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
    return record
  }
}

/** @returns the most bytes that the value can take in a record. */
export function bytesAtMost(value: string | Uint8Array): number {
  return typeof value === 'string' ? value.length * UTF8_BYTES_MAX : value.length
}

/** @returns the record as a Buffer over the same memory, or null if it is damaged. */
export function intact(view: Uint8Array): Buffer | null {
  const record = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
  if (record.length < CHECKSUM_BYTES) return null
  return checksumOf(record).equals(record.subarray(0, CHECKSUM_BYTES)) ? record : null
}

function checksumOf(record: Buffer): Buffer {
  const content = record.subarray(CHECKSUM_BYTES)
  return createHash('sha256').update(content).digest().subarray(0, CHECKSUM_BYTES)
}

/** @returns a record that holds a value as JSON. */
export function checkedJson(value: unknown): Buffer {
  const content = Buffer.from(JSON.stringify(value))
  const record = Buffer.concat([Buffer.alloc(CHECKSUM_BYTES), content])
  record.set(checksumOf(record))
  return record
}

/** @returns the value of such a record, or null if the record is missing or damaged. */
export function checkedValueOf<T>(view: Uint8Array | undefined): T | null {
  const record = view === undefined ? null : intact(view)
  try {
    return record === null ? null : JSON.parse(record.toString('utf8', CHECKSUM_BYTES))
  } catch {
    // A record of another kind has got here under a damaged key.
    return null
  }
}
