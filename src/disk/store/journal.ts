/**
 * Changes of small records, many in one: a database writes one of these faster than what is in it one by one.
 */
import { CHECK_BYTES, checked, GrowingRecord } from './checked-record.ts'

/** Null: the record is gone. */
export interface Change {
  readonly key: string
  readonly value: string | Uint8Array | null
}

const HEAD_BYTES = 2 + 4
const GONE = 0xffffffff

export class JournalWriter {
  readonly #record = new GrowingRecord()

  get bytes(): number {
    return this.#record.at
  }

  add({ key, value }: Change): void {
    const record = this.#record
    // A character of UTF-16 is at most three bytes of UTF-8.
    const valueRoom = typeof value === 'string' ? value.length * 3 : (value?.length ?? 0)
    record.reserve(HEAD_BYTES + key.length * 3 + valueRoom)
    const { buffer, at } = record
    const keyBytes = buffer.write(key, at + HEAD_BYTES)
    const valueAt = at + HEAD_BYTES + keyBytes
    let valueBytes = 0
    if (typeof value === 'string') valueBytes = buffer.write(value, valueAt)
    else if (value !== null) {
      buffer.set(value, valueAt)
      valueBytes = value.length
    }
    buffer.writeUInt16LE(keyBytes, at)
    buffer.writeUInt32LE(value === null ? GONE : valueBytes, at + 2)
    record.at = valueAt + valueBytes
  }

  /** The record; the writer is empty again. */
  finish(): Buffer {
    return this.#record.finish()
  }
}

/** Does the changes of a journal to these records. False: it is damaged, and nothing was done. */
export function replayJournal(view: Uint8Array, records: Map<string, Buffer>): boolean {
  const journal = checked(view)
  if (journal === null) return false
  let at = CHECK_BYTES
  while (at < journal.length) {
    const keyBytes = journal.readUInt16LE(at)
    const valueBytes = journal.readUInt32LE(at + 2)
    const valueAt = at + HEAD_BYTES + keyBytes
    const key = journal.toString('utf8', at + HEAD_BYTES, valueAt)
    at = valueAt + (valueBytes === GONE ? 0 : valueBytes)
    if (valueBytes === GONE) records.delete(key)
    else records.set(key, journal.subarray(valueAt, at))
  }
  return true
}
