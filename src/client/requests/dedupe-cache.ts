/**
 * Was this operation executed before, and what was the answer? A bounded memory in which nothing is
 * forgotten before its deadline. The time is an input. (Q6, a key is executed once)
 */
import { DeadlineHeap, type HasDeadline } from './deadline-heap.ts'

/** What an entry costs beside its key and its answer, in bytes. */
const ENTRY_BYTES = 256

type Fingerprint = string | number

interface DedupeEntry<Answer, Repeat> extends HasDeadline {
  readonly key: string
  /** Tells payloads apart that came under the same key. */
  readonly fingerprint: Fingerprint
  bytes: number
  /** Undefined as long as the operation runs. */
  answer: Answer | undefined
  /** Those who wait for the answer. */
  repeats: Repeat[] | null
}

/** `full`: there is no room, and the operation must not be executed. */
type DedupeClaim<Answer> =
  | { readonly kind: 'new' | 'running' | 'reused' | 'full' }
  | { readonly kind: 'done'; readonly answer: Answer }

const NEW = { kind: 'new' } as const
const RUNNING = { kind: 'running' } as const
const REUSED = { kind: 'reused' } as const
const FULL = { kind: 'full' } as const
const NO_REPEATS: readonly never[] = []

export class DedupeCache<Answer, Repeat> {
  readonly #entries = new Map<string, DedupeEntry<Answer, Repeat>>()
  readonly #deadlines = new DeadlineHeap<DedupeEntry<Answer, Repeat>>()
  readonly #bytesMax: number
  readonly #entriesMax: number
  #bytes = 0

  constructor(bytesMax: number, entriesMax: number) {
    this.#bytesMax = bytesMax
    this.#entriesMax = entriesMax
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Claims the execution of an operation until `expiresAt`.
   * @param repeat waits for the answer if the operation runs already.
   */
  claim(
    key: string,
    fingerprint: Fingerprint,
    expiresAt: number,
    now: number,
    repeat: Repeat,
  ): DedupeClaim<Answer> {
    this.#forget(now)
    const entry = this.#entries.get(key)
    if (entry !== undefined) {
      if (entry.fingerprint !== fingerprint) return REUSED
      if (expiresAt > entry.dueAt) this.#extend(entry, expiresAt)
      if (entry.answer !== undefined) return { kind: 'done', answer: entry.answer }
      entry.repeats ??= []
      entry.repeats.push(repeat)
      return RUNNING
    }
    const bytes = ENTRY_BYTES + 2 * key.length
    if (this.#entries.size >= this.#entriesMax || this.#bytes + bytes > this.#bytesMax) return FULL
    const added: DedupeEntry<Answer, Repeat> = {
      key,
      fingerprint,
      bytes,
      answer: undefined,
      repeats: null,
      dueAt: expiresAt,
      heapIndex: -1,
    }
    this.#entries.set(key, added)
    this.#deadlines.add(added)
    this.#bytes += bytes
    return NEW
  }

  /**
   * The operation has ended. Its answer is kept even if the memory is full now: then no others are
   * executed until there is room.
   * @returns those who wait for the answer.
   */
  finish(key: string, answer: Answer, bytes: number): readonly Repeat[] {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.answer !== undefined) return NO_REPEATS
    entry.answer = answer
    entry.bytes += bytes
    this.#bytes += bytes
    if (entry.heapIndex < 0) this.#remove(entry)
    return this.#takeRepeats(entry)
  }

  /** The operation was not executed. @returns those who waited for its answer. */
  release(key: string): readonly Repeat[] {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.answer !== undefined) return NO_REPEATS
    this.#remove(entry)
    return this.#takeRepeats(entry)
  }

  #takeRepeats(entry: DedupeEntry<Answer, Repeat>): readonly Repeat[] {
    const repeats = entry.repeats ?? NO_REPEATS
    entry.repeats = null
    return repeats
  }

  #extend(entry: DedupeEntry<Answer, Repeat>, expiresAt: number): void {
    this.#deadlines.remove(entry)
    entry.dueAt = expiresAt
    this.#deadlines.add(entry)
  }

  #forget(now: number): void {
    for (let entry = this.#deadlines.take(now); entry; entry = this.#deadlines.take(now)) {
      // One that still runs is removed when it ends, because others may wait for its answer.
      if (entry.answer !== undefined) this.#remove(entry)
    }
  }

  #remove(entry: DedupeEntry<Answer, Repeat>): void {
    this.#deadlines.remove(entry)
    this.#entries.delete(entry.key)
    this.#bytes -= entry.bytes
  }
}

/** @returns 53 bits that tell payloads and topics apart. It is no defence against a forger. */
export function fingerprintOf(topic: string, payload: Uint8Array): number {
  let a = 0xdeadbeef ^ payload.length
  let b = 0x41c6ce57
  for (let i = 0; i < topic.length; i++) {
    const unit = topic.charCodeAt(i)
    a = Math.imul(a ^ unit, 2654435761)
    b = Math.imul(b ^ unit, 1597334677)
  }
  for (let i = 0; i < payload.length; i++) {
    const byte = payload[i]!
    a = Math.imul(a ^ byte, 2654435761)
    b = Math.imul(b ^ byte, 1597334677)
  }
  return (a >>> 11) * 2 ** 32 + (b >>> 0)
}
