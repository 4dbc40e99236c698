/**
 * How does a stream of lines know where a later process goes on? It remembers which of the lines it
 * read are not settled.
 *
 * Every iteration, in this process or a later one, begins at the first line that is not settled and
 * skips those behind it that are. Memory stays flat at any size of the file.
 */
import { UsageError } from '../../errors.ts'
import { prepare } from '../../requests/prepare.ts'
import type { Outcome, Request, SentRequest, Settling } from '../../requests/vocabulary.ts'
import { withKey } from '../store/request-copies.ts'
import { Checkpoint, readCheckpoint } from './checkpoint.ts'
import type { FileRequestsOptions, FileRequestsSetup, ReadableBytes } from './file-options.ts'
import {
  awaitFile,
  chunksOf,
  fileProof,
  findFile,
  type OpenFile,
  openFile,
} from './followed-file.ts'
import { type Line, linesOf } from './lines.ts'
import type { LineParser } from './parse-line.ts'
import type { Generation, Position } from './position.ts'

type Name = string | number | object

/**
 * How many requests a loop gets in one batch: enough to be fast, and few enough that little is read
 * in vain when the loop ends.
 */
const LINES_PER_BATCH = 128
const SENT = ['publish', 'subscribe', 'unsubscribe']
/**
 * If the file of a checkpoint is gone, the next file begins this many bytes after the last place.
 * It is more than could have been read after the checkpoint was written, so that no place is used
 * twice.
 */
const GENERATION_GAP = 2 ** 30

/**
 * A request stream that reads lines. Most programs use `fileRequests`; this class is for programs
 * that read standard input, need the bytes of a line, or store the position themselves.
 */
export class FileRequests implements AsyncIterable<readonly Request[]>, Settling, AsyncDisposable {
  /**
   * Whether each iteration begins with everything that is not settled. It is false if the source
   * can be read only once.
   */
  readonly replays: boolean
  readonly #path: string
  readonly #parseLine: LineParser
  readonly #options: FileRequestsOptions
  readonly #positionName: string
  /** Null if the source is a file. */
  readonly #stream: ReadableBytes | null
  /** Null if there is none. */
  readonly #checkpoint: Checkpoint | null
  /** The position at which an earlier process stopped, or null. */
  #resumed: Position | null
  #opened = false
  /** The line numbers of requests that are not settled, by the names of the requests, in order. */
  readonly #unsettled = new Map<Name, number>()
  /**
   * Lines that are settled and that this process has not read yet: for each place the function to
   * call once the line is read.
   */
  readonly #settledUnread = new Map<number, () => void>()
  /** Every line below this place was read. */
  #readThrough = 0
  /** The number of the line at `#readThrough`. */
  #line = 1
  /** The file with the first line that is not settled, and those behind it that are open. */
  #files: OpenFile[] = []
  /** Files of an earlier process that are to be read next. */
  #known: Generation[] = []
  /** Aborts the iteration; null if there is none. */
  #abort: AbortController | null = null
  #bytesRead = 0
  #ended = false

  constructor({ source, options, parseLine, position = null, positionName }: FileRequestsSetup) {
    const { checkpoint } = options
    this.#positionName = positionName ?? checkpoint ?? ''
    this.#stream = typeof source === 'string' ? null : source
    this.#path = typeof source === 'string' ? source : source.name
    this.replays = this.#stream === null
    this.#options = options
    this.#parseLine = parseLine
    this.#checkpoint = checkpoint === undefined ? null : this.#checkpointAt(checkpoint)
    this.#resumed = position
    if (position !== null) this.#resume(position)
  }

  /** How far the file was read: the bytes since the beginning of the first file. */
  get offset(): number {
    return this.#readThrough
  }

  /** How much was read of the current file as it is on disk, packed or not. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** True once the file was read to its end. */
  get ended(): boolean {
    return this.#ended
  }

  /** How many requests were read and are not settled. */
  get unsettled(): number {
    return this.#unsettled.size
  }

  /** @returns the number of the request's line, or null if the request is settled. */
  lineOf(request: Request): number | null {
    return this.#unsettled.get(requestKeyOf(request)) ?? null
  }

