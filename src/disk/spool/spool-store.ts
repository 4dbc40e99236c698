/**
 * When are the changes of a spool written to disk? In group commits.
 *
 * Requests that are added or settled while a commit is under way share the next one. A commit that
 * fails stores nothing; its removals are repeated by a later one. A number that may have been in a
 * torn end of the log is never given to another request.
 */

import { openDatabase } from '#database'
import { StorageError } from '../../errors.ts'
import { machine, setIdleTimer } from '../../platform/machine.ts'
import type { SentRequest } from '../../requests/vocabulary.ts'
import { type Deferred, deferred } from '../deferred.ts'
import type { Operation, RecordDatabase, StoredRecord } from '../store/record-database.ts'
import { RecordWriter } from '../store/request-records.ts'
import {
  Audit,
  isDifferent,
  lossWarning,
  lostPosition,
  openTotals,
  setRecordAside,
  unknownLoss,
} from './audit.ts'
import { Chunk } from './chunks.ts'
import { type CommitWaiter, Marks, marksOf } from './marks.ts'
import { SpoolClock } from './spool-clock.ts'
import type { SpoolWarning } from './spool-options.ts'
import {
  countAll,
  putChunk,
  putRecord,
  putTotals,
  readChunks,
  readDamaged,
  readPositions,
  settledChanges,
} from './spool-records.ts'
import { type Amount, amountOf, one, sum, type Totals } from './totals.ts'

export interface SpoolStoreListener {
  /** A chunk that was added is on disk. */
  stored(chunk: Chunk): void
  /** A chunk that was added could not be written. */
  lost(chunk: Chunk): void
  /** Requests of an earlier process are not there, although it counted them. */
  missing(amount: Amount): void
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
  readonly #database: RecordDatabase
  readonly #listener: SpoolStoreListener
  readonly clock: SpoolClock
  #audit: Audit
  readonly #marks: Marks
  #last: number
  /** Requests on disk that are not settled. */
  #amount: Amount
  #commits: number
  #lost: number
  #gathered: Gathered[] = []
  /** Writers without a record, which are used again. */
  readonly #writers: RecordWriter[] = []
  /** Chunks on disk of which requests were settled since the last commit. */
  #changed = new Set<Chunk>()
  /** Resolved by the commit that stores what was settled. */
  #settling: Deferred<void> | null = null
  #committing: Promise<unknown> | null = null
  #retry: unknown = null
  #closed = false
  /** True if the totals on disk are to be written, although nothing else is. */
  #isDirty = false
  /** True once the directory is gone: then nothing is written any more. */
  #isGone = false

  private constructor(
    database: RecordDatabase,
    totals: Totals,
    positions: Map<string, unknown>,
    listener: SpoolStoreListener,
  ) {
    this.#database = database
    this.#listener = listener
    const { last, size, bytes, digest, commits, lost, clock } = totals
    this.clock = new SpoolClock(clock)
    this.#audit = new Audit(totals)
    this.#marks = new Marks(positions)
    this.#last = last
    this.#amount = { size, bytes, digest }
    this.#commits = commits
    this.#lost = lost
  }

  static async open(directory: string, listener: SpoolStoreListener): Promise<SpoolStore> {
    const database = await openDatabase(directory, 'spool')
    try {
      const putAside = (record: StoredRecord) => setRecordAside(database, record, listener)
      const { totals, missing, isUnknown } = await openTotals(database, putAside)
      const positions = await readPositions(database)
      const store = new SpoolStore(database, totals, positions, listener)
      for (const [producer, position] of positions) {
        if (position === null) store.#forget(producer)
      }
      if (isUnknown) listener.warn(unknownLoss(directory))
      if (isDifferent(missing)) store.#reportLoss(missing)
      return store
    } catch (error) {
      await database.close()
      throw error
    }
  }

