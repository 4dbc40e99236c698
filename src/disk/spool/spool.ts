/**
 * How does a queue of requests outlive its process? On disk: an accepted request stays there until
 * it is settled (S1, a killed process loses nothing that was accepted).
 *
 * Requests get ascending numbers, which are their keys, and a burst of them shares one record and
 * one removal (`spool-store.ts`). Pushes enter through `admission.ts`; `contents.ts` knows what is
 * in memory.
 *
 * Each iteration begins with everything that is not settled. The promise that `settled` returns
 * resolves once the disk has the change; the session remembers the key until then. So a request
 * whose key the session has forgotten is never handed out again (D7, a key that the session holds
 * is not sent again).
 */
import { ConnectionError, type StorageError, UsageError } from '../../errors.ts'
import { INSPECT, machine, setIdleTimer } from '../../platform/machine.ts'
import { emitWarning } from '../../platform/warnings.ts'
import type { Outcome, Request, SentRequest, Settling } from '../../requests/vocabulary.ts'
import { deferred } from '../deferred.ts'
import { Admission } from './admission.ts'
import type { Chunk } from './chunks.ts'
import { SpoolContents } from './contents.ts'
import { Iteration } from './iteration.ts'
import {
  type ClearedDamage,
  type Producer,
  type ResolvedSpool,
  resolveSpool,
  type SpoolOptions,
  type SpoolWarning,
} from './spool-options.ts'

/**
 * How many requests a loop gets in one batch: enough to be fast, and few enough that most requests
 * can still be dropped or expire in the spool.
 */
const REQUESTS_PER_BATCH = 128
/** How long to wait after a failed read before the disk is read again. */
const RETRY_MS = 1000

