/**
 * How does a browser keep records safe? In IndexedDB, opened by one page or worker at a time.
 *
 * `commit` is one transaction with the durability `strict`: it resolves once all of its operations
 * are on the disk; if it rejects, none of them is. Everything of a commit is in that transaction,
 * and a browser keeps a transaction whole or removes the database whole, which Chromium reports
 * (`dataLoss`). So there is no summary outside of the database, as the file `head` is one on Node:
 * it would be in the same storage, and could not say more.
 *
 * A browser may close a database at any time, in a page that is in the background, say. It is
 * opened again before the next operation. If the database is not there any more, because the
 * user has removed the data of the page, nothing is stored (`DIRECTORY_GONE`).
 */
import { type StorageError, UsageError } from '../../errors.ts'
import {
  claimDatabase,
  type DatabaseKind,
  databaseClosed,
  type KeyRange,
  type Operation,
  type RecordDatabase,
  type StoredRecord,
} from '../store/record-database.ts'
import {
  completionOf,
  type DomTransaction,
  type ObjectStore,
  type OpenedDatabase,
  resultOf,
  storageGlobals,
} from './indexed-db.ts'
import { takeLock } from './origin-lock.ts'
import { databaseFailure, goneFailure, openFailure } from './storage-failures.ts'
import { StorageRoom } from './storage-room.ts'

/**
 * Before the name of each database and of its lock, so that they are not mistaken for those of the
 * page.
 */
const PREFIX = 'it-mqtt:'
/** The version of the database in IndexedDB. A later one makes or changes object stores. */
const VERSION = 1
/** The object store that has all records. */
const RECORDS = 'records'
/** How many records are read first, before their size is known. */
const BATCH_MIN = 4
/** The most records that are read in one request. */
const BATCH_MAX = 1024

class IndexedDatabase implements RecordDatabase {
  readonly directory: string
  readonly summary = null
  readonly repaired: boolean
  readonly #release: () => void
  readonly #room = new StorageRoom()
  #opened: OpenedDatabase
  /** True once an operation has failed in a way that opening the database again may cure. */
  #isBroken = false
  #reopening: Promise<void> | null = null
  #closed = false

  private constructor(directory: string, { database, isLost }: Opened, release: () => void) {
    this.directory = directory
    this.repaired = isLost
    this.#release = release
    this.#opened = database
    this.#watch()
  }

  static async open(directory: string, kind: DatabaseKind): Promise<IndexedDatabase> {
    if (typeof directory !== 'string' || directory === '') {
      throw new UsageError(`${kind}: the name of a database is expected`)
    }
    const release = await takeLock(PREFIX + directory, directory)
    try {
      const database = new IndexedDatabase(directory, await openNamed(directory), release)
      try {
        await claimDatabase(database, kind)
        return database
      } catch (error) {
        database.#opened.close()
        throw error
      }
    } catch (error) {
      release()
      throw error
    }
  }

  #watch(): void {
    const opened = this.#opened
    const broken = () => {
      if (opened === this.#opened) this.#isBroken = true
    }
    opened.onclose = broken
    // The page removes the database: that waits for as long as it is open.
    opened.onversionchange = () => {
      opened.close()
      broken()
    }
  }

  async commit(operations: readonly Operation[], addedBytes = 0): Promise<void> {
    await this.#prepare('WRITE_FAILED')
    if (addedBytes > 0) await this.#room.require(addedBytes, this.directory)
    let transaction: DomTransaction | null = null
    let completion: Promise<void> | null = null
    try {
      transaction = this.#opened.transaction(RECORDS, 'readwrite', { durability: 'strict' })
      completion = completionOf(transaction)
      const store = transaction.objectStore(RECORDS)
      for (const operation of operations) {
        if (operation.type === 'del') store.delete(operation.key)
        else store.put(alone(operation.value), operation.key)
      }
      // Nothing is added any more, so the browser need not look whether there is.
      transaction.commit?.()
      await completion
    } catch (cause) {
      // What was given to the transaction before would be stored otherwise.
      completion?.catch(() => {})
      abortQuietly(transaction)
      throw this.#failed('could not be written', 'WRITE_FAILED', cause)
    }
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#read((store) => resultOf(store.get(key)))
  }

