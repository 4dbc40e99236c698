/**
 * Which requests of a spool are in memory, and which of them were handed out?
 *
 * A chunk holds requests with consecutive numbers, which are their keys; it is one record if it is
 * on disk. Chunks follow one another by number, and numbers may be missing between two of them.
 * This file has no access to the disk and uses no promises.
 */
import { allocate, type Bytes } from '#bytes'
import type { SentRequest } from '../../requests/vocabulary.ts'
import { withExpiryLeft, withKey } from '../store/request-copies.ts'

export class Chunk {
  /** The number of its first request. */
  readonly first: number
  /** A settled request is replaced by null. */
  readonly requests: (SentRequest | null)[] = []
  /** The bytes of each request. */
  readonly sizes: number[] = []
  /** When each request expires, in ms of the wall clock, 0 if never; null if none of them does. */
  expiries: number[] | null = null
  /** How many requests are not settled. */
  left = 0
  /** True if the chunk is on disk, or about to be written. */
  readonly onDisk: boolean

  constructor(first: number, onDisk: boolean) {
    this.first = first
    this.onDisk = onDisk
  }

  get last(): number {
    return this.first + this.requests.length - 1
  }

  add(request: SentRequest, bytes: number, expiresAt: number): void {
    if (expiresAt > 0) {
      this.expiries ??= this.requests.map(() => 0)
      this.expiries[this.requests.length] = expiresAt
    }
    this.requests.push(request)
    this.sizes.push(bytes)
    this.left++
  }

  expiryAt(index: number): number {
    return this.expiries?.[index] ?? 0
  }

  /** The bytes of the requests that are not settled. */
  get bytes(): number {
    return this.requests.reduce(
      (sum, request, i) => (request === null ? sum : sum + this.sizes[i]!),
      0,
    )
  }

  /**
   * Marks a request as settled.
   * @returns its size, or -1 if it was settled before or is not in this chunk.
   */
  settle(key: number): number {
    const index = key - this.first
    if ((this.requests[index] ?? null) === null) return -1
    this.requests[index] = null
    this.left--
    return this.sizes[index]!
  }

  /** @returns one bit for each request, set if it is settled. */
  settledBits(): Bytes {
    const bits = allocate(Math.ceil(this.requests.length / 8))
    this.requests.forEach((request, i) => {
      if (request === null) bits[i >>> 3]! |= 1 << (i & 7)
    })
    return bits
  }

  /** Marks the requests as settled whose bits are set. */
  applySettledBits(bits: Uint8Array): void {
    for (let i = 0; i < this.requests.length; i++) {
      if (((bits[i >>> 3] ?? 0) & (1 << (i & 7))) !== 0) this.settle(this.first + i)
    }
  }
}

interface HandedOut {
  /** Requests to be handed out, under their keys. */
  readonly batch: readonly SentRequest[]
  /** The keys of requests that expired before they were handed out. */
  readonly expired: readonly number[]
}

export class Chunks {
  #chunks: Chunk[] = []
  /** The chunk of the request that is handed out next. */
  #chunkAt = 0
  /** The place of that request in its chunk. */
  #requestAt = 0
  #waitingBytes = 0
  /** The chunk that `find` returned last; the next key is usually in the same one. */
  #hint: Chunk | null = null

  /** Approximately how much memory the requests take that were not handed out. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get last(): Chunk | undefined {
    return this.#chunks[this.#chunks.length - 1]
  }

  /** Chunks that are only in memory and have requests that are not settled. */
  get onlyInMemory(): readonly Chunk[] {
    return this.#chunks.filter(({ onDisk, left }) => !onDisk && left > 0)
  }

  push(chunk: Chunk): void {
    const last = this.last
    if (last?.left === 0) this.forget(last, true)
    this.#chunks.push(chunk)
    this.#waitingBytes += memoryOf(chunk)
  }

  /** Counts a request of this size that was added to the last chunk. */
  added(bytes: number): void {
    this.#waitingBytes += bytes + REQUEST_BYTES
  }

  /** Takes the oldest requests that were not handed out and are not settled, at most `max`. */
  take(max: number, now: number): HandedOut {
    const batch: SentRequest[] = []
    const expired: number[] = []
    while (batch.length < max && this.#chunkAt < this.#chunks.length) {
      const chunk = this.#chunks[this.#chunkAt]!
      const { requests, sizes, expiries } = chunk
      while (batch.length < max && this.#requestAt < requests.length) {
        const at = this.#requestAt++
        const request = requests[at]!
        if (request === null) continue
        this.#waitingBytes -= sizes[at]! + REQUEST_BYTES
        const key = chunk.first + at
        const expiresAt = expiries === null ? 0 : chunk.expiryAt(at)
        if (expiresAt > 0 && expiresAt <= now) {
          expired.push(key)
          continue
        }
        const fresh = expiresAt === 0 ? request : withExpiryLeft(request, expiresAt, now)
        const handed = fresh.key === key ? fresh : withKey(fresh, key)
        // The copy replaces the request that was pushed.
        requests[at] = handed
        batch.push(handed)
      }
      // The last chunk may still grow, so it stays the current one.
      if (this.#requestAt < requests.length || chunk === this.last) break
      this.#chunkAt++
      this.#requestAt = 0
    }
    return { batch, expired }
  }

  /** Every request that is not settled will be handed out again. */
  rewind(): void {
    this.#chunkAt = 0
    this.#requestAt = 0
    this.#waitingBytes = this.#chunks.reduce((sum, chunk) => sum + memoryOf(chunk), 0)
  }

  /** @returns the chunk that holds this key, or undefined if none does. */
  find(key: number): Chunk | undefined {
    const hint = this.#hint
    if (hint !== null && key >= hint.first && key <= hint.last) return hint
    const found = this.#chunks[this.#indexOf(key)]
    this.#hint = found ?? null
    return found
  }

  /** Drops a chunk whose requests are all settled. The last one stays, as it may still grow. */
  forget(chunk: Chunk, evenLast = false): void {
    if (chunk === this.last && !evenLast) return
    const index = this.#chunks.indexOf(chunk)
    if (index < 0) return
    if (this.#hint === chunk) this.#hint = null
    this.#chunks.splice(index, 1)
    if (index < this.#chunkAt) this.#chunkAt--
    else if (index === this.#chunkAt) this.#requestAt = 0
  }

  /** Binary search; -1 if no chunk holds the key. */
  #indexOf(key: number): number {
    let low = 0
    let high = this.#chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const chunk = this.#chunks[middle]!
      if (key < chunk.first) high = middle - 1
      else if (key > chunk.last) low = middle + 1
      else return middle
    }
    return -1
  }
}

/** Approximately how much memory a request takes beside its bytes. */
const REQUEST_BYTES = 300

function memoryOf({ bytes, left }: Chunk): number {
  return bytes + left * REQUEST_BYTES
}