  /** Called by the loop. If there is a checkpoint, resolves once it has the change. */
  settled(request: Request, _outcome: Outcome): void | Promise<void> {
    const name = requestKeyOf(request)
    if (this.#unsettled.delete(name)) return this.#checkpoint?.save()
    if (typeof name !== 'number' || name < this.#readThrough) return undefined
    // An earlier process read the line after its last checkpoint was written.
    return new Promise((resolve, reject) => {
      this.#settledUnread.set(name, () => {
        Promise.resolve(this.#checkpoint?.save()).then(resolve, reject)
      })
    })
  }

  /** Begins at the first line that is not settled. There is one iteration at a time. */
  [Symbol.asyncIterator](): AsyncIterator<readonly Request[], undefined> {
    if (this.#abort?.signal.aborted === false) {
      throw new UsageError(`${this.#path}: another loop reads it; end that one first`)
    }
    const abort = new AbortController()
    this.#abort = abort
    this.#ended = false
    const batches = this.#batches(abort.signal)
    return {
      next: async () => {
        try {
          const step = await batches.next()
          if (step.done && this.#abort === abort) this.#abort = null
          return step
        } catch (error) {
          if (this.#abort === abort) this.#abort = null
          if (abort.signal.aborted) return { done: true, value: undefined }
          throw error
        }
      },
      return: async () => {
        abort.abort()
        this.#stream?.bytes.destroy()
        return batches.return(undefined)
      },
    }
  }

  /** Ends the iteration. Resolves once the checkpoint is written and no file is open. */
  async close(): Promise<void> {
    this.#abort?.abort()
    this.#stream?.bytes.destroy()
    await this.#checkpoint?.idle()
    for (const { handle } of this.#files.splice(0)) await handle.close()
  }

  /** Calls `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // ----------------------------------------------------------------------------- position

  /**
   * Opens the file at the place where an earlier process stopped. The first iteration does it
   * unless it was done before.
   * @throws UsageError as the iteration does; StorageError if the checkpoint cannot be written.
   */
  async open(signal: AbortSignal): Promise<void> {
    const { checkpoint, follow = false } = this.#options
    if (this.#opened || this.#stream !== null) return
    if (checkpoint !== undefined) {
      this.#resumed = await readCheckpoint(checkpoint)
      if (this.#resumed !== null) this.#resume(this.#resumed)
    }
    const [generation, ...known] = this.#resumed?.generations ?? []
    if (generation === undefined) {
      this.#files = [await (follow ? awaitFile(this.#path, 0, signal) : openFile(this.#path, 0))]
    } else {
      const proof = known.length === 0 ? this.#resumed!.proof : null
      const file = await findFile(this.#path, generation, proof, follow)
      if (file === null) this.#beginAgain()
      this.#known = file === null ? [] : known
      this.#files = [file ?? (await awaitFile(this.#path, this.#readThrough, signal))]
    }
    this.#opened = true
    // A checkpoint that cannot be written is an error before anything is sent.
    await this.#checkpoint?.save()
  }

  /**
   * @returns the position at this instant, from which a later process continues; `prove` completes
   *   it.
   */
  position(): Position {
    const unsettled = [...(this.#unsettled as Map<number, number>)]
    const offset = unsettled[0]?.[0] ?? this.#readThrough
    const files = [...this.#files, ...this.#known]
    return {
      file: this.#path,
      offset,
      unsettled,
      readThrough: this.#readThrough,
      line: this.#line,
      generations: files
        .filter((_, i) => (files[i + 1]?.base ?? Infinity) > offset)
        .map(({ base, inode }) => ({ base, inode })),
      proof: this.#resumed?.proof ?? null,
    }
  }

  /** @returns the position together with the proof that identifies its file. */
  async prove(position: Position): Promise<Position> {
    const file = this.#files.at(-1)
    if (file === undefined || this.#known.length > 0) return position
    const offset = position.readThrough - file.base
    return { ...position, proof: await fileProof(this.#path, file, offset) }
  }

  #resume({ unsettled, readThrough, line }: Position): void {
    for (const [place, number] of unsettled) this.#unsettled.set(place, number)
    this.#readThrough = readThrough
    this.#line = line
  }

  /**
   * Reads the present file from its beginning, because the file of the position is gone.
   * @throws UsageError unless the file is followed and `onInvalid` accepts that.
   */
  #beginAgain(): void {
    const { follow, onInvalid } = this.#options
    const { line, file } = this.#resumed!
    const error = new UsageError(
      `${this.#positionName} goes on at line ${line} of ${file}, and ${this.#path} is not ` +
        'that file or has changed; give the right file, or remove what is kept to begin at ' +
        'the first line',
      { code: 'FILE_GONE' },
    )
    if (follow !== true || onInvalid === undefined) throw error
    onInvalid(error)
    this.#unsettled.clear()
    this.#readThrough += GENERATION_GAP
    this.#line = 1
  }

  #checkpointAt(path: string): Checkpoint {
    return new Checkpoint(
      path,
      () => this.prove(this.position()),
      ({ offset }) => this.#closeBefore(offset),
    )
  }

  /** Closes files that were replaced and are settled to their end. */
  async #closeBefore(offset: number): Promise<void> {
    while (this.#files.length > 1 && this.#files[1]!.base <= offset) {
      await this.#files.shift()!.handle.close()
    }
  }

  // ------------------------------------------------------------------------------ reading

  async *#batches(signal: AbortSignal): AsyncGenerator<readonly Request[], undefined> {
    if (this.#stream !== null) {
      const start = { offset: 0, line: 1 }
      this.#ended = yield* this.#requestsOf(linesOf(this.#stream.bytes, start, this.#path), 0)
      return undefined
    }
    await this.open(signal)
    const { follow = false } = this.#options
    const knownThrough = this.#readThrough
    const [first] = this.#unsettled as Map<number, number>
    let [offset, line] = first ?? [this.#readThrough, this.#line]
    for (let file = this.#files.findLast(({ base }) => base <= offset)!; ; ) {
      const start = { offset, line }
      const note = (bytesRead: number) => {
        this.#bytesRead = bytesRead
      }
      const chunks = chunksOf(this.#path, file, offset - file.base, follow, signal, note)
      const lines = linesOf(chunks, start, this.#path)
      if (!(yield* this.#requestsOf(lines, knownThrough))) return undefined
      if (!follow) break
      file = this.#files[this.#files.indexOf(file) + 1] ?? (await this.#openNext(signal))
      offset = file.base
      line = 1
    }
    this.#ended = true
    return undefined
  }

  /** Opens the file that replaced the last one. */
  async #openNext(signal: AbortSignal): Promise<OpenFile> {
    const next = this.#known.shift()
    const found = next === undefined ? null : await findFile(this.#path, next, null, true)
    const base = next?.base ?? this.#readThrough
    const file = found ?? (await awaitFile(this.#path, base, signal))
    this.#files.push(file)
    return file
  }

  /**
   * Yields the requests of lines in batches.
   * @param knownThrough Lines below this place were read before; only those that are not settled
   *   are read again.
   * @returns false if `onInvalid` ended the stream.
   */
  async *#requestsOf(
    chunks: AsyncIterable<readonly Line[]>,
    knownThrough: number,
  ): AsyncGenerator<readonly Request[], boolean> {
    for await (const lines of chunks) {
      let requests: Request[] = []
      for (const line of lines) {
        try {
          const request = this.#requestOf(line, knownThrough)
          if (request !== null) requests.push(request)
        } catch (cause) {
          if (requests.length > 0) yield requests
          requests = []
          if (!this.#continuesAfter(line, cause as Error)) return false
        }
        this.#advance(line)
        if (requests.length < LINES_PER_BATCH) continue
        yield requests
        requests = []
      }
      if (requests.length > 0) yield requests
    }
    return true
  }

  #advance({ end, number }: Line): void {
    if (end <= this.#readThrough) return
    this.#readThrough = end
    this.#line = number + 1
  }

  /** @returns the request of a line, or null if it holds none or is settled. */
  #requestOf(line: Line, knownThrough: number): Request | null {
    const { offset, number } = line
    if (offset < knownThrough && !this.#unsettled.has(offset)) return null
    const whenRead = this.#settledUnread.get(offset)
    if (whenRead !== undefined) {
      this.#settledUnread.delete(offset)
      // The line counts as read only after this function has returned.
      queueMicrotask(whenRead)
      return null
    }
    const parsed = this.#parseLine(line) ?? null
    if (parsed === null) return null
    const request =
      this.#stream === null ? (withKey(parsed as SentRequest, offset) as Request) : parsed
    prepare(request, 5)
    if (SENT.includes(request.cmd)) this.#unsettled.set(requestKeyOf(request), number)
    return request
  }

  /**
   * @returns whether the stream goes on behind a line that is not a request.
   * @throws UsageError without `onInvalid`.
   */
  #continuesAfter({ number, offset }: Line, cause: Error): boolean {
    const message = `${this.#path}:${number}: no request: ${cause.message}`
    const error = new UsageError(message, { code: 'INVALID_LINE', cause })
    const { onInvalid } = this.#options
    if (onInvalid === undefined) throw error
    if (onInvalid(error) === false) return false
    this.#unsettled.delete(offset)
    return true
  }
}

/** @returns what identifies the request: its key, or the request itself if it has none. */
function requestKeyOf(request: Request): Name {
  return ('key' in request ? request.key : undefined) ?? request
}
