/**
 * A queue of requests on disk: what `push` accepted is there until its outcome, whatever becomes of the process. (S1)
 *
 * Requests get ascending numbers, which are their keys, and are kept in records of many: one record and one removal for a
 * burst, not for each message. One commit is under way at a time; whatever is pushed or settled meanwhile shares the next.
 * In memory are those that a loop has in hand and a few of those that come next; the rest is read when its turn comes.
 *
 * Each iteration begins with everything that has no outcome. An outcome is confirmed to the loop, whose session remembers the
 * key until then, when the removal is on disk: so nothing is handed out again that a session has forgotten. (D7)
 */
import { ConnectionError, describe, StorageError, UsageError, wrong } from '../errors.ts'
import type { Outcome, Request, SentRequest, Settling } from '../packets.ts'
import { prepare } from '../requests.ts'
import { Chunk, Chunks, type Entry, handOut } from './chunks.ts'
import { Database, type Operation } from './database.ts'
import { Reader } from './reader.ts'
import { type Kept, RecordWriter, readRecord } from './records.ts'

export interface SpoolOptions {
  /**
   * `durable` (default): `push` resolves once its requests are safe on disk. `spill`: requests stay in memory as long as the
   * network keeps up, and go to disk where it does not, and at `close`.
   */
  readonly mode?: 'durable' | 'spill'
  /** Of requests without an outcome, sizes on the wire; default: no bound. */
  readonly maxBytes?: number
  /** Requests without an outcome; default: no bound. */
  readonly maxMessages?: number
  /**
   * What a push beyond the bounds leads to: `wait` (default) for room; `reject` it whole with a StorageError (`SPOOL_FULL`);
   * `dropOldest` of what no loop has in hand; `dropNewest`, what is pushed. What is dropped has an outcome (`onSettled`).
   */
  readonly overflow?: 'wait' | 'reject' | 'dropOldest' | 'dropNewest'
  /** Hears the outcome of every request: those that a loop gives, drops (`SPOOL_FULL`) and what expired here (`MESSAGE_EXPIRED`). */
  readonly onSettled?: (request: Request, outcome: Outcome) => void
  /** Hears what was lost to damage, and of a disk that is full. */
  readonly onWarning?: (warning: { readonly code: string; readonly message: string }) => void
}

/** A push on its way. */
interface Push {
  readonly items: readonly Kept[]
  at: number
  /** Requests that were not dropped. */
  accepted: number
  /** Records that are not on disk yet and hold some of it. */
  pending: number
  failure: unknown
  resolve(accepted: number): void
  reject(error: unknown): void
}

/** A record that is being gathered. */
interface Gathered {
  readonly chunk: Chunk
  readonly writer: RecordWriter
  readonly pushes: Set<Push>
}

/** A record is closed at this size or number of requests: what is read at once stays small. */
const RECORD_BYTES = 256 << 10
const RECORD_REQUESTS = 1024
/** Given to a loop at once: enough to be fast, few enough to be dropped or expire here and not there. */
const BATCH = 128
/** What waits in memory to be handed out; beyond it, it is read from disk when its turn comes. */
const MEMORY_BYTES = 4 << 20
/** Read at once. */
const READ_BYTES = 512 << 10
/** Until a disk that failed is tried again without being asked. */
const RETRY_MS = 1000
/** Numbers that a torn tail may have held. They are never given again: a session may know them. */
const GAP = 2 ** 20
/** Numbers begin with the time of day, so that those of a directory that was deleted do not come back either. */
const NUMBERS_PER_MS = 1024

const RECORD = 'r'
const MARKS = 'm'
const TOTALS = 't'

export class Spool implements AsyncIterable<readonly Request[]>, Settling, AsyncDisposable {
  readonly replays = true
  readonly #database: Database
  readonly #options: SpoolOptions
  readonly #chunks = new Chunks()
  /** Without an outcome. */
  #size = 0
  #bytes = 0
  /** Of these, on disk. */
  #keptSize = 0
  #keptBytes = 0
  #next: number
  /** Entries up to this number are in memory or gone… */
  #readThrough = 0
  /** …and those up to this one are on disk. */
  #keptThrough: number
  #reading = false
  #queue: Push[] = []
  #gathered: Gathered[] = []
  readonly #writers: RecordWriter[] = []
  /** Records that changed since the last commit. */
  #dirty = new Set<Chunk>()
  #removal: Resolver | null = null
  #committing: Promise<unknown> | null = null
  #retry: NodeJS.Timeout | null = null
  #reader: Reader | null = null
  #ended = false
  #closing: Promise<void> | null = null

