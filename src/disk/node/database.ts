/**
 * How does a directory keep records safe? In LevelDB, opened by one process at a time.
 *
 * `commit` resolves once all of its operations are on the disk; if it rejects, none of them is.
 * LevelDB recovers from a torn tail by itself; a directory that it cannot open is repaired once.
 * After a failed write, later writes to the same log might not be found again, so LevelDB is closed
 * and opened again before the next one. To free space LevelDB compacts: it writes sorted copies of
 * records before it deletes the old ones. Without room for these copies not even removals free any
 * space. So a commit that adds records is refused unless it leaves enough free space to compact.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { StorageError, UsageError } from '../../errors.ts'
import {
  claimDatabase,
  type DatabaseKind,
  databaseClosed,
  type KeyRange,
  type Operation,
  type RecordDatabase,
  type StoredRecord,
} from '../store/record-database.ts'
import { HeadFile } from './head-file.ts'
import {
  diskOf,
  engineOf,
  failed,
  isCorruption,
  type Level,
  levelIdentityOf,
  OWNER,
  openOrRepair,
  reserveBytes,
} from './open-level.ts'
import { ownerNow } from './owner.ts'
import { writeReserveFile } from './reserve-file.ts'

/** The most bytes that one compaction writes: twelve times the write buffer, and its overlap. */
const COMPACTION_BYTES_MAX = 256 << 20
/** A new record takes room twice: in the log and in a table. */
const COPIES = 2

class LevelDatabase implements RecordDatabase {
  readonly directory: string
  readonly #engine: typeof ClassicLevel
  readonly #head: HeadFile
  #level: Level
  #repaired: boolean
  /** What tells this database from another one in the same directory. */
  #identity: number | null = null
  /** True if LevelDB has met what it cannot read, and is to be repaired. */
  #isCorrupt = false
  /** After a failed write, what follows in the same log might not be found again. */
  #writeFailed = false
  #reopening: Promise<void> | null = null
  /** True if something was removed and LevelDB may not have freed its room yet. */
  #hasGarbage = true
  #closed = false

  private constructor(
    directory: string,
    engine: typeof ClassicLevel,
    { level, repaired }: { readonly level: Level; readonly repaired: boolean },
    head: HeadFile,
  ) {
    this.directory = directory
    this.#engine = engine
    this.#level = level
    this.#repaired = repaired
    this.#head = head
  }

  /** True if LevelDB could not read the directory and repaired it: records may be missing. */
  get repaired(): boolean {
    return this.#repaired
  }

  /** The last summary of an earlier process, or null if there is none. */
  get summary(): unknown {
    return this.#head.found
  }

  static async open(directory: string, kind: DatabaseKind): Promise<LevelDatabase> {
    if (typeof directory !== 'string' || directory === '') {
      throw new UsageError(`${kind}: the path of a directory is expected`)
    }
    const engine = await engineOf(kind)
    try {
      await mkdir(join(directory, 'data'), { recursive: true, mode: 0o700 })
    } catch (cause) {
      throw failed(`${directory} cannot be made`, 'OPEN_FAILED', cause)
    }
    const opened = await openOrRepair(engine, directory)
    const database = new LevelDatabase(directory, engine, opened, await HeadFile.open(directory))
    try {
      database.#identity = await levelIdentityOf(directory)
      await database.#claimDatabase(kind)
    } catch (error) {
      await database.close()
      throw error
    }
    return database
  }

