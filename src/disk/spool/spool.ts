/**
 * A queue of requests on disk: what `push` accepted is there until its outcome, whatever becomes of the process. (S1)
 *
 * Requests get ascending numbers, which are their keys, and are kept in records of many: one record and one removal for a
 * burst, not for each message (`shelf.ts`). In memory are those that a loop has in hand and a few of those that come next
 * (`chunks.ts`); the rest is read when its turn comes.
 *
 * Each iteration begins with everything that has no outcome. An outcome is confirmed to the loop, whose session remembers the
 * key until then, when the disk knows of it: so nothing is handed out again that a session has forgotten. (D7)
 */
import { ConnectionError, StorageError, UsageError } from '../../errors.ts'
import { prepare } from '../../requests/build.ts'
import type { Outcome, Request, SentRequest, Settling } from '../../requests/vocabulary.ts'
import { bytesOf, expiryOf } from '../store/request-size.ts'
import { Chunk, Chunks } from './chunks.ts'
import { Reader } from './iteration.ts'
import { type ResolvedSpool, resolveSpool, type SpoolOptions } from './spool-options.ts'
import { Shelf, type Waiter } from './spool-store.ts'

/** Given to a loop at once: enough to be fast, few enough to be dropped or expire here and not there. */
const BATCH = 128
/** What waits in memory to be handed out; beyond it, it is read from disk when its turn comes. */
const MEMORY_BYTES = 4 << 20
/** Requests of a chunk that is only in memory. */
const CHUNK_REQUESTS = 1024
/** Until a disk that could not be read is tried again. */
const RETRY_MS = 1000
/** What most pushes that stay in memory resolve with. */
const ONE = Promise.resolve(1)

export class Spool implements AsyncIterable<readonly Request[]>, Settling, AsyncDisposable {
  readonly replays = true
  readonly #options: ResolvedSpool
  readonly #chunks = new Chunks()
  #shelf!: Shelf
  /** Without an outcome. */
  #size = 0
  #bytes = 0
  /** Numbers up to this one are in memory or gone… */
  #readThrough = 0
  /** …and those up to this one are on disk, or were in memory. */
  #keptThrough = 0
  /** Outcomes of requests that an earlier life handed out and this one has not read yet: who is to be told once they are gone. */
  readonly #early = new Map<number, () => void>()
  #reading = false
  #queue: Push[] = []
  #admitting = false
  #reader: Reader | null = null
  #retry: NodeJS.Timeout | null = null
  #ended = false
  #closing: Promise<void> | null = null

  private constructor(options: ResolvedSpool) {
    this.#options = options
  }

  /** @internal */
  static async open(directory: string, options: SpoolOptions): Promise<Spool> {
    const opened = new Spool(resolveSpool(options))
    await opened.#open(directory)
    return opened
  }