  private constructor(database: Database, options: SpoolOptions, totals: Totals) {
    this.#database = database
    this.#options = options
    this.#next = Math.max(totals.last + GAP, Date.now() * NUMBERS_PER_MS)
    this.#size = this.#keptSize = totals.size
    this.#bytes = this.#keptBytes = totals.bytes
    this.#keptThrough = totals.last
  }

  /** @internal */
  static async open(directory: string, options: SpoolOptions): Promise<Spool> {
    judge(options)
    const database = await Database.open(directory, 'spool')
    try {
      const stored = database.repaired ? undefined : await database.get(TOTALS)
      const totals =
        stored === undefined ? await countAll(database) : JSON.parse(Buffer.from(stored).toString())
      return new Spool(database, options, totals)
    } catch (error) {
      await database.close()
      throw error
    }
  }

  /** Requests without an outcome, those that a loop has in hand included. */
  get size(): number {
    return this.#size
  }

  /** Their size on the wire. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Resolves with how many of them were accepted (all, unless `overflow` drops) once these are safe: `durable`, on disk;
   * `spill`, in memory or on disk.
   *
   * @throws UsageError for a request that is wrong (then none of them is accepted), or after `end`.
   * @throws StorageError where the disk is full or fails (`retryable` tells), or the spool is (`SPOOL_FULL`).
   */
  push(requests: SentRequest | readonly SentRequest[]): Promise<number> {
    let items: readonly Kept[]
    try {
      if (this.#ended) throw new UsageError('spool: it was ended or closed, nothing can be pushed')
      const list = Array.isArray(requests) ? requests : [requests]
      items = list.map((request, i) => this.#judge(request, Array.isArray(requests) ? i : null))
      if (this.#options.overflow === 'reject' && !this.#fitsAll(items)) throw this.#full()
    } catch (error) {
      return Promise.reject(error)
    }
    if (this.#queue.length === 0 && this.#staysInMemory(items)) {
      for (const item of items) this.#remember(item)
      this.#reader?.provide()
      return Promise.resolve(items.length)
    }
    return new Promise((resolve, reject) => {
      const push = { items, at: 0, accepted: 0, pending: 0, failure: null, resolve, reject }
      this.#queue.push(push)
      this.#admit()
    })
  }

  /** No more will be pushed: a loop that iterates this ends once everything has its outcome. */
  end(): void {
    this.#ended = true
    this.#reader?.provide()
  }

  /**
   * Keeps what is not on disk yet, ends the iteration, and lets the directory go. What has no outcome stays for the next `spool`.
   * @throws StorageError where not everything could be kept.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** One iteration at a time. It begins with everything that has no outcome. */
  [Symbol.asyncIterator](): AsyncIterator<readonly Request[], undefined> {
    if (this.#reader !== null) {
      throw new UsageError('spool: another loop iterates it; end that one first')
    }
    this.#chunks.rewind()
    const reader = new Reader({
      take: () => this.#take(),
      isOver: () => this.#isOver(),
      left: () => {
        this.#reader = null
      },
    })
    this.#reader = reader
    return reader
  }

  /** For the loop: the entry is removed. Resolves once that is on disk. */
  settled(request: Request, outcome: Outcome): void | Promise<void> {
    const { key } = request as SentRequest
    const found = typeof key === 'number' ? this.#chunks.settle(key) : null
    if (found === null) return undefined
    const removal = this.#gone(found.chunk, found.entry)
    this.#options.onSettled?.(request, outcome)
    this.#admit()
    return removal
  }

  // ------------------------------------------------------------------------------------------------------------ admission

  #judge(request: SentRequest, index: number | null): Kept {
    const where = index === null ? 'spool' : `spool: request ${index} of the push`
    try {
      const prepared = prepare(request, 5)
      if (prepared.kind === 'control') {
        throw new UsageError(
          'a control cannot be kept on disk; give it to the loop, in its stream of controls',
        )
      }
      const { key, signal } = request
      if (key !== undefined) {
        throw new UsageError('key: the spool names its entries itself; put yours into a property')
      }
      if (signal !== undefined) throw new UsageError('signal: it cannot be kept on disk')
      const { maxBytes = Infinity } = this.#options
      if (prepared.bytes > maxBytes) {
        throw new UsageError(`it has ${prepared.bytes} bytes and maxBytes is ${maxBytes}`)
      }
      const seconds = prepared.kind === 'publish' && prepared.expiryGiven
      const expiresAt = seconds ? Date.now() + prepared.expirySeconds * 1000 : 0
      return { request, bytes: prepared.bytes, expiresAt }
    } catch (error) {
      throw new UsageError(`${where}: ${(error as Error).message}`, { cause: error })
    }
  }

  #fits(bytes: number, count = 1): boolean {
    const { maxBytes = Infinity, maxMessages = Infinity } = this.#options
    return this.#size + count <= maxMessages && this.#bytes + bytes <= maxBytes
  }

  #fitsAll(items: readonly Kept[]): boolean {
    return this.#fits(
      items.reduce((sum, { bytes }) => sum + bytes, 0),
      items.length,
    )
  }

  #full(): StorageError {
    const { maxBytes = Infinity, maxMessages = Infinity } = this.#options
    const holds = `${this.#size} requests of ${this.#bytes} bytes`
    return new StorageError(
      `The spool ${this.#database.directory} is full: it holds ${holds}, and may hold ${maxMessages} of ${maxBytes}.`,
      { code: 'SPOOL_FULL', retryable: true },
    )
  }

  /** Lets in what there is room for, in the order of the pushes. */
  #admit(): void {
    for (let push = this.#queue[0]; push !== undefined; push = this.#queue[0]) {
      for (; push.at < push.items.length; push.at++) {
        const item = push.items[push.at]!
        while (!this.#fits(item.bytes)) {
          const { overflow = 'wait' } = this.#options
          if (overflow === 'wait') return
          if (overflow !== 'dropOldest' || !this.#dropOldest()) break
        }
        if (this.#fits(item.bytes)) this.#accept(item, push)
        // What a loop has in hand cannot be dropped any more; what is on disk and was not read, in a moment.
        else if (this.#options.overflow === 'dropOldest' && this.#unread) return this.#read()
        else this.#tell(item.request, { ok: false, error: this.#full() })
      }
      this.#queue.shift()
      this.#conclude(push)
    }
    this.#commit()
  }

  /** False: there is none in memory that may be dropped. */
  #dropOldest(): boolean {
    const oldest = this.#chunks.take()
    if (oldest === null) return false
    this.#drop(oldest.key, this.#full())
    return true
  }

  #drop(key: number, error: unknown): void {
    const found = this.#chunks.settle(key)
    if (found === null) return
    this.#gone(found.chunk, found.entry)
    this.#tell(found.entry.request, { ok: false, error })
  }

  #tell(request: Request, outcome: Outcome): void {
    try {
      this.#options.onSettled?.(request, outcome)
    } catch (error) {
      if (this.#reader === null) throw error
      this.#reader.fail(error)
    }
  }

  #accept(item: Kept, push: Push): void {
    push.accepted++
    if (this.#staysInMemory([item])) {
      this.#remember(item)
      this.#reader?.provide()
      return
    }
    this.#size++
    this.#bytes += item.bytes
    let gathered = this.#gathered.at(-1)
    if (
      gathered === undefined ||
      gathered.writer.bytes > RECORD_BYTES ||
      gathered.chunk.entries.length >= RECORD_REQUESTS
    ) {
      const writer = this.#writers.pop() ?? new RecordWriter()
      gathered = { chunk: new Chunk(this.#next, true), writer, pushes: new Set() }
      this.#gathered.push(gathered)
    }
    this.#next++
    gathered.writer.add(item)
    gathered.chunk.add(item)
    if (gathered.pushes.has(push)) return
    gathered.pushes.add(push)
    push.pending++
  }

  /** `spill`: while nothing is on its way to disk or back, and the memory suffices. */
  #staysInMemory(items: readonly Kept[]): boolean {
    if (this.#options.mode !== 'spill' || this.#closing !== null) return false
    const busy = this.#gathered.length > 0 || this.#committing !== null || this.#unread
    return !busy && this.#chunks.waitingBytes < MEMORY_BYTES && this.#fitsAll(items)
  }

  #remember(item: Kept): void {
    this.#size++
    this.#bytes += item.bytes
    const number = this.#next++
    let chunk = this.#chunks.last
    const goesOn = chunk?.kept === false && chunk.last === number - 1
    if (chunk === undefined || !goesOn || chunk.entries.length >= RECORD_REQUESTS) {
      chunk = new Chunk(number, false)
      this.#chunks.push(chunk)
    }
    chunk.add(item)
    this.#chunks.added(item)
    this.#readThrough = number
    this.#keptThrough = Math.max(this.#keptThrough, this.#readThrough)
  }

  #conclude(push: Push): void {
    if (push.pending > 0 || push.at < push.items.length) return
    if (push.failure === null) push.resolve(push.accepted)
    else push.reject(push.failure)
  }

  // ----------------------------------------------------------------------------------------------------------- hand over

  #take(): readonly SentRequest[] | null {
    const batch: SentRequest[] = []
    const now = Date.now()
    while (batch.length < BATCH) {
      const next = this.#chunks.take()
      if (next === null) break
      const { entry, key } = next
      if (entry.expiresAt > 0 && entry.expiresAt <= now) this.#drop(key, expired())
      else batch.push(handOut(entry, key, now))
    }
    if (this.#unread && this.#chunks.waitingBytes < MEMORY_BYTES / 2) this.#read()
    return batch.length > 0 ? batch : null
  }

  /** Nothing more will be handed out. */
  #isOver(): boolean {
    if (this.#closing !== null) return true
    const coming = this.#unread || this.#queue.length > 0 || this.#gathered.length > 0
    return this.#ended && !coming && this.#committing === null
  }

  get #unread(): boolean {
    return this.#readThrough < this.#keptThrough
  }

  /** Brings what comes next from disk. */
  #read(): void {
    if (this.#reading || this.#closing !== null) return
    this.#reading = true
    this.#readNext().then(
      () => {
        this.#reading = false
        this.#admit()
        this.#reader?.provide()
      },
      (error: unknown) => {
        this.#reading = false
        if (this.#closing !== null) return
        const { retryable, code, message } = error as StorageError
        if (retryable !== true) return this.#reader?.fail(error)
        this.#options.onWarning?.({ code, message })
        this.#tryAgain()
      },
    )
  }

  async #readNext(): Promise<void> {
    const from = keyOf(RECORD, this.#readThrough)
    const through = this.#keptThrough
    const found = await this.#database.range({ gt: from, lt: `${RECORD}~` }, READ_BYTES)
    for (const [key, value] of found) {
      const first = numberOf(key)
      const chunk = chunkOf(first, value)
      if (chunk === null) {
        await this.#setAside(key, value)
        this.#readThrough = first
        continue
      }
      const marks = await this.#database.get(keyOf(MARKS, first))
      if (marks !== undefined) chunk.mark(marks)
      this.#readThrough = chunk.last
      this.#chunks.push(chunk)
      if (chunk.left === 0) this.#dirty.add(chunk)
    }
    // What is not there was lost to damage.
    if (found.length === 0) this.#readThrough = through
  }

  async #setAside(key: string, value: Uint8Array): Promise<void> {
    await this.#database.commit([
      { type: 'put', key: `x${key}`, value: Buffer.from(value) },
      { type: 'del', key },
    ])
    const message = `A record of ${this.#database.directory} is damaged: up to ${RECORD_REQUESTS} requests that were queued are lost. It was set aside.`
    this.#options.onWarning?.({ code: 'RECORD_DAMAGED', message })
  }

  // --------------------------------------------------------------------------------------------------------------- commits

  /** The entry needs its place no longer. Resolves once that is on disk, where it was there. */
  #gone(chunk: Chunk, { bytes }: Entry): void | Promise<void> {
    this.#size--
    this.#bytes -= bytes
    // What the directory is not told any more, the session has to remember.
    if (this.#closing !== null) return NEVER
    if (!chunk.kept) return undefined
    this.#keptSize--
    this.#keptBytes -= bytes
    this.#dirty.add(chunk)
    this.#removal ??= withResolver()
    const { promise } = this.#removal
    this.#commit()
    return promise
  }

  #commit(): void {
    if (this.#committing !== null || this.#retry !== null || this.#closing !== null) return
    if (this.#gathered.length === 0 && this.#dirty.size === 0) return
    // What comes in the same burst shares it.
    this.#committing = Promise.resolve().then(() => this.#commitOnce([]))
  }

  /** `last`: records that were only in memory. Null: all of it is on disk. */
  async #commitOnce(last: readonly Operation[]): Promise<StorageError | null> {
    const gathered = this.#gathered
    const dirty = this.#dirty
    const removal = this.#removal
    this.#gathered = []
    this.#dirty = new Set()
    this.#removal = null
    const removing = [...dirty].flatMap(removalsOf)
    const added = gathered.map(({ chunk, writer }): Operation => {
      const value = writer.finish()
      this.#writers.push(writer)
      return { type: 'put', key: keyOf(RECORD, chunk.first), value }
    })
    added.push(...last)
    const addedBytes = added.reduce(
      (sum, one) => sum + (one.type === 'put' ? one.value.length : 0),
      0,
    )
    let failure: StorageError | null = null
    try {
      const ahead = gathered.flatMap(({ chunk }) => chunk.entries)
      await this.#database.commit([...removing, ...added, this.#totals(ahead)], addedBytes)
      for (const { chunk } of gathered) this.#keep(chunk)
    } catch (error) {
      failure = error as StorageError
      for (const { chunk } of gathered) this.#forget(chunk)
    }
    this.#committing = null
    for (const { pushes } of gathered) {
      for (const push of pushes) {
        push.pending--
        push.failure ??= failure
        this.#conclude(push)
      }
    }
    if (failure === null) removal?.resolve()
    else this.#removeLater(dirty, removal, failure, gathered.length > 0)
    this.#reader?.provide()
    this.#admit()
    return failure
  }

  #totals(ahead: readonly Kept[]): Operation {
    const size = this.#keptSize + ahead.length
    const bytes = this.#keptBytes + ahead.reduce((sum, one) => sum + one.bytes, 0)
    const last = this.#next - 1
    const value = Buffer.from(JSON.stringify({ last, size, bytes } satisfies Totals))
    return { type: 'put', key: TOTALS, value }
  }

  /** It is on disk: handed out from memory, where what precedes it is there too, or read when its turn comes. */
  #keep(chunk: Chunk): void {
    const behind = this.#unread || this.#chunks.waitingBytes > MEMORY_BYTES
    this.#keptThrough = chunk.last
    for (const { bytes } of chunk.entries) {
      this.#keptSize++
      this.#keptBytes += bytes
    }
    if (behind) return
    this.#readThrough = chunk.last
    this.#chunks.push(chunk)
  }

  #forget(chunk: Chunk): void {
    for (const { bytes } of chunk.entries) {
      this.#size--
      this.#bytes -= bytes
    }
  }

  /** What could not be removed is removed with the next commit. `adding`: what was new may be what had no room. */
  #removeLater(
    dirty: ReadonlySet<Chunk>,
    removal: Resolver | null,
    failure: StorageError,
    adding: boolean,
  ): void {
    for (const chunk of dirty) this.#dirty.add(chunk)
    if (removal !== null) {
      if (this.#removal === null) this.#removal = removal
      else this.#removal.promise.then(removal.resolve)
    }
    if (adding || dirty.size === 0) return
    this.#options.onWarning?.({ code: failure.code, message: failure.message })
    this.#tryAgain()
  }

  #tryAgain(): void {
    if (this.#retry !== null || this.#closing !== null) return
    this.#retry = setTimeout(() => {
      this.#retry = null
      if (this.#unread) this.#read()
      this.#commit()
    }, RETRY_MS).unref()
  }

  async #close(): Promise<void> {
    this.#ended = true
    const closed = new UsageError('spool: it was closed before there was room', { code: 'CLOSED' })
    for (const push of this.#queue) push.reject(closed)
    this.#queue = []
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
    this.#reader?.provide()
    try {
      await this.#committing
      const failure = await this.#commitOnce(
        this.#chunks.unkept.flatMap((one) => this.#keepLast(one)),
      )
      if (failure !== null) throw failure
    } finally {
      await this.#database.close()
    }
  }

  /** A record that was only in memory. */
  #keepLast(chunk: Chunk): Operation[] {
    const writer = new RecordWriter()
    for (const entry of chunk.entries) {
      writer.add(entry)
      if (entry.settled) continue
      this.#keptSize++
      this.#keptBytes += entry.bytes
    }
    const record = { type: 'put', key: keyOf(RECORD, chunk.first), value: writer.finish() } as const
    return chunk.left < chunk.entries.length ? [record, marksOf(chunk)] : [record]
  }
}