/** A queue of requests on disk: a request stream that others push to. `spool()` opens one. */
export class Spool implements AsyncIterable<readonly Request[]>, Settling, AsyncDisposable {
  readonly replays = true
  readonly #options: ResolvedSpool
  #contents!: SpoolContents
  #admission!: Admission
  /**
   * Requests that an earlier process handed out, that are settled, and that this process has not
   * loaded yet: for each key the function to call once the request is removed.
   */
  readonly #settledUnloaded = new Map<number, () => void>()
  #iteration: Iteration | null = null
  #reading = false
  #retry: unknown = null
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
    this.#contents = await SpoolContents.open(directory, this.#options, {
      committed: () => {
        this.#iteration?.provide()
        this.#admission.admit()
      },
      warn: (warning) => this.#warn(warning),
    })
    this.#admission = new Admission(this.#options, this.#contents, {
      added: () => this.#iteration?.provide(),
      load: () => this.#load(),
      report: (request, outcome) => this.#report(request, outcome),
    })
  }

  /** How many requests are not settled, those that a loop has taken included. */
  get size(): number {
    return this.#contents.size
  }

  /** @internal Shows no request, because this ends up in logs. */
  [INSPECT](): string {
    return `Spool { size ${this.size}, bytes ${this.bytes} }`
  }

  /** The bytes of their topics, payloads, filters and properties. */
  get bytes(): number {
    return this.#contents.bytes
  }

  /**
   * Adds requests to the queue. Resolves with the number of accepted requests (all, unless
   * `overflow` drops some) once these are safe: in `durable` mode on disk, in `spill` mode in
   * memory or on disk. In `spill` mode an invalid request is not refused here; it gets the error as
   * its outcome.
   *
   * @param producer Where the requests come from. If such a push fails, `positionOf` says how far
   *   it got.
   * @throws UsageError if a request is wrong (then none of them is accepted), or after `end`.
   * @throws StorageError if the disk is full or fails (`retryable` says whether to try again), or
   *   if the spool is full (`SPOOL_FULL`).
   */
  push(
    requests: SentRequest | readonly SentRequest[],
    producer: Producer | null = null,
  ): Promise<number> {
    try {
      if (this.#ended) throw new UsageError('spool: it was ended or closed, nothing can be pushed')
      return Array.isArray(requests) || producer !== null
        ? this.#admission.push([requests].flat() as SentRequest[], producer)
        : this.#admission.pushOne(requests as SentRequest)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @returns how far a producer got, or null if that is not known. */
  positionOf(producer: string): unknown {
    return this.#contents.positions.get(producer) ?? null
  }

  /**
   * Stores how far a producer got; with null it begins again. Resolves once that is on disk.
   * @throws StorageError if the disk is full or fails.
   */
  setPosition(producer: string, position: unknown): Promise<void> {
    const stored = deferred<void>()
    this.#contents.mark(producer, position, {
      waits: () => {},
      done: (failure) => (failure === null ? stored.resolve() : stored.reject(failure)),
    })
    return stored.promise
  }

  /**
   * Reads everything that is in the spool, so that damage is reported (`onWarning`, `lost`) before
   * a loop comes to it. It is for a spool that was just opened.
   * @throws StorageError if the disk fails.
   */
  verify(): Promise<void> {
    return this.#contents.verify()
  }

  /** How many requests were lost to damage of the files, since `clearDamaged` was last called. */
  get lost(): number {
    return this.#contents.lost
  }

  /**
   * Removes damaged records, which were set aside, and sets `lost` to 0.
   * @param save Is called with each record before it is removed.
   * @throws StorageError if the disk fails.
   */
  async clearDamaged(save?: (record: Uint8Array) => Promise<void>): Promise<ClearedDamage> {
    const { lost } = this
    return { lost, records: await this.#contents.clearDamaged(save) }
  }

  /** Accepts no further push: a loop that iterates the spool ends once everything is settled. */
  end(): void {
    this.#ended = true
    this.#iteration?.provide()
  }

  /**
   * Stores the requests that are not on disk yet, ends the iteration, and closes the directory.
   * Requests that are not settled stay for the next `spool`.
   * @throws StorageError if not everything could be stored.
   */
  close(): Promise<void> {
    if (this.#closing === null) {
      this.#contents.beginClosing()
      this.#closing = this.#close()
    }
    return this.#closing
  }

  /** Calls `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Begins with everything that is not settled. There is one iteration at a time. */
  [Symbol.asyncIterator](): AsyncIterator<readonly Request[], undefined> {
    if (this.#iteration !== null) {
      throw new UsageError('spool: another loop iterates it; end that one first')
    }
    this.#contents.chunks.rewind()
    const iteration = new Iteration({
      take: () => this.#take(),
      isOver: () => this.#isOver(),
      ended: () => {
        this.#iteration = null
      },
    })
    this.#iteration = iteration
    return iteration
  }

  /** Called by the loop. Removes the request; resolves once it is removed on disk. */
  settled(request: Request, outcome: Outcome): void | Promise<void> {
    const { key } = request as SentRequest
    if (typeof key !== 'number') return undefined
    const contents = this.#contents
    if (contents.isUnloaded(key)) return this.#settleUnloaded(key, request, outcome)
    const chunk = contents.chunks.find(key)
    const bytes = chunk?.settle(key) ?? -1
    if (bytes < 0) return undefined
    const removed = contents.remove(chunk!, key, bytes)
    this.#options.onSettled?.(request, outcome)
    if (!this.#admission.isIdle) this.#admission.admit()
    return removed
  }

  // ---------------------------------------------------------- settled before they were loaded

  /**
   * Notes a settled request, which is removed when its chunk is loaded. Until then the session
   * remembers the key.
   */
  #settleUnloaded(key: number, request: Request, outcome: Outcome): Promise<void> {
    const removed = new Promise<void>((resolve) => {
      this.#settledUnloaded.set(key, resolve)
    })
    this.#options.onSettled?.(request, outcome)
    return removed
  }

  /** Removes those requests of a chunk that were settled before it was loaded. */
  #removeSettled(chunk: Chunk): void {
    for (const [key, resolve] of this.#settledUnloaded) {
      if (key > chunk.last) continue
      this.#settledUnloaded.delete(key)
      const bytes = chunk.settle(key)
      if (bytes < 0) resolve()
      else this.#contents.remove(chunk, key, bytes)?.then(resolve)
    }
  }

  /** Confirms requests that were lost to damage, so that the session can forget their keys. */
  #forgetLost(): void {
    for (const [key, resolve] of this.#settledUnloaded) {
      if (this.#contents.isUnloaded(key)) continue
      this.#settledUnloaded.delete(key)
      resolve()
    }
  }

  // ---------------------------------------------------------------------------- handing out

  #take(): readonly SentRequest[] | null {
    const { batch, expired } = this.#contents.chunks.take(REQUESTS_PER_BATCH, this.#contents.now())
    for (const key of expired) {
      this.#report(this.#contents.drop(key), { ok: false, error: expiredError() })
    }
    if (this.#contents.hasUnloaded && this.#contents.hasRoomToLoad) this.#load()
    return batch.length > 0 ? batch : null
  }

  #isOver(): boolean {
    if (this.#closing !== null) return true
    const { hasUnloaded, isStoring } = this.#contents
    return this.#ended && !hasUnloaded && this.#admission.isIdle && !isStoring
  }

  /** Loads the chunks that come next from disk. */
  #load(): void {
    if (this.#reading || this.#retry !== null || this.#closing !== null) return
    this.#reading = true
    this.#contents.read().then(
      ({ chunks, through }) => {
        this.#reading = false
        if (this.#settledUnloaded.size > 0) {
          for (const chunk of chunks) this.#removeSettled(chunk)
        }
        this.#contents.load(chunks, through)
        if (chunks.length === 0) this.#forgetLost()
        this.#admission.admit()
        this.#iteration?.provide()
      },
      (error: StorageError) => {
        this.#reading = false
        if (this.#closing !== null) return
        if (!error.retryable) return this.#iteration?.fail(error)
        this.#warn(error)
        this.#retry = setIdleTimer(() => {
          this.#retry = null
          this.#load()
        }, RETRY_MS)
      },
    )
  }

  // ------------------------------------------------------------------------------ listeners

  /** An error that the listener throws ends the iteration, if there is one. */
  #report(request: Request, outcome: Outcome): void {
    try {
      this.#options.onSettled?.(request, outcome)
    } catch (error) {
      if (this.#iteration === null) throw error
      this.#iteration.fail(error)
    }
  }

  /** An error that the listener throws ends the iteration, if there is one. */
  #warn({ code, message }: SpoolWarning): void {
    const { onWarning } = this.#options
    if (onWarning === undefined) return emitWarning(this, code, message)
    try {
      onWarning({ code, message })
    } catch (error) {
      this.#iteration?.fail(error)
    }
  }

  async #close(): Promise<void> {
    this.#ended = true
    this.#admission.close()
    if (this.#retry !== null) machine.clearTimer(this.#retry)
    // `#closing`, which ends the iteration, is set once this function has returned to `close`.
    await Promise.resolve()
    this.#iteration?.provide()
    await this.#contents.close()
  }
}

function expiredError(): ConnectionError {
  const message = 'The message expired while it was queued (messageExpiryInterval).'
  return new ConnectionError(message, { code: 'MESSAGE_EXPIRED', retryable: false })
}

/**
 * Opens a spool: a queue of requests in a directory, which is made if it is not there, for one
 * process at a time. Needs the package `classic-level`.
 *
 * In a browser it is a database of IndexedDB, for one tab or worker at a time, and `directory` is
 * its name. There it needs no package.
 *
 * Give it to a loop as its request stream.
 * @throws UsageError if an option cannot be used, without `classic-level` (in a browser without
 *   IndexedDB or Web Locks), or if the directory holds something else.
 * @throws StorageError if the directory is in use (`IN_USE`, naming the process), or cannot be read
 *   or made.
 */
export async function spool(directory: string, options: SpoolOptions = {}): Promise<Spool> {
  return Spool.open(directory, options)
}
