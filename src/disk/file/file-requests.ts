/**
 * A file as a stream of requests, one for each line, that knows which of them have no outcome, and so where a later life has
 * to go on. Memory stays flat at any size: a line is read when the loop asks for it.
 *
 * Every iteration, in this process or a later one, begins at the first line without an outcome and leaves out those further
 * on that have theirs.
 */
import { describe, UsageError, wrong } from '../../errors.ts'
import { prepare } from '../../requests/build.ts'
import type { Outcome, Request, SentRequest, Settling } from '../../requests/vocabulary.ts'
import { replaceFile } from '../store/replace-file.ts'
import { named } from '../store/request-size.ts'
import {
  awaitFile,
  bytesOf,
  fileProof,
  findFile,
  isPacked,
  type OpenFile,
  openFile,
} from './followed-file.ts'
import { type Line, linesOf } from './lines.ts'
import { checkpointText, type Generation, type Position, readCheckpoint } from './position.ts'

export interface FileRequestsOptions {
  /**
   * Makes a request of a line (without its end; lines count from 1); null or undefined: none. Default: the line is one, in JSON
   * (NDJSON), and blank lines are left out.
   */
  readonly parse?: (line: string, lineNumber: number) => Request | null | undefined
  /**
   * A file that keeps how far everything has its outcome, replaced as a whole; where it is there, reading goes on there. Without it
   * a restart begins at the first line.
   */
  readonly checkpoint?: string
  /** At its end the file is awaited to grow, to be truncated or replaced. Default false: at its end the stream ends. */
  readonly follow?: boolean
  /**
   * Is given each line that is no request, and the stream goes on; where it returns false, the stream ends there. Default: the
   * stream throws it.
   */
  readonly onInvalid?: (error: UsageError) => unknown
}

/** What makes a request of a line. Throws what is wrong with it. */
export type LineParser = (line: Line) => Request | null | undefined

/** Bytes that can be read once: standard input. */
export interface ByteStream {
  readonly name: string
  readonly bytes: AsyncIterable<Buffer> & { destroy(): void }
}

type Name = string | number | object

interface Saving {
  readonly promise: Promise<void>
  resolve(): void
  reject(error: unknown): void
}

/** Given at once: enough to be fast, few enough that little is read in vain when the loop ends. */
const BATCH = 128
const SENT = ['publish', 'subscribe', 'unsubscribe']
/** Beyond what a checkpoint knows of a file that is gone: lines that were read after it was written. */
const GAP = 2 ** 30

export class FileRequests implements AsyncIterable<readonly Request[]>, Settling, AsyncDisposable {
  readonly replays: boolean
  readonly #path: string
  readonly #parse: LineParser
  readonly #options: FileRequestsOptions
  /** For messages: the checkpoint, or what else keeps the position. */
  readonly #keeper: string
  /** Null: it is a file. */
  readonly #stream: ByteStream | null
  /** What an earlier life left, until it is looked at. */
  #resumed: Position | null
  #begun = false
  /** Lines without an outcome, in their order: their numbers by their names. */
  readonly #unsettled = new Map<Name, number>()
  /** Lines that have their outcome and were not read yet: what to do once they are. */
  readonly #early = new Map<number, () => void>()
  #readThrough = 0
  /** The number of the line there. */
  #line = 1
  /** Open ones, from the one with the first line without an outcome on. */
  #files: OpenFile[] = []
  /** Files of an earlier life that are to be read next. */
  #known: Generation[] = []
  #abort: AbortController | null = null
  #bytesRead = 0
  #ended = false
  #saving: Promise<void> | null = null
  #asked: Saving | null = null

  /** @internal `position`: of an earlier life, kept in `keeper`. */
  constructor(
    source: string | ByteStream,
    options: FileRequestsOptions,
    parse: LineParser,
    position: Position | null = null,
    keeper = options.checkpoint,
  ) {
    this.#keeper = keeper ?? ''
    this.#stream = typeof source === 'string' ? null : source
    this.#path = typeof source === 'string' ? source : source.name
    this.replays = this.#stream === null
    this.#options = options
    this.#parse = parse
    this.#resumed = position
    if (position !== null) this.#resume(position)
  }

  /** How far it was read: bytes since the beginning of the first file. */
  get offset(): number {
    return this.#readThrough
  }

  /** Of the file as it is, packed or not. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** It was read to its end. */
  get ended(): boolean {
    return this.#ended
  }

  /** Requests that were read and have no outcome. */
  get unsettled(): number {
    return this.#unsettled.size
  }

  /** The number of its line, while it has no outcome. */
  lineOf(request: Request): number | null {
    return this.#unsettled.get(nameOf(request)) ?? null
  }