interface Totals {
  /** The highest number that was given. */
  readonly last: number
  readonly size: number
  readonly bytes: number
}

/** Without totals: everything is looked at once. */
async function countAll(database: Database): Promise<Totals> {
  let totals: Totals = { last: 0, size: 0, bytes: 0 }
  for (;;) {
    const from = keyOf(RECORD, totals.last)
    const found = await database.range({ gt: from, lt: `${RECORD}~` }, READ_BYTES)
    if (found.length === 0) return totals
    for (const [key, value] of found) {
      const first = numberOf(key)
      const chunk = chunkOf(first, value)
      const marks = await database.get(keyOf(MARKS, first))
      if (marks !== undefined) chunk?.mark(marks)
      const left = chunk?.entries.filter(({ settled }) => !settled) ?? []
      totals = {
        last: Math.max(first, chunk?.last ?? 0),
        size: totals.size + left.length,
        bytes: totals.bytes + left.reduce((sum, { bytes }) => sum + bytes, 0),
      }
    }
  }
}

/** Null: it is damaged. */
function chunkOf(first: number, record: Uint8Array): Chunk | null {
  const kept = readRecord(record)
  if (kept === null) return null
  const chunk = new Chunk(first, true)
  for (const one of kept) chunk.add(one)
  return chunk
}