  /** A position that is damaged is none: its producer begins again. */
  #forget(producer: string): void {
    this.#listener.warn(lostPosition(this.directory, producer))
    this.mark(producer, null, { waits: () => {}, done: () => {} })
  }

  get directory(): string {
    return this.#database.directory
  }

  get size(): number {
    return this.#amount.size
  }

  get bytes(): number {
    return this.#amount.bytes
  }

  /** How far each producer got, as it is on disk. */
  get positions(): ReadonlyMap<string, unknown> {
    return this.#marks.stored
  }

  /** How many requests were lost to damage, since that was last cleared. */
  get lost(): number {
    return this.#lost
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

  /** Adds to the next commit how far a producer got; null if it is to begin again. */
  mark(producer: string, position: unknown, waiter: CommitWaiter): void {
    this.#marks.add(producer, position, waiter)
    this.commit()
  }

  /**
   * Stores that a request of a chunk on disk is settled. Resolves once that is on disk.
   * @param number The number of the request.
   */
  settled(chunk: Chunk, number: number, bytes: number): Promise<void> {
    this.#amount = sum(this.#amount, one(number, bytes), -1)
    this.#changed.add(chunk)
    this.#settling ??= deferred()
    const { promise } = this.#settling
    this.commit()
    return promise
  }

  /** @returns the next chunks behind the number `after`; none if there are none. */
  async read(after: number): Promise<readonly Chunk[]> {
    const { chunks, damaged, through } = await readChunks(this.#database, after, this.#last)
    for (const record of damaged) await setRecordAside(this.#database, record, this.#listener)
    this.#audit.found(chunks)
    const missing = this.#audit.conclude(through ?? Infinity)
    if (missing !== null) {
      this.#amount = sum(this.#amount, missing, -1)
      this.#listener.missing(missing)
      if (isDifferent(missing)) this.#reportLoss(missing)
    }
    return through !== null && chunks.length === 0 ? this.read(through) : chunks
  }

  /** Reads everything, and reports what is missing. Nothing may have been loaded yet. */
  async verify(): Promise<void> {
    const putAside = (record: StoredRecord) => {
      return setRecordAside(this.#database, record, this.#listener)
    }
    const { size, bytes, digest } = await countAll(this.#database, putAside)
    const missing = sum(this.#amount, { size, bytes, digest }, -1)
    this.#amount = { size, bytes, digest }
    this.#audit = new Audit({ ...this.#amount, last: this.#last })
    this.#listener.missing(missing)
    if (isDifferent(missing)) this.#reportLoss(missing)
  }

  #reportLoss(missing: Amount): void {
    this.#lost += Math.max(0, missing.size)
    this.#listener.warn(lossWarning(this.directory, missing))
    this.#isDirty = true
    this.commit()
  }

  /**
   * Removes the damaged records that were set aside, and forgets what was lost.
   * @param save Is called with each record before it is removed.
   */
  async clearDamaged(save?: (record: Uint8Array) => Promise<void>): Promise<number> {
    const found = await readDamaged(this.#database)
    for (const [, record] of found) await save?.(record)
    await this.#database.commit(found.map(([key]) => ({ type: 'del', key })))
    this.#lost = 0
    this.#isDirty = true
    this.commit()
    await this.#committing
    return found.length
  }

  /** Starts a commit after the current code, so that changes of one burst share it. */
  commit(): void {
    if (this.#committing !== null || this.#retry !== null || this.#closed) return
    const isAdding = this.#gathered.length > 0 || !this.#marks.isEmpty
    if (!isAdding && (this.#isGone || (this.#changed.size === 0 && !this.#isDirty))) return
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
    const marked = this.#marks.take()
    this.#gathered = []
    this.#changed = new Set()
    this.#settling = null
    this.#isDirty = false
    const records = [...gathered.map((one) => this.#recordOf(one)), ...last.flatMap(putChunk)]
    const added = [...gathered.map(({ chunk }) => chunk), ...last]
    const operations = [...[...changed].flatMap(settledChanges), ...records, ...marksOf(marked)]
    const failure = await this.#write(operations, sizeOf(records), this.#totalsWith(added))
    this.#committing = null
    for (const { chunk } of gathered) this.#conclude(chunk, failure)
    for (const { waiters } of gathered) for (const waiter of waiters) waiter.done(failure)
    this.#marks.conclude(marked, failure)
    if (failure === null) settling?.resolve()
    else this.#changeLater(changed, settling, failure, gathered.length > 0 || marked.size > 0)
    this.#listener.committed()
    this.commit()
    return failure
  }

  #recordOf({ chunk, writer }: Gathered): Operation {
    const value = writer.finish()
    this.#writers.push(writer)
    return putRecord(chunk.first, value)
  }

  async #write(
    operations: readonly Operation[],
    addedBytes: number,
    totals: Totals,
  ): Promise<StorageError | null> {
    try {
      await this.#database.commit([...operations, putTotals(totals)], addedBytes, totals)
      this.#commits = totals.commits
      return null
    } catch (error) {
      if (error instanceof StorageError) return error
      throw error
    }
  }

  #conclude(chunk: Chunk, failure: StorageError | null): void {
    if (failure !== null) return this.#listener.lost(chunk)
    this.#amount = sum(this.#amount, amountOf([chunk]))
    this.#listener.stored(chunk)
  }

  #totalsWith(added: readonly Chunk[]): Totals {
    const clock = this.clock.record
    const counts = { last: this.#last, commits: this.#commits + 1, lost: this.#lost, clock }
    return { ...sum(this.#amount, amountOf(added)), ...counts }
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
    if (failure.code === 'DIRECTORY_GONE') {
      if (!this.#isGone) this.#listener.warn(failure)
      this.#isGone = true
      return
    }
    if (wasAdding || changed.size === 0) return
    this.#listener.warn(failure)
    if (this.#closed) return
    this.#retry = setIdleTimer(() => {
      this.#retry = null
      this.commit()
    }, RETRY_MS)
  }

  /**
   * Commits what is left, with these chunks that were only in memory, and closes the directory.
   * @throws StorageError if not everything could be stored.
   */
  async close(onlyInMemory: readonly Chunk[]): Promise<void> {
    this.#closed = true
    if (this.#retry !== null) machine.clearTimer(this.#retry)
    try {
      await this.#committing
      const isAdding = onlyInMemory.length > 0 || this.#gathered.length > 0
      const failure = await this.#commit(onlyInMemory)
      // If there was nothing to store, the warning has said that the directory is gone.
      if (failure !== null && (isAdding || failure.code !== 'DIRECTORY_GONE')) throw failure
    } finally {
      await this.#database.close()
    }
  }
}

function sizeOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, one) => sum + (one.type === 'put' ? one.value.length : 0), 0)
}
