/**
 * Bytes that grow, and their end: a record with a check in front.
 */
import { createHash } from 'node:crypto'

/** What a record begins with: the beginning of the SHA-256 of the rest. */
export const CHECK_BYTES = 8
const FIRST_BYTES = 16 << 10
/** One large entry does not keep its room for ever. */
const KEEP_BYTES = 1 << 20

export class GrowingRecord {
  buffer = Buffer.allocUnsafe(FIRST_BYTES)
  at = CHECK_BYTES

  /** Makes room for so many bytes at `at`. */
  reserve(bytes: number): void {
    const needed = this.at + bytes
    if (needed <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2))
    larger.set(this.buffer.subarray(0, this.at))
    this.buffer = larger
  }

  /** The record; this is empty again. */
  finish(): Buffer {
    const record = Buffer.from(this.buffer.subarray(0, this.at))
    record.set(checkOf(record))
    this.at = CHECK_BYTES
    if (this.buffer.length > KEEP_BYTES) this.buffer = Buffer.allocUnsafe(FIRST_BYTES)
    return record
  }
}

/** Null: it is damaged. */
export function checked(view: Uint8Array): Buffer | null {
  const record = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
  const isWhole = record.length >= CHECK_BYTES
  return isWhole && checkOf(record).equals(record.subarray(0, CHECK_BYTES)) ? record : null
}

function checkOf(record: Buffer): Buffer {
  return createHash('sha256').update(record.subarray(CHECK_BYTES)).digest().subarray(0, CHECK_BYTES)
}