  async #open(directory: string): Promise<void> {
    const shelf = await Shelf.open(directory, {
      kept: (chunk) => this.#kept(chunk),
      lost: (chunk) => {
        this.#size -= chunk.left
        this.#bytes -= chunk.bytes
      },
      committed: () => {
        this.#reader?.provide()
        this.#admit()
      },
      warn: (warning) => this.#warn(warning),
    })
    this.#shelf = shelf
    this.#size = shelf.size
    this.#bytes = shelf.bytes
    this.#keptThrough = shelf.last
    shelf.begin(Date.now())
  }

  /** Requests without an outcome, those that a loop has in hand included. */
  get size(): number {
    return this.#size
  }

  /** Bytes of their topics, payloads, filters and properties. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Resolves with how many of them were accepted (all, unless `overflow` drops) once these are safe: `durable`, on disk;
   * `spill`, in memory or on disk. In `spill` mode a wrong request is not refused here: that is its outcome.
   *
   * @throws UsageError for a request that is wrong (then none of them is accepted), or after `end`.
   * @throws StorageError where the disk is full or fails (`retryable` tells), or the spool is (`SPOOL_FULL`).
   */
  push(requests: SentRequest | readonly SentRequest[]): Promise<number> {
    try {
      if (this.#ended) throw new UsageError('spool: it was ended or closed, nothing can be pushed')
      if (!Array.isArray(requests)) return this.#pushOne(requests as SentRequest)
      for (const [i, request] of requests.entries()) this.#judge(request, i)
      if (this.#options.overflow === 'reject' && !this.#fits(...sizesOf(requests))) {
        throw this.#full()
      }
      return this.#enqueue(requests)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #pushOne(request: SentRequest): Promise<number> {
    this.#judge(request, -1)
    const bytes = bytesOf(request)
    const fits = this.#fits(1, bytes)
    if (!fits && this.#options.overflow === 'reject') throw this.#full()
    if (!fits || this.#queue.length > 0 || !this.#staysInMemory()) return this.#enqueue([request])
    this.#remember(request, bytes)
    this.#reader?.provide()
    return ONE
  }

  #enqueue(requests: readonly SentRequest[]): Promise<number> {
    const push = new Push(requests)
    this.#queue.push(push)
    this.#admit()
    return push.accepted
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

  /** For the loop: the request is removed. Resolves once the disk knows. */
  settled(request: Request, outcome: Outcome): void | Promise<void> {
    const { key } = request as SentRequest
    if (typeof key !== 'number') return undefined
    if (key > this.#readThrough && key <= this.#keptThrough)
      return this.#settledEarly(key, request, outcome)
    const chunk = this.#chunks.find(key)
    const bytes = chunk?.settle(key) ?? -1
    if (bytes < 0) return undefined
    const removal = this.#gone(chunk!, bytes)
    this.#options.onSettled?.(request, outcome)
    if (this.#queue.length > 0) this.#admit()
    return removal
  }

  /** It is gone as soon as it is read; until then the session remembers. */
  #settledEarly(key: number, request: Request, outcome: Outcome): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#early.set(key, resolve)
    })
    this.#options.onSettled?.(request, outcome)
    return gone
  }

  /** A chunk was read of which some had their outcome before. */
  #settleEarly(chunk: Chunk): void {
    for (const [key, resolve] of this.#early) {
      if (key > chunk.last) continue
      this.#early.delete(key)
      const bytes = chunk.settle(key)
      if (bytes < 0) resolve()
      else this.#gone(chunk, bytes)?.then(resolve)
    }
  }

  /** What was lost needs not be remembered. */
  #forgetEarly(): void {
    for (const [key, resolve] of this.#early) {
      if (key > this.#readThrough) continue
      this.#early.delete(key)
      resolve()
    }
  }

  // ------------------------------------------------------------------------------------------------------------ admission

  /** `index`: in its push; -1: it is alone. */
  #judge(request: SentRequest, index: number): void {
    const { mode, maxBytes } = this.#options
    const fault = mode === 'durable' ? faultOf(request) : keepFaultOf(request)
    const bytes = fault === null && maxBytes < Infinity ? bytesOf(request) : 0
    if (fault === null && bytes <= maxBytes) return
    const where = index < 0 ? 'spool' : `spool: request ${index} of the push`
    const what = fault?.message ?? `it has ${bytes} bytes and maxBytes is ${maxBytes}`
    throw new UsageError(`${where}: ${what}`, { cause: fault })
  }

  #fits(count: number, bytes: number): boolean {
    const { maxBytes, maxMessages } = this.#options
    return this.#size + count <= maxMessages && this.#bytes + bytes <= maxBytes
  }

  #full(): StorageError {
    const { maxBytes, maxMessages } = this.#options
    return new StorageError(
      `The spool ${this.#shelf.directory} is full: it holds ${this.#size} requests of ${this.#bytes} bytes, and may hold ${maxMessages} of ${maxBytes}.`,
      { code: 'SPOOL_FULL', retryable: true },
    )
  }

  /** Lets in what there is room for, in the order of the pushes. */
  #admit(): void {
    // Who pushes from within a listener waits for its turn.
    if (this.#admitting) return
    this.#admitting = true
    try {
      this.#admitAll()
    } finally {
      this.#admitting = false
    }
    this.#shelf.commit()
  }

  #admitAll(): void {
    for (let push = this.#queue[0]; push !== undefined; push = this.#queue[0]) {
      for (let next = push.next; next !== undefined; next = push.next) {
        const bytes = bytesOf(next)
        if (this.#fits(1, bytes)) this.#accept(next, bytes, push)
        else if (this.#options.overflow === 'wait') return
        else if (this.#options.overflow === 'dropOldest' && this.#dropOldest()) continue
        // What a loop has in hand cannot be dropped any more; what is on disk and was not read, in a moment.
        else if (this.#options.overflow === 'dropOldest' && this.#unread) return this.#read()
        else this.#tell(next, { ok: false, error: this.#full() })
        push.at++
      }
      this.#queue.shift()
      push.conclude()
    }
  }

  #accept(request: SentRequest, bytes: number, push: Push): void {
    if (this.#staysInMemory()) {
      push.count++
      this.#remember(request, bytes)
      return this.#reader?.provide()
    }
    // In spill mode it was not judged in full; on disk it could not be refused as it is.
    const fault = this.#options.mode === 'spill' ? faultOf(request) : null
    if (fault !== null) return this.#tell(request, { ok: false, error: fault })
    push.count++
    this.#size++
    this.#bytes += bytes
    this.#shelf.add(request, bytes, expiryOf(request, Date.now), push)
  }

  /** `spill`: while nothing is on its way to disk or back, and the memory suffices. */
  #staysInMemory(): boolean {
    if (this.#options.mode !== 'spill' || this.#unread || this.#shelf.isBusy) return false
    return this.#chunks.waitingBytes < MEMORY_BYTES
  }

  #remember(request: SentRequest, bytes: number): void {
    this.#size++
    this.#bytes += bytes
    const number = this.#shelf.number()
    let chunk = this.#chunks.last
    const goesOn = chunk !== undefined && !chunk.kept && chunk.last === number - 1
    if (!goesOn || chunk!.requests.length >= CHUNK_REQUESTS) {
      chunk = new Chunk(number, false)
      this.#chunks.push(chunk)
    }
    chunk!.add(request, bytes, expiryOf(request, Date.now))
    this.#chunks.added(bytes)
    this.#readThrough = number
    this.#keptThrough = number
  }

  /** It is on disk: handed out from memory, where all that precedes it is there too, or read when its turn comes. */
  #kept(chunk: Chunk): void {
    const precedes = !this.#unread
    this.#keptThrough = chunk.last
    if (!precedes || this.#chunks.waitingBytes > MEMORY_BYTES) return
    this.#readThrough = chunk.last
    this.#chunks.push(chunk)
  }

  /** False: there is none in memory that may be dropped. */
  #dropOldest(): boolean {
    const { batch, expired } = this.#chunks.take(1, 0)
    const key = batch[0]?.key ?? expired[0]
    if (key === undefined) return false
    this.#drop(key as number, this.#full())
    return true
  }

  #drop(key: number, error: unknown): void {
    const chunk = this.#chunks.find(key)!
    const request = chunk.requests[key - chunk.first]!
    this.#gone(chunk, chunk.settle(key))
    this.#tell(request, { ok: false, error })
  }

  /** What a listener throws ends the iteration. */
  #tell(request: Request, outcome: Outcome): void {
    try {
      this.#options.onSettled?.(request, outcome)
    } catch (error) {
      if (this.#reader === null) throw error
      this.#reader.fail(error)
    }
  }

  /** What a listener throws ends the iteration. */
  #warn({ code, message }: { readonly code: string; readonly message: string }): void {
    try {
      this.#options.onWarning?.({ code, message })
    } catch (error) {
      this.#reader?.fail(error)
    }
  }

  /** It needs its place no longer. Resolves once the disk knows, where it was there. */
  #gone(chunk: Chunk, bytes: number): Promise<void> | undefined {
    this.#size--
    this.#bytes -= bytes
    if (chunk.left === 0) this.#chunks.forget(chunk)
    // What the directory is not told any more, the session has to remember.
    if (this.#closing !== null) return NEVER
    return chunk.kept ? this.#shelf.settled(chunk, bytes) : undefined
  }

  // ----------------------------------------------------------------------------------------------------------- hand over

  #take(): readonly SentRequest[] | null {
    const { batch, expired } = this.#chunks.take(BATCH, Date.now())
    for (const key of expired) this.#drop(key, expiredError())
    if (this.#unread && this.#chunks.waitingBytes < MEMORY_BYTES / 2) this.#read()
    return batch.length > 0 ? batch : null
  }

  /** Nothing more will be handed out. */
  #isOver(): boolean {
    if (this.#closing !== null) return true
    return this.#ended && !this.#unread && this.#queue.length === 0 && !this.#shelf.isBusy
  }

  /** Something on disk was not read. */
  get #unread(): boolean {
    return this.#readThrough < this.#keptThrough
  }

  /** Brings what comes next from disk. */
  #read(): void {
    if (this.#reading || this.#retry !== null || this.#closing !== null) return
    this.#reading = true
    const through = this.#keptThrough
    this.#shelf.read(this.#readThrough).then(
      (chunks) => {
        this.#reading = false
        for (const chunk of chunks) {
          if (this.#early.size > 0) this.#settleEarly(chunk)
          if (chunk.left > 0) this.#chunks.push(chunk)
        }
        // What is not there was lost to damage.
        this.#readThrough = chunks.at(-1)?.last ?? through
        if (chunks.length === 0) this.#forgetEarly()
        this.#admit()
        this.#reader?.provide()
      },
      (error: StorageError) => {
        this.#reading = false
        if (this.#closing !== null) return
        if (!error.retryable) return this.#reader?.fail(error)
        this.#warn(error)
        this.#retry = setTimeout(() => {
          this.#retry = null
          this.#read()
        }, RETRY_MS).unref()
      },
    )
  }

  async #close(): Promise<void> {
    this.#ended = true
    const queue = this.#queue
    this.#queue = []
    for (const push of queue) push.fail(closedError())
    if (this.#retry !== null) clearTimeout(this.#retry)
    // An instant later than `closing` is set, which ends the iteration.
    await Promise.resolve()
    this.#reader?.provide()
    await this.#shelf.close(this.#chunks.unkept)
  }
}