  /** For the loop. Resolves once the checkpoint, where there is one, knows of it. */
  settled(request: Request, _outcome: Outcome): void | Promise<void> {
    const name = nameOf(request)
    if (this.#unsettled.delete(name)) return this.#kept()
    if (typeof name !== 'number' || name < this.#readThrough) return undefined
    // An earlier life read it, after its last checkpoint.
    return new Promise((resolve, reject) => {
      this.#early.set(name, () => Promise.resolve(this.#kept()).then(resolve, reject))
    })
  }

  #kept(): Promise<void> | undefined {
    return this.#options.checkpoint === undefined ? undefined : this.#save()
  }

  /** One iteration at a time. */
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

  /** Resolves once the checkpoint is written and no file is open. */
  async close(): Promise<void> {
    this.#abort?.abort()
    this.#stream?.bytes.destroy()
    while (this.#saving !== null) await this.#saving.catch(() => {})
    for (const { handle } of this.#files.splice(0)) await handle.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal Opens the file, the right one; the first iteration does it otherwise. */
  async open(signal: AbortSignal): Promise<void> {
    const { checkpoint, follow = false } = this.#options
    if (this.#begun || this.#stream !== null) return
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
      if (file === null) this.#gone()
      this.#known = file === null ? [] : known
      this.#files = [file ?? (await awaitFile(this.#path, this.#readThrough, signal))]
    }
    this.#begun = true
    // A place that cannot be written is told before anything is sent.
    if (checkpoint !== undefined) await this.#save()
  }

  /** @internal What a later life needs to go on, but for the proof: that is `prove`. */
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

  /** @internal The position with what tells its file from another one. */
  async prove(position: Position): Promise<Position> {
    const file = this.#files.at(-1)
    if (file === undefined || this.#known.length > 0) return position
    const offset = position.readThrough - file.base
    return { ...position, proof: await fileProof(this.#path, file, offset) }
  }

  // --------------------------------------------------------------------------------------------------------------- reading

  async *#batches(signal: AbortSignal): AsyncGenerator<readonly Request[], undefined> {
    if (this.#stream !== null) {
      const begin = { offset: 0, line: 1 }
      this.#ended = yield* this.#linesOf(linesOf(this.#stream.bytes, begin, this.#path), 0)
      return undefined
    }
    await this.open(signal)
    const { follow = false } = this.#options
    const known = this.#readThrough
    const [first] = this.#unsettled as Map<number, number>
    let [offset, line] = first ?? [this.#readThrough, this.#line]
    for (let file = this.#files.findLast(({ base }) => base <= offset)!; ; ) {
      const from = { offset, line }
      const note = (read: number) => {
        this.#bytesRead = read
      }
      const bytes = bytesOf(this.#path, file, offset - file.base, follow, signal, note)
      if (!(yield* this.#linesOf(linesOf(bytes, from, this.#path), known))) return undefined
      if (!follow) break
      file = this.#files[this.#files.indexOf(file) + 1] ?? (await this.#openNext(signal))
      offset = file.base
      line = 1
    }
    this.#ended = true
    return undefined
  }

  #resume({ unsettled, readThrough, line }: Position): void {
    for (const [place, number] of unsettled) this.#unsettled.set(place, number)
    this.#readThrough = readThrough
    this.#line = line
  }

  /** @throws UsageError unless the file is followed and `onInvalid` takes it: then it begins anew. */
  #gone(): void {
    const { follow, onInvalid } = this.#options
    const { line, file } = this.#resumed!
    const what = `${this.#keeper} goes on at line ${line} of ${file}, and ${this.#path} is not that file or has changed`
    const error = new UsageError(
      `${what}; give the right file, or remove what is kept to begin anew`,
      {
        code: 'FILE_GONE',
      },
    )
    if (follow !== true || onInvalid === undefined) throw error
    onInvalid(error)
    this.#unsettled.clear()
    this.#readThrough += GAP
    this.#line = 1
  }

  /** The one that took the place of the last. */
  async #openNext(signal: AbortSignal): Promise<OpenFile> {
    const next = this.#known.shift()
    const found = next === undefined ? null : await findFile(this.#path, next, null, true)
    const base = next?.base ?? this.#readThrough
    const file = found ?? (await awaitFile(this.#path, base, signal))
    this.#files.push(file)
    return file
  }

  async *#linesOf(
    chunks: AsyncIterable<readonly Line[]>,
    known: number,
  ): AsyncGenerator<readonly Request[], boolean> {
    for await (const lines of chunks) {
      let requests: Request[] = []
      for (const line of lines) {
        try {
          const request = this.#requestOf(line, known)
          if (request !== null) requests.push(request)
        } catch (cause) {
          if (requests.length > 0) yield requests
          requests = []
          if (!this.#goesOn(line, cause as Error)) return false
        }
        this.#advance(line)
        if (requests.length < BATCH) continue
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

  /** Null: there is none in this line, or it has its outcome. */
  #requestOf(line: Line, known: number): Request | null {
    const { offset, number } = line
    if (offset < known && !this.#unsettled.has(offset)) return null
    const early = this.#early.get(offset)
    if (early !== undefined) {
      this.#early.delete(offset)
      // Once it counts as read.
      queueMicrotask(early)
      return null
    }
    const parsed = this.#parse(line) ?? null
    if (parsed === null) return null
    const request =
      this.#stream === null ? (named(parsed as SentRequest, offset) as Request) : parsed
    prepare(request, 5)
    if (SENT.includes(request.cmd)) this.#unsettled.set(nameOf(request), number)
    return request
  }

  #goesOn({ number, offset }: Line, cause: Error): boolean {
    const message = `${this.#path}:${number}: no request: ${cause.message}`
    const error = new UsageError(message, { code: 'INVALID_LINE', cause })
    const { onInvalid } = this.#options
    if (onInvalid === undefined) throw error
    if (onInvalid(error) === false) return false
    this.#unsettled.delete(offset)
    return true
  }

  // ---------------------------------------------------------------------------------------------------------- checkpoint

  /** Resolves once what is so now is on disk. One is written at a time, and what changes meanwhile shares the next. */
  #save(): Promise<void> {
    this.#asked ??= withResolvers()
    const { promise } = this.#asked
    this.#saving ??= this.#saveAll()
    return promise
  }

  async #saveAll(): Promise<void> {
    for (let asked = this.#asked; asked !== null; asked = this.#asked) {
      this.#asked = null
      try {
        const { checkpoint } = this.#options
        const position = await this.prove(this.position())
        await replaceFile(checkpoint!, checkpointText(position), 'The checkpoint')
        await this.#closeBefore(position.offset)
        asked.resolve()
      } catch (error) {
        asked.reject(error)
      }
    }
    this.#saving = null
  }

  /** Files that were replaced and settled to their end. */
  async #closeBefore(offset: number): Promise<void> {
    while (this.#files.length > 1 && this.#files[1]!.base <= offset) {
      await this.#files.shift()!.handle.close()
    }
  }
}

function withResolvers(): Saving {
  let settle!: Pick<Saving, 'resolve' | 'reject'>
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}

function nameOf(request: Request): Name {
  return ('key' in request ? request.key : undefined) ?? request
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws UsageError where it is no UTF-8. */
export function textOf({ bytes, number }: Line): string {
  try {
    const text = utf8.decode(bytes)
    return number === 1 ? text.replace(/^\uFEFF/, '') : text
  } catch (cause) {
    throw new UsageError('the line is not UTF-8', { cause })
  }
}

/** A line of NDJSON. Null: it is blank. @throws what is wrong with it. */
export function requestOfJson(line: Line): Request | null {
  const json = textOf(line).trim()
  if (json === '') return null
  const parsed: unknown = JSON.parse(json)
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Request
  }
  throw new UsageError('an object with cmd is expected')
}

const OPTIONS = ['parse', 'checkpoint', 'follow', 'onInvalid']

/**
 * A file as a request stream: read lazily, one request for each line, whose `key` is the offset of its first byte. Where the name
 * ends in `.gz` it is unpacked, and offsets are those of what was packed.
 *
 * @throws UsageError for options that cannot be used. The iteration throws a UsageError for a file that cannot be read or is not
 *   the one of the checkpoint (`FILE_GONE`), and for a line that is no request (`INVALID_LINE`), naming file and line.
 */
export function fileRequests(path: string, options: FileRequestsOptions = {}): FileRequests {
  if (typeof path !== 'string' || path === '') throw wrong('fileRequests: path', path, 'a path')
  for (const name of Object.keys(options)) {
    if (OPTIONS.includes(name)) continue
    throw new UsageError(
      `fileRequests has no option ${describe(name)}; allowed: ${OPTIONS.join(', ')}`,
    )
  }
  const { parse, checkpoint, follow = false, onInvalid } = options
  for (const [name, given] of Object.entries({ parse, onInvalid })) {
    if (given === undefined || typeof given === 'function') continue
    throw wrong(`fileRequests: ${name}`, given, 'a function')
  }
  if (checkpoint !== undefined && typeof checkpoint !== 'string') {
    throw wrong('fileRequests: checkpoint', checkpoint, 'a path')
  }
  if (typeof follow !== 'boolean') throw wrong('fileRequests: follow', follow, 'true or false')
  if (follow && isPacked(path)) {
    throw new UsageError('fileRequests: follow: a .gz does not grow; unpack it first')
  }
  const ofLine: LineParser =
    parse === undefined ? requestOfJson : (line) => parse(textOf(line), line.number)
  return new FileRequests(path, options, ofLine)
}
