/**
 * How does a session outlive its process? Each change that a packet depends on is on disk before
 * the packet leaves (S1, a killed process loses nothing that was accepted).
 *
 * A commit appends a journal of the records that changed (`session-changes.ts`). Once the journals
 * are larger than the session itself, the session is written whole and the journals are removed.
 */

import type { Bytes } from '#bytes'
import { openDatabase } from '#database'
import { StorageError } from '../../errors.ts'
import { emitWarning } from '../../platform/warnings.ts'
import { Session, type SessionStore } from '../../requests/session.ts'
import type { SessionParts } from '../../requests/session-records.ts'
import { type Change, JournalWriter, replayJournal } from '../store/journal.ts'
import { keyOf, numberOf } from '../store/numbered-keys.ts'
import type { Operation, RecordDatabase } from '../store/record-database.ts'
import { RecordWriter } from '../store/request-records.ts'
import { changesBetween } from './session-changes.ts'
import { put, sessionRecordOf, WHOLE } from './stored-session.ts'

/** The kind of directory that holds a session. */
const KIND = 'session'
/** The prefix of the keys of journals. */
const JOURNAL = 'j'
/** A key that sorts after the keys of all journals. */
const JOURNALS_END = 'k'
/** The session is not written whole while its journals are smaller than this. */
const JOURNALS_BYTES_MIN = 4 << 20
/** The session is written whole once its journals are this many times as large. */
const OUTGROWN = 4
/** How much is read in one go. */
const JOURNALS_READ_BYTES = 8 << 20
/** A journal that has this size gets no further change, so that reading it stays cheap. */
const JOURNAL_BYTES = 1 << 20

/** What is known of the directory outside of the database. */
interface Summary {
  /** The number of the next journal. */
  readonly next: number
}

class DiskSession implements SessionStore {
  readonly #directory: string
  /** Null after `close`; a later `load` opens the directory again. */
  #database: RecordDatabase | null
  /** The state that is on disk, or null if that was not compared yet. */
  #stored: SessionParts | null = null
  /** The number of the first journal on disk. */
  #first = 0
  /** The number of the next journal. */
  #next = 0
  /** The size of the journals on disk. */
  #bytes = 0
  /** The size of the session when it was last written whole. */
  #wholeBytes = 0
  readonly #requests = new RecordWriter()
  readonly #writer = new JournalWriter()

  constructor(directory: string, database: RecordDatabase) {
    this.#directory = directory
    this.#database = database
  }

  async load(): Promise<Session | null> {
    this.#database ??= await openDatabase(this.#directory, KIND)
    this.#stored = null
    const { records, isTorn, isShort } = await this.#replay(this.#database)
    if (isShort) emitWarning(this, 'RECORD_DAMAGED', lossText(this.#directory))
    const record = sessionRecordOf(records, !isTorn)
    return record === null ? null : new Session(record, { record })
  }

  /**
   * Applies the journals up to the first that is missing or damaged; later ones would not fit the
   * state that results.
   * @returns the records, whether the last changes may be missing, and whether some are.
   * @throws StorageError if the session itself is damaged, and not only later changes.
   */
  async #replay(
    database: RecordDatabase,
  ): Promise<{ records: Map<string, Bytes>; isTorn: boolean; isShort: boolean }> {
    const records = new Map<string, Bytes>()
    let isIntact = true
    let after: string = JOURNAL
    this.#first = 0
    this.#next = 0
    for (;;) {
      const journals = await database.range({ gt: after, lt: JOURNALS_END }, JOURNALS_READ_BYTES)
      for (const [key, journal] of journals) {
        const number = numberOf(key)
        if (this.#next === 0) this.#first = number
        else isIntact &&= number === this.#next
        isIntact &&= replayJournal(journal, records)
        this.#next = number + 1
        after = key
      }
      if (journals.length > 0) continue
      const { next = 0 } = (database.summary ?? {}) as Partial<Summary>
      const isShort = !isIntact || this.#next < next
      const isEmpty = this.#next === 0
      this.#next = Math.max(this.#next, next)
      if (isEmpty) this.#first = this.#next
      if (isEmpty || records.has(WHOLE)) {
        return { records, isTorn: isShort || database.repaired, isShort }
      }
      throw new StorageError(
        `The session in ${this.#directory} is damaged; move the directory away to begin a new one`,
        { code: 'DAMAGED' },
      )
    }
  }

  async commit(session: Session): Promise<void> {
    const parts = session.parts!
    const isOutgrown = this.#bytes > Math.max(JOURNALS_BYTES_MIN, OUTGROWN * this.#wholeBytes)
    const isWhole = this.#stored === null || isOutgrown
    const changes = changesBetween(isWhole ? null : this.#stored, parts, this.#requests)
    if (isWhole) changes.push(put(WHOLE, true))
    const journals = this.#journalsOf(changes)
    const added = journals.reduce((sum, { length }) => sum + length, 0)
    const next = this.#next + journals.length
    const operations = journals.map((value, i): Operation => {
      return { type: 'put', key: keyOf(JOURNAL, this.#next + i), value }
    })
    if (isWhole) {
      for (let i = this.#first; i < this.#next; i++) {
        operations.push({ type: 'del', key: keyOf(JOURNAL, i) })
      }
    }
    await this.#database!.commit(operations, added, { next } satisfies Summary)
    if (isWhole) this.#first = this.#next
    this.#next = next
    this.#bytes = isWhole ? added : this.#bytes + added
    if (isWhole) this.#wholeBytes = added
    this.#stored = parts
  }

  #journalsOf(changes: readonly Change[]): Bytes[] {
    const journals: Bytes[] = []
    for (const change of changes) {
      this.#writer.add(change)
      if (this.#writer.bytes > JOURNAL_BYTES) journals.push(this.#writer.finish())
    }
    journals.push(this.#writer.finish())
    return journals
  }

  async close(): Promise<void> {
    const database = this.#database
    this.#database = null
    await database?.close()
  }
}

function lossText(directory: string): string {
  return (
    `The last changes of the session in ${directory} are lost, because its files were damaged or ` +
    'removed: messages may be sent twice. Check the disk.'
  )
}

/**
 * Opens a session that is stored in a directory, which is made if it is not there, for one loop at
 * a time: `eventloop({ session })`.
 *
 * The loop closes the session when it ends. If another loop is given the same object, that loop
 * opens it again. Needs the package `classic-level`; in a browser `directory` is the name of a
 * database of IndexedDB, and no package is needed.
 * @throws UsageError without `classic-level` (in a browser without IndexedDB or Web Locks), or if
 *   the directory holds something else.
 * @throws StorageError if the directory is in use (`IN_USE`, naming the process), or cannot be read
 *   or made.
 */
export async function openSession(directory: string): Promise<SessionStore> {
  return new DiskSession(directory, await openDatabase(directory, KIND))
}
