/**
 * What a spool holds in memory: requests in their order, in chunks that are the records on disk, and how far they were handed
 * out.
 *
 * Rules of the room. Requests of a chunk have consecutive numbers, their keys. Chunks lie behind each other; between two of
 * them numbers may be missing. Nothing here knows of disks or promises.
 */
import type { SentRequest } from '../../requests/vocabulary.ts'
import { aged, named } from '../store/request-size.ts'

export class Chunk {
  /** Number of its first request. */
  readonly first: number
  /** Null: it has its outcome. */
  readonly requests: (SentRequest | null)[] = []
  /** Their bytes. */
  readonly sizes: number[] = []
  /** When each of them expires, wall clock in ms; 0: never. Null: none does. */
  expiries: number[] | null = null
  /** Requests without an outcome. */
  left = 0
  /** Whether it is, or is about to be, on disk. */
  readonly kept: boolean

  constructor(first: number, kept: boolean) {
    this.first = first
    this.kept = kept
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

  /** Bytes of those without an outcome. */
  get bytes(): number {
    return this.requests.reduce(
      (sum, request, i) => (request === null ? sum : sum + this.sizes[i]!),
      0,
    )
  }

  /** It has its outcome now: its bytes; -1: it had, or is not here. */
  settle(key: number): number {
    const index = key - this.first
    if ((this.requests[index] ?? null) === null) return -1
    this.requests[index] = null
    this.left--
    return this.sizes[index]!
  }

  /** Which requests have their outcome: one bit each. */
  marks(): Buffer {
    const bits = Buffer.alloc(Math.ceil(this.requests.length / 8))
    this.requests.forEach((request, i) => {
      if (request === null) bits[i >>> 3]! |= 1 << (i & 7)
    })
    return bits
  }

  /** Takes marks over. */
  mark(bits: Uint8Array): void {
    for (let i = 0; i < this.requests.length; i++) {
      if (((bits[i >>> 3] ?? 0) & (1 << (i & 7))) !== 0) this.settle(this.first + i)
    }
  }
}

/** What was handed out, under keys; and keys of what expired before. */
export interface HandedOut {
  readonly batch: readonly SentRequest[]
  readonly expired: readonly number[]
}

export class Chunks {
  #chunks: Chunk[] = []
  /** What is handed out next. */
  #chunkAt = 0
  #requestAt = 0
  /** Of requests that were not handed out. */
  #waitingBytes = 0
  /** In which the last one was found: the next one is as a rule there too. */
  #hint: Chunk | null = null

  /** What the requests that were not handed out take in memory, about. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get last(): Chunk | undefined {
    return this.#chunks[this.#chunks.length - 1]
  }

  /** Those that are only here, with something left in them. */
  get unkept(): readonly Chunk[] {
    return this.#chunks.filter(({ kept, left }) => !kept && left > 0)
  }

  push(chunk: Chunk): void {
    const last = this.last
    if (last?.left === 0) this.forget(last, true)
    this.#chunks.push(chunk)
    this.#waitingBytes += memoryOf(chunk)
  }

  /** A request of so many bytes was added to the last chunk. */
  added(bytes: number): void {
    this.#waitingBytes += bytes + REQUEST_BYTES
  }

  /** The oldest that were not handed out and have no outcome, at most `max`. */
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
        const fresh = expiresAt === 0 ? request : aged(request, expiresAt, now)
        const handed = fresh.key === key ? fresh : named(fresh, key)
        // The one that was pushed is needed no longer.
        requests[at] = handed
        batch.push(handed)
      }
      // More may come to the last one.
      if (this.#requestAt < requests.length || chunk === this.last) break
      this.#chunkAt++
      this.#requestAt = 0
    }
    return { batch, expired }
  }

  /** All that has no outcome is to be handed out again. */
  rewind(): void {
    this.#chunkAt = 0
    this.#requestAt = 0
    this.#waitingBytes = this.#chunks.reduce((sum, chunk) => sum + memoryOf(chunk), 0)
  }

  /** The chunk that holds this key. */
  find(key: number): Chunk | undefined {
    const hint = this.#hint
    if (hint !== null && key >= hint.first && key <= hint.last) return hint
    const found = this.#chunks[this.#indexOf(key)]
    this.#hint = found ?? null
    return found
  }

  /** Nothing is left in it. The last one may still grow. */
  forget(chunk: Chunk, evenLast = false): void {
    if (chunk === this.last && !evenLast) return
    const index = this.#chunks.indexOf(chunk)
    if (index < 0) return
    if (this.#hint === chunk) this.#hint = null
    this.#chunks.splice(index, 1)
    if (index < this.#chunkAt) this.#chunkAt--
    else if (index === this.#chunkAt) this.#requestAt = 0
  }

  /** By halving: their numbers ascend. */
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

/** What a request costs in memory beside its bytes, about. */
const REQUEST_BYTES = 300

function memoryOf({ bytes, left }: Chunk): number {
  return bytes + left * REQUEST_BYTES
}
