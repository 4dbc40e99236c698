/**
 * When are the changes of a spool written to disk? In group commits.
 *
 * Requests that are added or settled while a commit is under way share the next one. A commit that
 * fails stores nothing; its removals are repeated by a later one. A number that may have been in a
 * torn end of the log is never given to another request.
 */
import { StorageError } from '../../errors.ts'
import type { SentRequest } from '../../requests/vocabulary.ts'
import { type Deferred, deferred } from '../deferred.ts'
import { Database, type Operation } from '../store/database.ts'
import { RecordWriter } from '../store/request-records.ts'
import { Chunk } from './chunks.ts'
import type { SpoolWarning } from './spool-options.ts'
import {
  putChunk,
  putRecord,
  putTotals,
  readChunk,
  readRecords,
  readTotals,
  type StoredRecord,
  setAside,
  settledChanges,
  type Totals,
} from './spool-records.ts'

/** Waits until its requests are on disk. They may be in several records. */
export interface CommitWaiter {
  /** Called once for each record that holds some of its requests. */
  waits(): void
  /** One of these records is on disk, or could not be written. */
  done(failure: StorageError | null): void
}

export interface SpoolStoreListener {
  /** A chunk that was added is on disk. */
  stored(chunk: Chunk): void
  /** A chunk that was added could not be written. */
  lost(chunk: Chunk): void
  /** A commit has ended. */
  committed(): void
  /** Called if the disk failed while no promise waited for it, or if a record is damaged. */
  warn(warning: SpoolWarning): void
}

/** A record that the next commit writes. */
interface Gathered {
  readonly chunk: Chunk
  readonly writer: RecordWriter
  readonly waiters: Set<CommitWaiter>
}

/** A record that has this size gets no further request, so that reading it stays cheap. */
const RECORD_BYTES = 256 << 10
/** The most requests of a record, for the same reason. */
const RECORD_REQUESTS = 1024
/** How long to wait after a failed commit before the removal of settled requests is tried again. */
const RETRY_MS = 1000
/** More numbers than a torn end of the log can have contained. */
const NUMBER_GAP = 2 ** 20
/**
 * The first number is made from the wall clock, so that numbers are not repeated either if a
 * directory is deleted and made again.
 */
const NUMBERS_PER_MS = 1024

export class SpoolStore {
  readonly #database: Database
  readonly #listener: SpoolStoreListener
  #last: number
  /** Requests on disk that are not settled. */
  #size: number
  /** Their bytes. */
  #bytes: number
  #gathered: Gathered[] = []
  /** Writers without a record, which are used again. */
  readonly #writers: RecordWriter[] = []
  /** Chunks on disk of which requests were settled since the last commit. */
  #changed = new Set<Chunk>()
  /** Resolved by the commit that stores what was settled. */
  #settling: Deferred<void> | null = null
  #committing: Promise<unknown> | null = null
  #retry: NodeJS.Timeout | null = null
  #closed = false

  private constructor(
    database: Database,
    { last, size, bytes }: Totals,
    listener: SpoolStoreListener,
  ) {
    this.#database = database
    this.#listener = listener
    this.#last = last
    this.#size = size
    this.#bytes = bytes
  }

  static async open(directory: string, listener: SpoolStoreListener): Promise<SpoolStore> {
    const database = await Database.open(directory, 'spool')
    try {
      return new SpoolStore(database, await readTotals(database), listener)
    } catch (error) {
      await database.close()
      throw error
    }
  }