  range(range: KeyRange, maxBytes = Infinity): Promise<readonly StoredRecord[]> {
    return this.#read(async (store) => {
      const found: StoredRecord[] = []
      let bytes = 0
      let lower = range.gte ?? range.gt ?? ''
      let isOpen = range.gte === undefined
      for (let count = BATCH_MIN; lower < range.lt; ) {
        const keyRange = storageGlobals.IDBKeyRange!.bound(lower, range.lt, isOpen, true)
        const asked = [store.getAllKeys(keyRange, count), store.getAll(keyRange, count)] as const
        const [keys, values] = await Promise.all([resultOf(asked[0]), resultOf(asked[1])])
        for (const [i, key] of keys.entries()) {
          found.push([key, values[i]!])
          bytes += values[i]!.length
          if (bytes >= maxBytes) return found
        }
        if (keys.length < count) return found
        lower = keys.at(-1)!
        isOpen = true
        // As many as may be left, if they are as large as those that were read.
        const wanted = ((maxBytes - bytes) / (bytes + 1)) * found.length
        count = Math.min(Math.max(BATCH_MIN, Math.ceil(wanted)), BATCH_MAX)
      }
      return found
    })
  }

  async #read<T>(read: (store: ObjectStore) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      await this.#prepare('READ_FAILED')
      try {
        return await read(this.#opened.transaction(RECORDS, 'readonly').objectStore(RECORDS))
      } catch (cause) {
        const failure = this.#failed('could not be read', 'READ_FAILED', cause)
        if (attempt > 1) throw failure
      }
    }
  }

  /** The database may have been closed by the browser: it is opened again before the next use. */
  #failed(what: string, code: string, cause: unknown): StorageError {
    const failure = databaseFailure(`${this.directory} ${what}`, code, cause)
    if (failure.code !== 'DISK_FULL') this.#isBroken = true
    return failure
  }

  /**
   * Opens the database again if that is needed. As long as this fails, nothing can be read or
   * written.
   */
  async #prepare(code: string): Promise<void> {
    if (this.#closed) throw databaseClosed(this.directory)
    if (!this.#isBroken) return
    this.#reopening ??= this.#reopen(code).finally(() => {
      this.#reopening = null
    })
    await this.#reopening
  }

  async #reopen(code: string): Promise<void> {
    this.#opened.close()
    try {
      this.#opened = (await openNamed(this.directory, false)).database
    } catch (cause) {
      throw databaseFailure(`${this.directory} could not be opened again`, code, cause)
    }
    this.#watch()
    this.#isBroken = false
    // `close` was called meanwhile, and has closed only what was open before.
    if (this.#closed) this.#opened.close()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#reopening?.catch(() => {})
    this.#opened.close()
    this.#release()
  }
}

interface Opened {
  readonly database: OpenedDatabase
  /** True if the browser says that it has removed what was in the database. */
  readonly isLost: boolean
}

/**
 * @param mayBeNew False if the database was there before.
 * @throws UsageError if there is no IndexedDB, or a database that this version cannot read.
 * @throws StorageError if the browser does not open the database, or if it is gone.
 */
async function openNamed(directory: string, mayBeNew = true): Promise<Opened> {
  let isLost = false
  let isGone = false
  let database: OpenedDatabase
  try {
    const { indexedDB } = storageGlobals
    if (indexedDB === undefined) throw new ReferenceError('there is no IndexedDB')
    const request = indexedDB.open(PREFIX + directory, VERSION)
    request.onupgradeneeded = ({ oldVersion, dataLoss }) => {
      isLost = dataLoss === 'total'
      isGone = !mayBeNew
      if (isGone) request.transaction!.abort()
      else if (oldVersion === 0) request.result.createObjectStore(RECORDS)
    }
    database = await resultOf(request)
  } catch (cause) {
    if (isGone) throw goneFailure(directory)
    throw openFailure(directory, cause)
  }
  if (database.objectStoreNames.contains(RECORDS)) return { database, isLost }
  database.close()
  throw new UsageError(`The database ${PREFIX}${directory} was not made by it-mqtt`)
}

function abortQuietly(transaction: DomTransaction | null): void {
  try {
    transaction?.abort()
  } catch {
    // It has ended.
  }
}

/** A view is stored with all of the memory that it is a part of, so it is copied first. */
function alone(value: Uint8Array): Uint8Array {
  return value.byteLength === value.buffer.byteLength ? value : new Uint8Array(value)
}

/**
 * Opens the database of this name, which is made if it is not there.
 * @param kind What the database holds; a database of another kind is refused.
 * @throws UsageError if this runtime has no IndexedDB or no Web Locks (`NO_STORAGE_ENGINE`), or for
 *   a database that holds something else or that another version of this package made.
 * @throws StorageError if the database is in use (`IN_USE`), or cannot be made or read.
 */
export function openDatabase(directory: string, kind: DatabaseKind): Promise<RecordDatabase> {
  return IndexedDatabase.open(directory, kind)
}
