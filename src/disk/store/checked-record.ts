/**
 * How does a record show that it is whole? It begins with a checksum of what follows.
 *
 * A `CheckedRecord` collects the bytes of a record and seals them; `intact` checks a sealed one.
 */
import {
  allocateOwn,
  asBytes,
  type Bytes,
  byteLength,
  copyBytes,
  utf8Bytes,
  utf8Text,
  writeUtf8,
} from '#bytes'
import { sha256 } from '#runtime'

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
/** In UTF-16 units. For up to this many a loop is faster than a call of the runtime. */
const LOOP_UNITS_MAX = 64

export class CheckedRecord {
  buffer = allocateOwn(FIRST_BYTES)
  /** For the numbers in `buffer`. */
  numbers = dataViewOf(this.buffer)
  /** The end of what was written. */
  at = CHECKSUM_BYTES

  /** Makes room for this many bytes behind `at`. */
  reserve(bytes: number): void {
    const needed = this.at + bytes
    if (needed <= this.buffer.length) return
    const larger = allocateOwn(Math.max(needed, this.buffer.length * 2))
    copyBytes(this.buffer, 0, this.at, larger, 0)
    this.#use(larger)
  }

  /**
   * Writes text as UTF-8, or bytes, at `at`. Call `reserve` before, with `bytesAtMost(value)`.
   * @returns how many bytes were written.
   */
  write(value: string | Uint8Array, at: number): number {
    if (typeof value === 'string') return writeText(this.buffer, value, at)
    this.buffer.set(value, at)
    return value.length
  }

  /** @returns the record with its checksum. This object is empty again. */
  seal(): Bytes {
    const record = allocateOwn(this.at)
    copyBytes(this.buffer, 0, this.at, record, 0)
    record.set(checksumOf(record))
    this.at = CHECKSUM_BYTES
    if (this.buffer.length > KEPT_BYTES_MAX) this.#use(allocateOwn(FIRST_BYTES))
    return record
  }

  #use(buffer: Bytes): void {
    this.buffer = buffer
    this.numbers = dataViewOf(buffer)
  }
}

/** @returns the most bytes that the value can take in a record. */
export function bytesAtMost(value: string | Uint8Array): number {
  return typeof value === 'string' ? value.length * UTF8_BYTES_MAX : value.length
}

/** @returns the record over the same memory, or null if it is damaged. */
export function intact(view: Uint8Array): Bytes | null {
  const record = asBytes(view)
  if (record.length < CHECKSUM_BYTES) return null
  return checksumOf(record).every((byte, i) => byte === record[i]) ? record : null
}

/** For the numbers in `bytes`, which are little-endian. */
export function dataViewOf({ buffer, byteOffset, length }: Bytes): DataView {
  return new DataView(buffer, byteOffset, length)
}

function checksumOf(record: Bytes): Uint8Array {
  return sha256(record.subarray(CHECKSUM_BYTES)).subarray(0, CHECKSUM_BYTES)
}

/** @returns how many bytes the UTF-8 of `text` has, which was written at `at`. */
function writeText(into: Bytes, text: string, at: number): number {
  const { length } = text
  if (length <= LOOP_UNITS_MAX) {
    let i = 0
    for (; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0x7f) break
      into[at + i] = unit
    }
    if (i === length) return length
  }
  const bytes = byteLength(text)
  writeUtf8(into, text, at, bytes)
  return bytes
}

/** @returns a record that holds a value as JSON. */
export function checkedJson(value: unknown): Bytes {
  const content = utf8Bytes(JSON.stringify(value))
  const record = allocateOwn(CHECKSUM_BYTES + content.length)
  record.set(content, CHECKSUM_BYTES)
  record.set(checksumOf(record))
  return record
}

/** @returns the value of such a record, or null if the record is missing or damaged. */
export function checkedValueOf<T>(view: Uint8Array | undefined): T | null {
  const record = view === undefined ? null : intact(view)
  try {
    return record === null ? null : JSON.parse(utf8Text(record, CHECKSUM_BYTES, record.length))
  } catch {
    // A record of another kind has got here under a damaged key.
    return null
  }
}