  get directory(): string {
    return this.#database.directory
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The highest number that was given to a request. */
  get last(): number {
    return this.#last
  }

  /** True while requests are on their way to disk. */
  get isBusy(): boolean {
    return this.#committing !== null || this.#gathered.length > 0
  }

  /** Sets the next number above all numbers that earlier processes gave. */
  begin(now: number): void {
    this.#last = Math.max(this.#last + NUMBER_GAP, now * NUMBERS_PER_MS)
  }

  /** @returns a number that was never given. */
  number(): number {
    return ++this.#last
  }

  /**
   * Adds a request to the next commit, which `commit` starts.
   * @throws what `JSON.stringify` throws.
   */
  add(request: SentRequest, bytes: number, expiresAt: number, waiter: CommitWaiter): void {
    let gathered = this.#gathered.at(-1)
    if (
      gathered === undefined ||
      gathered.writer.bytes > RECORD_BYTES ||
      gathered.chunk.requests.length >= RECORD_REQUESTS
    ) {
      const writer = this.#writers.pop() ?? new RecordWriter()
      gathered = { chunk: new Chunk(this.#last + 1, true), writer, waiters: new Set() }
      this.#gathered.push(gathered)
    }
    gathered.writer.add(request, expiresAt)
    gathered.chunk.add(request, bytes, expiresAt)
    this.#last++
    if (gathered.waiters.has(waiter)) return
    gathered.waiters.add(waiter)
    waiter.waits()
  }

  /** Stores that a request of a chunk on disk is settled. Resolves once that is on disk. */
  settled(chunk: Chunk, bytes: number): Promise<void> {
    this.#size--
    this.#bytes -= bytes
    this.#changed.add(chunk)
    this.#settling ??= deferred()
    const { promise } = this.#settling
    this.commit()
    return promise
  }

  /** @returns the next chunks behind the number `after`; none if there are none. */
  async read(after: number): Promise<readonly Chunk[]> {
    const found = await readRecords(this.#database, after)
    const chunks: Chunk[] = []
    for (const record of found) {
      const chunk = await readChunk(this.#database, record)
      if (chunk === null) await this.#setAside(record)
      else chunks.push(chunk)
    }
    const onlyDamaged = found.length > 0 && chunks.length === 0
    return onlyDamaged ? this.read(after) : chunks
  }

  async #setAside(record: StoredRecord): Promise<void> {
    await this.#database.commit(setAside(record))
    const message =
      `A record of ${this.directory} is damaged: up to ${RECORD_REQUESTS} ` +
      'queued requests are lost. It was set aside.'
    this.#listener.warn({ code: 'RECORD_DAMAGED', message })
  }

  /** Starts a commit after the current code, so that changes of one burst share it. */
  commit(): void {
    if (this.#committing !== null || this.#retry !== null || this.#closed) return
    if (this.#gathered.length === 0 && this.#changed.size === 0) return
    this.#committing = Promise.resolve().then(() => this.#commit([]))
  }

  /**
   * @param last Chunks that were only in memory; only the last commit has any.
   * @returns null if everything is on disk, or why it is not.
   */
  async #commit(last: readonly Chunk[]): Promise<StorageError | null> {
    const gathered = this.#gathered
    const changed = this.#changed
    const settling = this.#settling
    this.#gathered = []
    this.#changed = new Set()
    this.#settling = null
    const records = [...gathered.map((one) => this.#recordOf(one)), ...last.flatMap(putChunk)]
    const added = [...gathered.map(({ chunk }) => chunk), ...last]
    const operations = [
      ...[...changed].flatMap(settledChanges),
      ...records,
      putTotals(this.#totalsWith(added)),
    ]
    const failure = await this.#write(operations, sizeOf(records))
    this.#committing = null
    for (const { chunk } of gathered) this.#conclude(chunk, failure)
    for (const { waiters } of gathered) for (const waiter of waiters) waiter.done(failure)
    if (failure === null) settling?.resolve()
    else this.#changeLater(changed, settling, failure, gathered.length > 0)
    this.#listener.committed()
    this.commit()
    return failure
  }

  #recordOf({ chunk, writer }: Gathered): Operation {
    const value = writer.finish()
    this.#writers.push(writer)
    return putRecord(chunk.first, value)
  }

  async #write(operations: readonly Operation[], addedBytes: number): Promise<StorageError | null> {
    try {
      await this.#database.commit(operations, addedBytes)
      return null
    } catch (error) {
      if (error instanceof StorageError) return error
      throw error
    }
  }

  #conclude(chunk: Chunk, failure: StorageError | null): void {
    if (failure !== null) return this.#listener.lost(chunk)
    this.#size += chunk.left
    this.#bytes += chunk.bytes
    this.#listener.stored(chunk)
  }

  #totalsWith(added: readonly Chunk[]): Totals {
    return {
      last: this.#last,
      size: added.reduce((sum, { left }) => sum + left, this.#size),
      bytes: added.reduce((sum, { bytes }) => sum + bytes, this.#bytes),
    }
  }

  /**
   * Leaves the removal of settled requests to a later commit. If the failed commit also added
   * requests, the next commit does it, because the added requests may have been too large for the
   * disk; otherwise one after a delay does.
   */
  #changeLater(
    changed: ReadonlySet<Chunk>,
    settling: Deferred<void> | null,
    failure: StorageError,
    wasAdding: boolean,
  ): void {
    for (const chunk of changed) this.#changed.add(chunk)
    const next = this.#settling
    if (next === null) this.#settling = settling
    else if (settling !== null) next.promise.then(() => settling.resolve())
    if (wasAdding || changed.size === 0) return
    this.#listener.warn(failure)
    if (this.#closed) return
    this.#retry = setTimeout(() => {
      this.#retry = null
      this.commit()
    }, RETRY_MS).unref()
  }

  /**
   * Commits what is left, with these chunks that were only in memory, and closes the directory.
   * @throws StorageError if not everything could be stored.
   */
  async close(onlyInMemory: readonly Chunk[]): Promise<void> {
    this.#closed = true
    if (this.#retry !== null) clearTimeout(this.#retry)
    try {
      await this.#committing
      const failure = await this.#commit(onlyInMemory)
      if (failure !== null) throw failure
    } finally {
      await this.#database.close()
    }
  }
}

function sizeOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, one) => sum + (one.type === 'put' ? one.value.length : 0), 0)
}