function removalsOf(chunk: Chunk): Operation[] {
  if (chunk.left > 0) return [marksOf(chunk)]
  return [RECORD, MARKS].map((kind) => ({ type: 'del', key: keyOf(kind, chunk.first) }))
}

function marksOf(chunk: Chunk): Operation {
  return { type: 'put', key: keyOf(MARKS, chunk.first), value: chunk.marks() }
}

/** Numbers in the order of their names. */
function keyOf(kind: string, number: number): string {
  return kind + number.toString(16).padStart(14, '0')
}

function numberOf(key: string): number {
  return Number.parseInt(key.slice(1), 16)
}

function expired(): ConnectionError {
  const message = 'The message expired while it was queued (messageExpiryInterval).'
  return new ConnectionError(message, { code: 'MESSAGE_EXPIRED', retryable: false })
}

interface Resolver {
  readonly promise: Promise<void>
  readonly resolve: () => void
}

function withResolver(): Resolver {
  let resolve!: () => void
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

const NEVER = new Promise<void>(() => {})

const OPTIONS = ['mode', 'maxBytes', 'maxMessages', 'overflow', 'onSettled', 'onWarning']

function judge(options: SpoolOptions): void {
  const { mode, overflow, onSettled, onWarning } = options
  for (const name of Object.keys(options)) {
    if (OPTIONS.includes(name)) continue
    throw new UsageError(`spool has no option ${describe(name)}; allowed: ${OPTIONS.join(', ')}`)
  }
  judgeWord('mode', mode, ['durable', 'spill'])
  judgeWord('overflow', overflow, ['wait', 'reject', 'dropOldest', 'dropNewest'])
  for (const name of ['maxBytes', 'maxMessages'] as const) {
    const bound = options[name]
    if (bound === undefined || (typeof bound === 'number' && bound >= 1)) continue
    throw wrong(`spool: ${name}`, bound, 'a number of 1 or more')
  }
  for (const [name, listener] of Object.entries({ onSettled, onWarning })) {
    if (listener !== undefined && typeof listener !== 'function') {
      throw wrong(`spool: ${name}`, listener, 'a function')
    }
  }
}

function judgeWord(name: string, given: unknown, allowed: readonly string[]): void {
  if (given === undefined || allowed.includes(given as string)) return
  throw wrong(`spool: ${name}`, given, `one of ${allowed.join(', ')}`)
}

/**
 * Opens a spool: a queue of requests in a directory, made where there is none, for one process at a time.
 *
 * Give it to a loop as its request stream. Needs the package `classic-level`.
 * @throws UsageError for options that cannot be used, without `classic-level`, or for a directory of something else.
 * @throws StorageError where the directory is in use (`IN_USE`, naming the process), or cannot be read or made.
 */
export async function spool(directory: string, options: SpoolOptions = {}): Promise<Spool> {
  return Spool.open(directory, options)
}