/** A push on its way: requests that wait for room, and records that wait for the disk. */
class Push implements Waiter {
  /** Resolves with how many of its requests were accepted. */
  readonly accepted: Promise<number>
  readonly #requests: readonly SentRequest[]
  at = 0
  count = 0
  #pending = 0
  #failure: unknown = null
  #resolve!: (count: number) => void
  #reject!: (error: unknown) => void

  constructor(requests: readonly SentRequest[]) {
    this.#requests = requests
    this.accepted = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get next(): SentRequest | undefined {
    return this.#requests[this.at]
  }

  waits(): void {
    this.#pending++
  }

  done(failure: StorageError | null): void {
    this.#pending--
    this.#failure ??= failure
    this.conclude()
  }

  fail(error: unknown): void {
    this.#failure ??= error
    this.at = this.#requests.length
    this.conclude()
  }

  conclude(): void {
    if (this.#pending > 0 || this.next !== undefined) return
    if (this.#failure === null) this.#resolve(this.count)
    else this.#reject(this.#failure)
  }
}

/** Null: it may be kept. */
function faultOf(request: SentRequest): Error | null {
  try {
    const { kind } = prepare(request, 5)
    return kind === 'control' ? controlFault() : keepFaultOf(request)
  } catch (error) {
    return error as Error
  }
}

/** What the loop would not refuse and a spool must. */
function keepFaultOf(request: SentRequest): Error | null {
  if (typeof request !== 'object' || request === null) return faultOf(request)
  const { cmd, key, signal } = request
  if (cmd !== 'publish' && cmd !== 'subscribe' && cmd !== 'unsubscribe') return faultOf(request)
  if (key !== undefined) {
    return new UsageError(
      'key: a spool names its requests itself; put a name of yours into a property',
    )
  }
  return signal === undefined ? null : new UsageError('signal: it cannot be kept on disk')
}

function controlFault(): UsageError {
  return new UsageError(
    'a control cannot be kept on disk; give it to the loop, in its stream of controls',
  )
}

function sizesOf(requests: readonly SentRequest[]): [count: number, bytes: number] {
  return [requests.length, requests.reduce((sum, request) => sum + bytesOf(request), 0)]
}

function expiredError(): ConnectionError {
  const message = 'The message expired while it was queued (messageExpiryInterval).'
  return new ConnectionError(message, { code: 'MESSAGE_EXPIRED', retryable: false })
}

function closedError(): UsageError {
  return new UsageError('spool: it was closed before there was room', { code: 'CLOSED' })
}

const NEVER = new Promise<void>(() => {})

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
