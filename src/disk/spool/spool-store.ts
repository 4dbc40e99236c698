/**
 * The disk side of a spool: records of many requests, marks of those that have their outcome, and totals.
 *
 * What is added and removed gathers while a commit is under way, and shares the next. A commit that fails adds nothing; what it
 * would have removed is removed later. Numbers that a torn tail may have held are never given again.
 */
import { StorageError } from '../../errors.ts'
import type { SentRequest } from '../../requests/vocabulary.ts'
import { Database, type Operation } from '../store/database.ts'
import { RecordWriter, readRecord } from '../store/request-records.ts'
import { bytesOf } from '../store/request-size.ts'
import { Chunk } from './chunks.ts'

/** Somebody whose requests are in a record that is not on disk yet. */
export interface Waiter {
  /** One record more holds some of them. */
  waits(): void
  /** One of these records is on disk, or could not be written. */
  done(failure: StorageError | null): void
}

export interface ShelfListener {
  /** It is on disk. */
  kept(chunk: Chunk): void
  /** It could not be written. */
  lost(chunk: Chunk): void
  /** A commit is over. */
  committed(): void
  /** The disk failed where nobody waits for it. */
  warn(warning: { readonly code: string; readonly message: string }): void
}

interface Gathered {
  readonly chunk: Chunk
  readonly writer: RecordWriter
  readonly waiters: Set<Waiter>
}

interface Totals {
  /** The highest number that was given. */
  readonly last: number
  readonly size: number
  readonly bytes: number
}

interface Removal {
  readonly promise: Promise<void>
  resolve(): void
}

/** A record is closed at this size or number of requests: what is read at once stays small. */
const RECORD_BYTES = 256 << 10
const RECORD_REQUESTS = 1024
/** Read at once. */
const READ_BYTES = 512 << 10
/** Until a disk that failed is tried again without being asked. */
const RETRY_MS = 1000
const GAP = 2 ** 20
/** Numbers begin with the time of day, so that those of a directory that was deleted do not come back either. */
const NUMBERS_PER_MS = 1024

const RECORD = 'r'
const MARKS = 'm'
const TOTALS = 't'

export class Shelf {
  readonly #database: Database
  readonly #listener: ShelfListener
  #last: number
  /** On disk, without an outcome. */
  #size: number
  #bytes: number
  #gathered: Gathered[] = []
  readonly #writers: RecordWriter[] = []
  /** Chunks that changed since the last commit. */
  #changed = new Set<Chunk>()
  #removal: Removal | null = null
  #committing: Promise<unknown> | null = null
  #retry: NodeJS.Timeout | null = null
  #closed = false

  private constructor(database: Database, { last, size, bytes }: Totals, listener: ShelfListener) {
    this.#database = database
    this.#listener = listener
    this.#last = last
    this.#size = size
    this.#bytes = bytes
  }

