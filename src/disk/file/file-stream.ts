/**
 * How does a stream of lines know where a later process goes on? It remembers which of the lines it
 * read are not settled.
 *
 * Every iteration, in this process or a later one, begins at the first line that is not settled and
 * skips those behind it that are. Memory stays flat at any size of the file.
 */
import { UsageError } from '../../errors.ts'
import { machine, wallNow } from '../../platform/machine.ts'
import { emitWarning } from '../../platform/warnings.ts'
import { prepare } from '../../requests/prepare.ts'
import type { Outcome, Request, SentRequest, Settling } from '../../requests/vocabulary.ts'
import { withKey } from '../store/request-copies.ts'
import { Checkpoint } from './checkpoint.ts'
import { FileChain } from './file-chain.ts'
import type {
  FileRequestsOptions,
  FileRequestsSetup,
  FileWarning,
  ReadableBytes,
} from './file-options.ts'
import { fileGone, linesLost, lineUnfinished } from './file-warnings.ts'
import { type Name, nameOf } from './line-name.ts'
import { linesOf } from './lines.ts'
import { contentOf } from './open-file.ts'
import type { Line, LineParser } from './parse-line.ts'
import type { Position } from './position.ts'

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
  readonly #chain: FileChain
  /** Aborts the iteration; null if there is none. */
  #abort: AbortController | null = null
  #bytesRead = 0
  /** When bytes came last, in ms since 1970; null if none came. */
  #readAt: number | null = null
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
    const { follow = false, platform = machine, watch = true } = options
    this.#chain = new FileChain({
      ...{ path: this.#path, follow, platform, watch },
      warn: (warning) => this.#warn(warning),
      note: (bytesRead) => {
        this.#bytesRead = bytesRead
        this.#readAt = wallNow()
      },
    })
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
    return this.#unsettled.get(nameOf(request)) ?? null
  }

  /** Called by the loop. If there is a checkpoint, resolves once it has the change. */
  settled(request: Request, _outcome: Outcome): void | Promise<void> {
    const name = nameOf(request)
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
    await this.#checkpoint?.close()
    await this.#chain.close()
  }

  /** Calls `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // ----------------------------------------------------------------------------- position

  /**
   * Opens the file at the place where an earlier process stopped. It does not wait: neither for a
   * file that is followed and not there yet, nor for the writer of a FIFO. The first iteration does
   * it unless it was done before.
   * @throws UsageError as the iteration does; StorageError if the checkpoint cannot be written or
   *   belongs to another process (`IN_USE`).
   */
  async open(): Promise<void> {
    if (this.#opened || this.#stream !== null) return
    try {
      if (this.#checkpoint !== null) {
        this.#resumed = await this.#checkpoint.open()
        if (this.#resumed !== null) this.#resume(this.#resumed)
      }
      const lost = await this.#chain.open(this.#resumed)
      if (lost === null) await this.#beginAgain()
      for (const [from, to] of lost ?? []) this.#lose(from, to)
      // A checkpoint that cannot be written is an error before anything is sent.
      await this.#checkpoint?.save()
      this.#opened = true
    } catch (error) {
      await this.#checkpoint?.close()
      await this.#chain.close()
      throw error
    }
  }

  /**
   * @returns the position at this instant, from which a later process continues; `prove` completes
   *   it.
   */
  position(): Position {
    const unsettled = [...(this.#unsettled as Map<number, number>)]
    const offset = unsettled[0]?.[0] ?? this.#readThrough
    return {
      file: this.#path,
      offset,
      unsettled,
      readThrough: this.#readThrough,
      line: this.#line,
      ...(this.#readAt === null ? {} : { at: this.#readAt }),
      ...this.#chain.positionFrom(offset),
      proof: this.#resumed?.proof ?? null,
    }
  }

  /** @returns the position together with the proof that identifies its file. */
  async prove(position: Position): Promise<Position> {
    return { ...position, proof: await this.#chain.proofAt(position.readThrough) }
  }

  #resume({ unsettled, readThrough, line, at }: Position): void {
    for (const [place, number] of unsettled) this.#unsettled.set(place, number)
    this.#readThrough = readThrough
    this.#line = line
    this.#readAt = at ?? null
  }

  /**
   * Reads what was written since the position was taken, because the file of the position is gone.
   * @throws UsageError unless the file is followed and `onInvalid` accepts that.
   */
  async #beginAgain(): Promise<void> {
    const { follow, onInvalid } = this.#options
    const resumed = this.#resumed!
    const error = fileGone(this.#path, this.#positionName, resumed)
    if (follow !== true || onInvalid === undefined) throw error
    onInvalid(error)
    this.#unsettled.clear()
    this.#readThrough += GENERATION_GAP
    this.#line = 1
    await this.#chain.beginAgain(resumed.at ?? Infinity)
  }

  /** Gives up lines that are not settled, because the file that has them is gone. */
  #lose(from: number, to: number): void {
    const places = [...(this.#unsettled as Map<number, number>)]
    const lost = places.filter(([place]) => place >= from && place < to)
    for (const [place] of lost) this.#unsettled.delete(place)
    if (lost.length > 0) this.#warn(linesLost(this.#path, lost))
  }

  #checkpointAt(path: string): Checkpoint {
    return new Checkpoint(
      path,
      () => this.prove(this.position()),
      ({ offset }) => this.#chain.release(offset),
      (warning) => this.#warn(warning),
    )
  }

  #warn(warning: FileWarning): void {
    const { onWarning } = this.#options
    if (onWarning !== undefined) onWarning(warning)
    else emitWarning(this, warning.code, warning.message)
  }

  // ------------------------------------------------------------------------------ reading

  async *#batches(signal: AbortSignal): AsyncGenerator<readonly Request[], undefined> {
    if (this.#stream !== null) {
      const start = { offset: 0, line: 1 }
      const lines = linesOf(contentOf(this.#stream), start, this.#path)
      this.#ended = yield* this.#requestsOf(lines, 0)
      return undefined
    }
    await this.open()
    const knownThrough = this.#readThrough
    const [first] = this.#unsettled as Map<number, number>
    let [offset, line] = first ?? [this.#readThrough, this.#line]
    const chain = this.#chain
    try {
      let segment = chain.segmentAt(offset) ?? (await chain.next(offset, line, signal))
      while (segment !== null) {
        const chunks = chain.read(segment, segment.start + offset - segment.base, signal)
        const lines = linesOf(chunks, { offset, line }, this.#path, (last) => this.#isLine(last))
        if (!(yield* this.#requestsOf(lines, knownThrough))) return undefined
        segment = await chain.next(this.#readThrough, this.#line, signal)
        if (segment === null) break
        await chain.release(this.position().offset)
        offset = segment.base
        line = segment.line
        if (offset >= this.#readThrough) this.#line = line
      }
    } finally {
      chain.endIteration()
    }
    this.#ended = true
    return undefined
  }

  /** @returns whether the last line of a file counts, although it has no line end. */
  #isLine(last: Line): boolean {
    const { follow = false, checkpoint } = this.#options
    const { growing = checkpoint !== undefined } = this.#options
    // Files before the present one have ended, or were left in the middle of a line.
    if (follow) return this.#chain.endsWhole
    if (!growing || !this.#chain.mayGrow) return this.#chain.endsWhole
    this.#warn(lineUnfinished(this.#path, last))
    return false
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
    if (SENT.includes(request.cmd)) this.#unsettled.set(nameOf(request), number)
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