  async #claimDatabase(kind: DatabaseKind): Promise<void> {
    await claimDatabase(this, kind)
    // The file only serves the error message of a second process. The lock itself is the kernel's
    // and ends with the process.
    const path = join(this.directory, OWNER)
    await writeFile(`${path}.tmp`, JSON.stringify(await ownerNow())).catch(() => {})
    await rename(`${path}.tmp`, path).catch(() => {})
  }

  /**
   * Resolves once all operations are on the disk.
   * @param addedBytes How many bytes are new; 0 if the operations only remove or mark.
   * @param summary What the content is after the commit, from which a later process knows whether
   *   anything was lost.
   * @throws StorageError (`DISK_FULL`, retryable, `WRITE_FAILED`, or `DIRECTORY_GONE`); then none
   *   was performed.
   */
  async commit(operations: readonly Operation[], addedBytes = 0, summary?: unknown): Promise<void> {
    if (this.#closed) throw databaseClosed(this.directory)
    if (this.#writeFailed) await this.#reopen()
    if (addedBytes > 0) await this.#requireRoom(addedBytes)
    try {
      await this.#level.batch(operations as Operation[], { sync: true })
      this.#hasGarbage ||= operations.some(({ type }) => type === 'del')
    } catch (cause) {
      this.#writeFailed = true
      this.#isCorrupt ||= isCorruption(cause)
      throw failed(`${this.directory} could not be written`, 'WRITE_FAILED', cause)
    }
    await Promise.all([
      this.#requirePresence(),
      summary === undefined ? undefined : this.#head.write(summary),
    ])
  }

  /** LevelDB does not notice that its files were removed: it goes on to write to them. */
  async #requirePresence(): Promise<void> {
    if (this.#identity === null || (await levelIdentityOf(this.directory)) === this.#identity)
      return
    throw goneError(this.directory)
  }

  async #requireRoom(addedBytes: number): Promise<void> {
    if (await this.#hasRoom(addedBytes)) return
    if (this.#hasGarbage) {
      // This reads and writes all records, so it is done only if some were removed since.
      this.#hasGarbage = false
      await this.#level.compactRange('', '~').catch(() => {})
      if (await this.#hasRoom(addedBytes)) return
    }
    const message =
      `The disk of ${this.directory} is full: the rest of it is needed to ` +
      'remove records. Nothing was stored; make room and try again.'
    throw new StorageError(message, { code: 'DISK_FULL', retryable: true })
  }

  async #hasRoom(addedBytes: number): Promise<boolean> {
    const { free, size } = await diskOf(this.directory)
    const left = free - addedBytes * COPIES
    if (left >= COMPACTION_BYTES_MAX + reserveBytes(size)) return true
    if (!(await writeReserveFile(this.directory, reserveBytes(size)))) return false
    const stored = await this.#level.approximateSize('', '~')
    return left >= Math.min(COMPACTION_BYTES_MAX, stored + addedBytes)
  }

  /** Opens LevelDB again. As long as this fails, nothing can be read or written. */
  #reopen(): Promise<void> {
    this.#reopening ??= this.#closeAndOpen().finally(() => {
      this.#reopening = null
    })
    return this.#reopening
  }

  async #closeAndOpen(): Promise<void> {
    try {
      await this.#requirePresence()
      await this.#level.close()
      const { level, repaired } = await openOrRepair(this.#engine, this.directory, this.#isCorrupt)
      this.#level = level
      this.#repaired ||= repaired
      this.#isCorrupt = false
      this.#identity = await levelIdentityOf(this.directory)
      this.#writeFailed = false
    } catch (cause) {
      throw failed(`${this.directory} could not be opened again`, 'WRITE_FAILED', cause)
    }
  }

  /**
   * @returns the value, or undefined if there is none under this key.
   * @throws StorageError if the disk fails.
   */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#level.get(key))
  }

  /**
   * @returns the records of a range by ascending key, until they have `maxBytes`; at least one if
   *   there is any.
   * @throws StorageError if the disk fails.
   */
  async range(range: KeyRange, maxBytes = Infinity): Promise<StoredRecord[]> {
    return this.#read(async () => {
      const found: StoredRecord[] = []
      let bytes = 0
      for await (const entry of this.#level.iterator(range)) {
        found.push(entry)
        bytes += entry[1].length
        if (bytes >= maxBytes) break
      }
      return found
    })
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#closed) throw databaseClosed(this.directory)
      const level = this.#level
      try {
        if (level.status !== 'open') await this.#reopen()
        return await read()
      } catch (cause) {
        // A commit is reopening LevelDB, or has reopened it meanwhile: read again.
        if (this.#reopening !== null || level !== this.#level) continue
        if (isCorruption(cause) && !this.#repaired) {
          this.#isCorrupt = true
          await this.#reopen()
          continue
        }
        throw failed(`${this.directory} could not be read`, 'READ_FAILED', cause)
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#reopening?.catch(() => {})
    await this.#level.close()
    await this.#head.close()
  }
}

function goneError(directory: string): StorageError {
  const message =
    `${directory} was removed or replaced while it was in use: what is not delivered yet is ` +
    'lost, and nothing more can be stored. Start again with a directory that stays.'
  return new StorageError(message, { code: 'DIRECTORY_GONE' })
}

/**
 * Opens the database in a directory, which is made if it is not there.
 * @param kind What the directory holds; a directory of another kind is refused.
 * @throws UsageError without the package `classic-level`, or for a directory of another kind.
 * @throws StorageError if the directory is in use (`IN_USE`, naming the process), or cannot be made
 *   or read.
 */
export function openDatabase(directory: string, kind: DatabaseKind): Promise<RecordDatabase> {
  return LevelDatabase.open(directory, kind)
}