  static async open(directory: string, listener: ShelfListener): Promise<Shelf> {
    const database = await Database.open(directory, 'spool')
    try {
      const stored = database.repaired ? undefined : await database.get(TOTALS)
      const totals =
        stored === undefined ? await countAll(database) : JSON.parse(Buffer.from(stored).toString())
      return new Shelf(database, totals, listener)
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

  /** The highest number that was given. */
  get last(): number {
    return this.#last
  }

  /** Something is on its way to disk. */
  get isBusy(): boolean {
    return this.#committing !== null || this.#gathered.length > 0
  }

  /** The first number of this life, above all of earlier ones. */
  begin(now: number): void {
    this.#last = Math.max(this.#last + GAP, now * NUMBERS_PER_MS)
  }

  /** A number that was never given. */
  number(): number {
    return ++this.#last
  }

  /** @throws what `JSON.stringify` throws. */
  add(request: SentRequest, bytes: number, expiresAt: number, waiter: Waiter): void {
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

  /** A request of a chunk on disk has its outcome. Resolves once the disk knows. */
  settled(chunk: Chunk, bytes: number): Promise<void> {
    this.#size--
    this.#bytes -= bytes
    this.#changed.add(chunk)
    this.#removal ??= removal()
    const { promise } = this.#removal
    this.commit()
    return promise
  }

  /** The next records, of requests with numbers above `after`; none: there is nothing. A damaged one is set aside. */
  async read(after: number): Promise<readonly Chunk[]> {
    const range = { gt: keyOf(RECORD, after), lt: `${RECORD}~` }
    const found = await this.#database.range(range, READ_BYTES)
    const chunks: Chunk[] = []
    for (const [key, value] of found) {
      const chunk = await chunkOf(this.#database, numberOf(key), value)
      if (chunk === null) await this.#setAside(key, value)
      else chunks.push(chunk)
    }
    const onlyDamaged = found.length > 0 && chunks.length === 0
    return onlyDamaged ? this.read(after) : chunks
  }

  async #setAside(key: string, value: Uint8Array): Promise<void> {
    await this.#database.commit([
      { type: 'put', key: `x${key}`, value: Buffer.from(value) },
      { type: 'del', key },
    ])
    const message = `A record of ${this.directory} is damaged: up to ${RECORD_REQUESTS} queued requests are lost. It was set aside.`
    this.#listener.warn({ code: 'RECORD_DAMAGED', message })
  }

  // ------------------------------------------------------------------------------------------------------------ commits

  /** Soon, together with what comes in the same burst. */
  commit(): void {
    if (this.#committing !== null || this.#retry !== null || this.#closed) return
    if (this.#gathered.length === 0 && this.#changed.size === 0) return
    this.#committing = Promise.resolve().then(() => this.#commit([]))
  }

  /** `last`: chunks that were only in memory. Null: all of it is on disk. */
  async #commit(last: readonly Chunk[]): Promise<StorageError | null> {
    const gathered = this.#gathered
    const changed = this.#changed
    const removal = this.#removal
    this.#gathered = []
    this.#changed = new Set()
    this.#removal = null
    const records = [...gathered.map((one) => this.#recordOf(one)), ...last.flatMap(unkeptRecords)]
    const added = [...gathered.map(({ chunk }) => chunk), ...last]
    const operations = [...[...changed].flatMap(changesOf), ...records, this.#totals(added)]
    const failure = await this.#write(operations, sizeOf(records))
    this.#committing = null
    for (const { chunk } of gathered) this.#conclude(chunk, failure)
    for (const { waiters } of gathered) for (const waiter of waiters) waiter.done(failure)
    if (failure === null) removal?.resolve()
    else this.#changeLater(changed, removal, failure, gathered.length > 0)
    this.#listener.committed()
    this.commit()
    return failure
  }

  #recordOf({ chunk, writer }: Gathered): Operation {
    const value = writer.finish()
    this.#writers.push(writer)
    return { type: 'put', key: keyOf(RECORD, chunk.first), value }
  }

  async #write(operations: readonly Operation[], adding: number): Promise<StorageError | null> {
    try {
      await this.#database.commit(operations, adding)
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
    this.#listener.kept(chunk)
  }

  #totals(added: readonly Chunk[]): Operation {
    const totals: Totals = {
      last: this.#last,
      size: added.reduce((sum, { left }) => sum + left, this.#size),
      bytes: added.reduce((sum, { bytes }) => sum + bytes, this.#bytes),
    }
    return { type: 'put', key: TOTALS, value: Buffer.from(JSON.stringify(totals)) }
  }

  /** With the next commit. `adding`: what was new may be what had no room, so the next one may succeed. */
  #changeLater(
    changed: ReadonlySet<Chunk>,
    removal: Removal | null,
    failure: StorageError,
    adding: boolean,
  ): void {
    for (const chunk of changed) this.#changed.add(chunk)
    const next = this.#removal
    if (next === null) this.#removal = removal
    else if (removal !== null) next.promise.then(() => removal.resolve())
    if (adding || changed.size === 0) return
    this.#listener.warn(failure)
    if (this.#closed) return
    this.#retry = setTimeout(() => {
      this.#retry = null
      this.commit()
    }, RETRY_MS).unref()
  }

  /**
   * Lets the directory go. `last`: chunks that were only in memory.
   * @throws StorageError where not everything could be kept.
   */
  async close(last: readonly Chunk[]): Promise<void> {
    this.#closed = true
    if (this.#retry !== null) clearTimeout(this.#retry)
    try {
      await this.#committing
      const failure = await this.#commit(last)
      if (failure !== null) throw failure
    } finally {
      await this.#database.close()
    }
  }
}

/** Without totals: everything is looked at once. */
async function countAll(database: Database): Promise<Totals> {
  let totals: Totals = { last: 0, size: 0, bytes: 0 }
  for (;;) {
    const range = { gt: keyOf(RECORD, totals.last), lt: `${RECORD}~` }
    const found = await database.range(range, READ_BYTES)
    if (found.length === 0) return totals
    for (const [key, value] of found) {
      const first = numberOf(key)
      const chunk = await chunkOf(database, first, value)
      totals = {
        last: Math.max(first, chunk?.last ?? 0),
        size: totals.size + (chunk?.left ?? 0),
        bytes: totals.bytes + (chunk?.bytes ?? 0),
      }
    }
  }
}

/** Null: it is damaged. */
async function chunkOf(
  database: Database,
  first: number,
  record: Uint8Array,
): Promise<Chunk | null> {
  const chunk = new Chunk(first, true)
  const isWhole = readRecord(record, (request, expiresAt) => {
    chunk.add(request, bytesOf(request), expiresAt)
  })
  if (!isWhole) return null
  const marks = await database.get(keyOf(MARKS, first))
  if (marks !== undefined) chunk.mark(marks)
  return chunk
}

function changesOf(chunk: Chunk): Operation[] {
  if (chunk.left > 0) return [marksOf(chunk)]
  return [RECORD, MARKS].map((kind) => ({ type: 'del', key: keyOf(kind, chunk.first) }))
}

/** What has its outcome leaves an empty place: the others keep their numbers. */
function unkeptRecords(chunk: Chunk): Operation[] {
  const writer = new RecordWriter()
  chunk.requests.forEach((request, i) => {
    writer.add(request ?? SETTLED, chunk.expiryAt(i))
  })
  const record = { type: 'put', key: keyOf(RECORD, chunk.first), value: writer.finish() } as const
  return chunk.left < chunk.requests.length ? [record, marksOf(chunk)] : [record]
}

const SETTLED: SentRequest = { cmd: 'unsubscribe', unsubscriptions: [] }

function marksOf(chunk: Chunk): Operation {
  return { type: 'put', key: keyOf(MARKS, chunk.first), value: chunk.marks() }
}

function sizeOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, one) => sum + (one.type === 'put' ? one.value.length : 0), 0)
}

/** Numbers in the order of their names. */
function keyOf(kind: string, number: number): string {
  return kind + number.toString(16).padStart(14, '0')
}

function numberOf(key: string): number {
  return Number.parseInt(key.slice(1), 16)
}

function removal(): Removal {
  let resolve!: () => void
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
