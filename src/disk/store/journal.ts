/**
 * How are many changes of small records written? Together, in one record of the database, which is
 * faster than writing them one by one.
 */
import { bytesAtMost, CHECKSUM_BYTES, CheckedRecord, intact } from './checked-record.ts'

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
    const { buffer, at } = record
    const keyBytes = record.write(key, at + HEAD_BYTES)
    const valueAt = at + HEAD_BYTES + keyBytes
    const valueBytes = value === null ? 0 : record.write(value, valueAt)
    buffer.writeUInt16LE(keyBytes, at)
    buffer.writeUInt32LE(value === null ? REMOVED : valueBytes, at + 2)
    record.at = valueAt + valueBytes
  }

  /** @returns the record. The writer is empty again. */
  finish(): Buffer {
    return this.#record.seal()
  }
}

/**
 * Applies the changes of a journal to these records.
 * @returns false if the journal is damaged; then nothing was applied.
 */
export function replayJournal(view: Uint8Array, records: Map<string, Buffer>): boolean {
  const journal = intact(view)
  if (journal === null) return false
  let at = CHECKSUM_BYTES
  while (at < journal.length) {
    const keyBytes = journal.readUInt16LE(at)
    const valueBytes = journal.readUInt32LE(at + 2)
    const valueAt = at + HEAD_BYTES + keyBytes
    const key = journal.toString('utf8', at + HEAD_BYTES, valueAt)
    at = valueAt + (valueBytes === REMOVED ? 0 : valueBytes)
    if (valueBytes === REMOVED) records.delete(key)
    else records.set(key, journal.subarray(valueAt, at))
  }
  return true
}
