/**
 * How are many changes of small records written? Together, in one record of the database, which is
 * faster than writing them one by one.
 */
import { type Bytes, utf8Text } from '#bytes'
import { bytesAtMost, CHECKSUM_BYTES, CheckedRecord, dataViewOf, intact } from './checked-record.ts'

export interface Change {
  readonly key: string
  /** The new content of the record, or null if the change removes it. */
  readonly value: string | Uint8Array | null
}

/** Each change is preceded by the length of its key (2 bytes) and that of its value (4 bytes). */
const HEAD_BYTES = 2 + 4
/** This value replaces the length of the value if the change removes the record. */
const REMOVED = 0xffffffff

export class JournalWriter {
  readonly #record = new CheckedRecord()

  /** The size of the record so far. */
  get bytes(): number {
    return this.#record.at
  }

  add({ key, value }: Change): void {
    const record = this.#record
    record.reserve(HEAD_BYTES + bytesAtMost(key) + (value === null ? 0 : bytesAtMost(value)))
    const { numbers, at } = record
    const keyBytes = record.write(key, at + HEAD_BYTES)
    const valueAt = at + HEAD_BYTES + keyBytes
    const valueBytes = value === null ? 0 : record.write(value, valueAt)
    numbers.setUint16(at, keyBytes, true)
    numbers.setUint32(at + 2, value === null ? REMOVED : valueBytes, true)
    record.at = valueAt + valueBytes
  }

  /** @returns the record. The writer is empty again. */
  finish(): Bytes {
    return this.#record.seal()
  }
}

/**
 * Applies the changes of a journal to these records.
 * @returns false if the journal is damaged; then nothing was applied.
 */
export function replayJournal(view: Uint8Array, records: Map<string, Bytes>): boolean {
  const journal = intact(view)
  if (journal === null) return false
  const numbers = dataViewOf(journal)
  let at = CHECKSUM_BYTES
  while (at < journal.length) {
    const keyBytes = numbers.getUint16(at, true)
    const valueBytes = numbers.getUint32(at + 2, true)
    const valueAt = at + HEAD_BYTES + keyBytes
    const key = utf8Text(journal, at + HEAD_BYTES, valueAt)
    at = valueAt + (valueBytes === REMOVED ? 0 : valueBytes)
    if (valueBytes === REMOVED) records.delete(key)
    else records.set(key, journal.subarray(valueAt, at))
  }
  return true
}
