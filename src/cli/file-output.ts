/**
 * How is a file on standard output written? Until the system has taken every byte of a record: a
 * nearly full disk takes a part of it and says so only in the number of bytes.
 *
 * - A full disk is waited for. The rest of the record is written as soon as there is room.
 * - If the process ends before that, the part is cut off, so that the file ends with a whole
 *   record. That needs proof that the end of the file is that part, since others may append to it.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'

/** What a file needs of its surroundings. */
interface FileOutputParts {
  /** Writes a part of the bytes. @returns how many the system took. */
  readonly write: (bytes: Uint8Array) => number
  /**
   * Cuts these bytes off the end of the file.
   * @returns false if the file does not end with them, or cannot be cut.
   */
  readonly cut: (torn: Uint8Array) => boolean
  readonly say: (line: string) => void
  readonly now: () => number
}

interface Waiting {
  readonly bytes: Uint8Array
  resolve(): void
  reject(error: unknown): void
}

/** How often a full disk is tried again. */
const FULL_RETRY_MS = 500

/** A disk that is full again so soon is not reported again. */
const REPORT_AGAIN_MS = 10_000

type Refusal = 'full' | 'busy' | 'failed'

const REFUSALS: Readonly<Record<string, Refusal>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EAGAIN: 'busy',
  EINTR: 'busy',
}

/** @returns what an error of a write means: room may come, or the file cannot be written. */
function writeRefusal(error: unknown): Refusal {
  return REFUSALS[(error as NodeJS.ErrnoException).code ?? ''] ?? 'failed'
}

function failureOf(cause: NodeJS.ErrnoException): Error {
  const { code, syscall = 'write' } = cause
  const message = `standard output cannot be written: ${cause.message}`
  return Object.assign(new Error(message, { cause }), { code, syscall })
}

const FULL: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full (ENOSPC)',
  EDQUOT: 'the disk quota is used up (EDQUOT)',
}

export class FileOutput {
  readonly #parts: FileOutputParts
  /** Records that are not written, oldest first. */
  #queue: Waiting[] = []
  /** How many bytes of the first one are in the file. */
  #written = 0
  #timer: NodeJS.Timeout | undefined
  #failure: unknown
  /** Whether the disk was full at the last attempt. */
  #isFull = false
  #isReported = false
  #roomAt = Number.NEGATIVE_INFINITY

  constructor(parts: FileOutputParts) {
    this.#parts = parts
  }

  /**
   * Writes one record.
   * @returns undefined if all of it is written, or a promise that resolves once it is. The promise
   *   rejects if the file cannot be written, or at `abandon`.
   */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const waiting: Waiting = { bytes, resolve: () => {}, reject: () => {} }
    this.#queue.push(waiting)
    if (this.#queue.length === 1) this.#drain()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#queue.length === 0) return undefined
    return new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }))
  }

  /** Whether something is not written yet. */
  get isWaiting(): boolean {
    return this.#queue.length > 0
  }

  /** Rejects what waits, and writes no more. */
  abandon(error: unknown): void {
    clearTimeout(this.#timer)
    this.#failure ??= error
    for (const { reject } of this.#queue) reject(this.#failure)
  }

  /** Cuts the record off of which the file has a part. Nothing may be written afterwards. */
  cutTorn(): void {
    const [first] = this.#queue
    if (first === undefined || this.#written === 0) return
    if (!this.#parts.cut(first.bytes.subarray(0, this.#written))) {
      this.#parts.say(
        `standard output: the file ends with ${this.#written} bytes of a record of ` +
          `${first.bytes.length} bytes, which cannot be cut off`,
      )
    }
    this.#written = 0
  }

  #drain(): void {
    for (;;) {
      const [first] = this.#queue
      if (first === undefined) return
      let taken: number
      try {
        taken = this.#parts.write(first.bytes.subarray(this.#written))
      } catch (error) {
        return this.#refused(error)
      }
      if (this.#isFull) this.#room()
      this.#written += taken
      if (this.#written < first.bytes.length) continue
      this.#queue.shift()
      this.#written = 0
      first.resolve()
    }
  }

  #refused(error: unknown): void {
    const refusal = writeRefusal(error)
    if (refusal === 'failed') return this.abandon(failureOf(error as NodeJS.ErrnoException))
    if (refusal === 'full' && !this.#isFull) this.#full(error as NodeJS.ErrnoException)
    this.#timer = setTimeout(() => this.#drain(), FULL_RETRY_MS)
  }

  #full({ code = '' }: NodeJS.ErrnoException): void {
    this.#isFull = true
    this.#isReported = this.#parts.now() - this.#roomAt >= REPORT_AGAIN_MS
    if (!this.#isReported) return
    this.#parts.say(
      `standard output: ${FULL[code]}; waiting for room, make some to let the command go on`,
    )
  }

  #room(): void {
    this.#isFull = false
    this.#roomAt = this.#parts.now()
    if (this.#isReported) this.#parts.say('standard output: there is room again, writing goes on')
  }
}

/** @returns what writes the file behind a descriptor. */
export function filePartsOf(fd: number, say: (line: string) => void): FileOutputParts {
  return {
    write: (bytes) => writeSync(fd, bytes),
    cut: (torn) => {
      try {
        return cutOff(fd, torn)
      } catch {
        return false
      }
    },
    say,
    now: () => performance.now(),
  }
}

/** Standard output cannot be read as such, but Linux opens the same file for reading too. */
function cutOff(fd: number, torn: Uint8Array): boolean {
  if (!fstatSync(fd).isFile()) return false
  const file = openSync(`/proc/self/fd/${fd}`, 'r')
  try {
    const start = fstatSync(file).size - torn.length
    const found = Buffer.alloc(torn.length)
    let read = 0
    while (read < found.length) {
      const count = start < 0 ? 0 : readSync(file, found, read, found.length - read, start + read)
      if (count === 0) return false
      read += count
    }
    if (Buffer.compare(found, torn) !== 0) return false
    ftruncateSync(fd, start)
    return true
  } finally {
    closeSync(file)
  }
}
