/** What the programs of event streams share: the message, its bytes, and the figures they print. */

/** What is measured. */
export interface Work {
  readonly mode: 'encode' | 'decode' | 'stream' | 'bytes' | 'checksum'
  readonly size: number
  readonly count: number
}

export function workOf([mode, size, count]: readonly string[]): Work {
  return { mode: mode as Work['mode'], size: Number(size), count: Number(count) }
}

/** The five headers of an event, as services send them. */
export const HEADERS = {
  ':message-type': 'event',
  ':event-type': 'TranscriptEvent',
  ':content-type': 'application/json',
} as const
export const SEQUENCE = 1_000_042
export const AT = new Date(1_790_000_000_123)

export const payloadOf = (size: number) => new Uint8Array(size).fill(0x61)

/**
 * Runs the work once to warm up, then for the figures.
 * @param run does `count` messages, and returns how many bytes they have in all.
 */
export async function measured(
  { count }: Work,
  run: (count: number) => Promise<number> | number,
): Promise<void> {
  await run(Math.min(count, Math.max(1, Math.round(count / 4))))
  const started = process.hrtime.bigint()
  const { user: before } = process.cpuUsage()
  const bytes = await run(count)
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const cpu = (process.cpuUsage().user - before) / 1e6
  const figures = { rate: Math.round(count / seconds), megabytes: bytes / seconds / 1e6, cpu }
  console.log(JSON.stringify(figures))
}

/**
 * Gives the chunks of a message again and again. They are cut before, and no generator gives them,
 * since one costs 60 ns for each chunk: as much as a decoder that is fed single bytes.
 */
export function chunksOf(
  bytes: Uint8Array,
  chunkBytes: number,
  times: number,
): IterableIterator<Uint8Array, undefined> {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    chunks.push(bytes.subarray(at, Math.min(bytes.length, at + chunkBytes)))
  }
  return new RepeatedChunks(chunks, times)
}

class RepeatedChunks implements IterableIterator<Uint8Array, undefined> {
  readonly #chunks: readonly Uint8Array[]
  #timesLeft: number
  #at = 0

  constructor(chunks: readonly Uint8Array[], times: number) {
    this.#chunks = chunks
    this.#timesLeft = times
  }

  [Symbol.iterator](): this {
    return this
  }

  next(): IteratorResult<Uint8Array, undefined> {
    if (this.#at === this.#chunks.length) {
      this.#at = 0
      this.#timesLeft--
    }
    if (this.#timesLeft === 0) return { done: true, value: undefined }
    return { done: false, value: this.#chunks[this.#at++]! }
  }
}
