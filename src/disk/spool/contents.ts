/**
 * What does a spool hold, and where? Some requests are in memory, all others are on disk.
 *
 * The requests that were handed out and a few of the next ones are in memory. Later ones are read
 * from disk when they are needed. In `spill` mode a request is stored in memory only, unless
 * requests before it are on disk.
 */
import { StorageError } from '../../errors.ts'
import type { SentRequest } from '../../requests/vocabulary.ts'
import { expiryOf } from '../store/request-size.ts'
import { Chunk, Chunks } from './chunks.ts'
import type { CommitWaiter } from './marks.ts'
import type { ResolvedSpool } from './spool-options.ts'
import { SpoolStore, type SpoolStoreListener } from './spool-store.ts'

/** The most bytes in memory that wait to be handed out. */
const MEMORY_BYTES = 4 << 20
/** The most requests of a chunk that is only in memory. */
const CHUNK_REQUESTS = 1024

export class SpoolContents {
  readonly chunks = new Chunks()
  readonly #options: ResolvedSpool
  #store!: SpoolStore
  /** Requests that are not settled, on disk or in memory. */
  #size = 0
  /** Their bytes. */
  #bytes = 0
  /** The highest number that was loaded into memory. */
  #loadedThrough = 0
  /** The highest number that was stored, on disk or in memory. */
  #storedThrough = 0
  /** True once the directory takes no further changes. */
  #closing = false

  private constructor(options: ResolvedSpool) {
    this.#options = options
  }

