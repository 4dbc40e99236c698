/**
 * What a spool holds in memory: entries in their order, in chunks that are the records on disk, and how far they were handed
 * out.
 *
 * Rules of the room. Entries of a chunk have consecutive numbers. Chunks lie behind each other; between two of them numbers may
 * be missing. Nothing here knows of disks or promises.
 */
import type { SentRequest } from '../packets.ts'
import type { Kept } from './records.ts'

export interface Entry extends Kept {
  /** It has its outcome. */
  settled: boolean
}

export class Chunk {
  /** Number of its first entry. */
  readonly first: number
  readonly entries: Entry[] = []
  /** Entries without an outcome. */
  left = 0
  /** Whether it is, or is about to be, on disk. */
  readonly kept: boolean

  constructor(first: number, kept: boolean) {
    this.first = first
    this.kept = kept
  }

  get last(): number {
    return this.first + this.entries.length - 1
  }

  add(kept: Kept): void {
    this.entries.push({ ...kept, settled: false })
    this.left++
  }

  /** Which entries have their outcome: one bit each. */
  marks(): Buffer {
    const bits = Buffer.alloc(Math.ceil(this.entries.length / 8))
    this.entries.forEach(({ settled }, i) => {
      if (settled) bits[i >>> 3]! |= 1 << (i & 7)
    })
    return bits
  }

  /** Takes marks over; bytes of what has its outcome. */
  mark(bits: Uint8Array): void {
    this.entries.forEach((entry, i) => {
      if (entry.settled || ((bits[i >>> 3] ?? 0) & (1 << (i & 7))) === 0) return
      entry.settled = true
      this.left--
    })
  }
}

export class Chunks {
  #chunks: Chunk[] = []
  /** What is handed out next. */
  #chunkAt = 0
  #entryAt = 0
  /** Of entries that were not handed out. */
  #waitingBytes = 0

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get last(): Chunk | undefined {
    return this.#chunks.at(-1)
  }

  /** Those that are only here, with something left in them. */
  get unkept(): readonly Chunk[] {
    return this.#chunks.filter(({ kept, left }) => !kept && left > 0)
  }

  push(chunk: Chunk): void {
    if (this.last?.left === 0) this.#remove(this.#chunks.length - 1)
    this.#chunks.push(chunk)
    for (const entry of chunk.entries) if (!entry.settled) this.added(entry)
  }

  /** An entry was added to the last chunk. */
  added({ bytes }: Kept): void {
    this.#waitingBytes += bytes + ENTRY_BYTES
  }

  /** The oldest entry that was not handed out and has no outcome; it is handed out now. */
  take(): { readonly entry: Entry; readonly key: number } | null {
    for (; this.#chunkAt < this.#chunks.length; this.#chunkAt++, this.#entryAt = 0) {
      const chunk = this.#chunks[this.#chunkAt]!
      while (this.#entryAt < chunk.entries.length) {
        const at = this.#entryAt++
        const entry = chunk.entries[at]!
        if (entry.settled) continue
        this.#waitingBytes -= entry.bytes + ENTRY_BYTES
        return { entry, key: chunk.first + at }
      }
      // More may come to the last one.
      if (chunk === this.last) return null
    }
    return null
  }

  /** All that has no outcome is to be handed out again. */
  rewind(): void {
    this.#chunkAt = 0
    this.#entryAt = 0
    this.#waitingBytes = 0
    for (const { entries } of this.#chunks) {
      for (const entry of entries) if (!entry.settled) this.added(entry)
    }
  }

  /** The entry has its outcome now. Null: it had, or there is none. A chunk in which nothing is left is forgotten. */
  settle(key: number): { readonly chunk: Chunk; readonly entry: Entry } | null {
    const index = this.#find(key)
    const chunk = this.#chunks[index]
    const entry = chunk?.entries[key - chunk.first]
    if (chunk === undefined || entry === undefined || entry.settled) return null
    entry.settled = true
    chunk.left--
    // The last one may still grow.
    if (chunk.left === 0 && index < this.#chunks.length - 1) this.#remove(index)
    return { chunk, entry }
  }

  #remove(index: number): void {
    this.#chunks.splice(index, 1)
    if (index < this.#chunkAt) this.#chunkAt--
    else if (index === this.#chunkAt) this.#entryAt = 0
  }

  /** By halving: their numbers ascend. */
  #find(key: number): number {
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

/** What an entry costs in memory beside its bytes, about. */
const ENTRY_BYTES = 300

/** The request under its number, with the Message Expiry Interval that is left. */
export function handOut({ request, expiresAt }: Kept, key: number, now: number): SentRequest {
  if (expiresAt === 0) return { ...request, key }
  const { properties } = request as { properties: object }
  const messageExpiryInterval = Math.ceil((expiresAt - now) / 1000)
  return { ...request, key, properties: { ...properties, messageExpiryInterval } } as SentRequest
}