  static async open(
    directory: string,
    options: ResolvedSpool,
    { committed, warn }: Pick<SpoolStoreListener, 'committed' | 'warn'>,
  ): Promise<SpoolContents> {
    const contents = new SpoolContents(options)
    const store = await SpoolStore.open(directory, {
      stored: (chunk) => contents.#stored(chunk),
      lost: (chunk) => {
        contents.#size -= chunk.left
        contents.#bytes -= chunk.bytes
      },
      missing: ({ size, bytes }) => {
        contents.#size -= size
        contents.#bytes -= bytes
      },
      committed,
      warn,
    })
    contents.#store = store
    contents.#size = store.size
    contents.#bytes = store.bytes
    contents.#storedThrough = store.last
    store.begin(Date.now())
    return contents
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many requests were lost to damage, since that was last cleared. */
  get lost(): number {
    return this.#store.lost
  }

  /** How far each producer got. */
  get positions(): ReadonlyMap<string, unknown> {
    return this.#store.positions
  }

  /** The time of the spool, in ms: expiry is measured with it. */
  readonly now = (): number => this.#store.clock.now()

  /** True if requests on disk were not loaded yet. */
  get hasUnloaded(): boolean {
    return this.#loadedThrough < this.#storedThrough
  }

  /** True if the request with this number is on disk and was not loaded yet. */
  isUnloaded(number: number): boolean {
    return number > this.#loadedThrough && number <= this.#storedThrough
  }

  /** True while requests are on their way to disk. */
  get isStoring(): boolean {
    return this.#store.isBusy
  }

  /** True if there is room in memory for requests from disk. */
  get hasRoomToLoad(): boolean {
    return this.chunks.waitingBytes < MEMORY_BYTES / 2
  }

  /** True if the bounds allow this much more. */
  fits(count: number, bytes: number): boolean {
    const { maxBytes, maxMessages } = this.#options
    return this.#size + count <= maxMessages && this.#bytes + bytes <= maxBytes
  }

  full(): StorageError {
    const { maxBytes, maxMessages } = this.#options
    return new StorageError(
      `The spool ${this.#store.directory} is full: it holds ${this.#size} requests of ` +
        `${this.#bytes} bytes, and may hold ${maxMessages} of ${maxBytes}.`,
      { code: 'SPOOL_FULL', retryable: true },
    )
  }

  /** True if the next request need not go to disk, in `spill` mode. */
  get staysInMemory(): boolean {
    if (this.#options.mode !== 'spill' || this.hasUnloaded || this.#store.isBusy) return false
    return this.chunks.waitingBytes < MEMORY_BYTES
  }

  addToMemory(request: SentRequest, bytes: number): void {
    this.#size++
    this.#bytes += bytes
    const number = this.#store.number()
    let chunk = this.chunks.last
    const continues = chunk !== undefined && !chunk.onDisk && chunk.last === number - 1
    if (!continues || chunk!.requests.length >= CHUNK_REQUESTS) {
      chunk = new Chunk(number, false)
      this.chunks.push(chunk)
    }
    chunk!.add(request, bytes, expiryOf(request, this.now))
    this.chunks.added(bytes)
    this.#loadedThrough = number
    this.#storedThrough = number
  }

  /** Adds a request to the next commit, which `commit` starts. */
  addToDisk(request: SentRequest, bytes: number, waiter: CommitWaiter): void {
    this.#size++
    this.#bytes += bytes
    this.#store.add(request, bytes, expiryOf(request, this.now), waiter)
  }

  commit(): void {
    this.#store.commit()
  }

  /** Adds to the next commit how far a producer got; null if it is to begin again. */
  mark(producer: string, position: unknown, waiter: CommitWaiter): void {
    this.#store.mark(producer, position, waiter)
  }

  /** Reads everything, and reports what is missing. Nothing may have been loaded yet. */
  verify(): Promise<void> {
    return this.#store.verify()
  }

  /** Removes the damaged records. @returns how many there were. */
  clearDamaged(save?: (record: Uint8Array) => Promise<void>): Promise<number> {
    return this.#store.clearDamaged(save)
  }

  /**
   * Keeps a chunk that is on disk in memory too, if all chunks before it are in memory and there is
   * room.
   */
  #stored(chunk: Chunk): void {
    const isNext = !this.hasUnloaded
    this.#storedThrough = chunk.last
    if (!isNext || this.chunks.waitingBytes > MEMORY_BYTES) return
    this.#loadedThrough = chunk.last
    this.chunks.push(chunk)
  }

  /**
   * Reads the next chunks; the caller passes them to `load`.
   * @throws StorageError if the disk fails.
   */
  async read(): Promise<{ readonly chunks: readonly Chunk[]; readonly through: number }> {
    const through = this.#storedThrough
    const chunks = await this.#store.read(this.#loadedThrough)
    // Numbers that are not on disk were lost to damage.
    return { chunks, through: chunks.at(-1)?.last ?? through }
  }

  load(chunks: readonly Chunk[], through: number): void {
    for (const chunk of chunks) if (chunk.left > 0) this.chunks.push(chunk)
    this.#loadedThrough = through
  }

  /**
   * Removes a request that `Chunk.settle` marked as settled.
   * @returns undefined if it was only in memory, or a promise that resolves once it is removed on
   *   disk. After `beginClosing` that never happens: the session must remember the key.
   */
  remove(chunk: Chunk, key: number, bytes: number): Promise<void> | undefined {
    this.#size--
    this.#bytes -= bytes
    if (chunk.left === 0) this.chunks.forget(chunk)
    if (this.#closing) return NEVER
    return chunk.onDisk ? this.#store.settled(chunk, key, bytes) : undefined
  }

  /** Removes a request that no loop will settle, and returns it. */
  drop(key: number): SentRequest {
    const chunk = this.chunks.find(key)!
    const request = chunk.requests[key - chunk.first]!
    this.remove(chunk, key, chunk.settle(key))
    return request
  }

  /** Stops all changes of the directory, except those of `close`. */
  beginClosing(): void {
    this.#closing = true
  }

  /** @throws StorageError if not everything could be stored. */
  close(): Promise<void> {
    return this.#store.close(this.chunks.onlyInMemory)
  }
}

const NEVER = new Promise<void>(() => {})
