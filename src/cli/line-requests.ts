/**
 * Lines as a stream of requests that knows which of them have no outcome, and so where a later run has to go on.
 */
import { createHash } from 'node:crypto'
import {
  type PublishRequest,
  type QoS,
  type Request,
  type SentRequest,
  UsageError,
} from '../index.ts'
import { prepare } from '../requests.ts'
import { type Line, linesOf } from './lines.ts'
import type { Position } from './session-file.ts'

/** How a line becomes a request. */
export interface LineFormat {
  /** Every line is a payload for this topic; null: every line is a request in JSON. */
  readonly topic: string | null
  /** For lines that do not say theirs. */
  readonly qos: QoS
  readonly retain: boolean
  readonly protocolVersion: 3 | 4 | 5
}

export interface LineInput {
  /** For messages and to know the file again. */
  readonly name: string
  /** The bytes from this offset on. */
  readonly open: (offset: number) => AsyncIterable<Buffer> & { destroy(): void }
  /** A file can be read again from any line; a stream cannot. */
  readonly seekable: boolean
}

/** Requests given at once: enough to be fast, few enough that little is read and not taken when it ends. */
const BATCH = 128

type Name = string | number | object

export class LineRequests implements AsyncIterable<readonly Request[]> {
  readonly #input: LineInput
  readonly #format: LineFormat
  /** Called for each line that is no request; true: go on with the next one. */
  readonly #onInvalid: (message: string) => boolean
  readonly #resumed: Position | null
  /** Keys that the session holds: the engine sends these by itself. */
  readonly #held: ReadonlySet<unknown>
  /** Requests without an outcome, in their order. */
  readonly #unsettled = new Map<Name, readonly [offset: number, line: number]>()
  #offset = 0
  #line = 1
  #last: { readonly offset: number; readonly bytes: Buffer } | null = null
  #bytes: ReturnType<LineInput['open']> | null = null
  #ended = false

  constructor(
    input: LineInput,
    format: LineFormat,
    resumed: Position | null,
    held: readonly SentRequest[],
    onInvalid: (message: string) => boolean,
  ) {
    this.#input = input
    this.#format = format
    this.#onInvalid = onInvalid
    this.#resumed = resumed
    this.#held = new Set(held.map(({ key }) => key))
    if (resumed === null) return
    this.#offset = resumed.offset
    this.#line = resumed.line
    for (const place of resumed.unsettled) this.#unsettled.set(keyOf(place[0]), place)
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset
  }

  /** Every line was read, and none stopped it. */
  get ended(): boolean {
    return this.#ended
  }

  /** The requests that were read and have no outcome. */
  isUnsettled(request: Request): boolean {
    return this.#unsettled.has(nameOf(request))
  }

  get unsettledCount(): number {
    return this.#unsettled.size
  }

  /** It has its outcome. The number of its line, where it came from one. */
  settle(request: Request): number | null {
    const name = nameOf(request)
    const place = this.#unsettled.get(name)
    this.#unsettled.delete(name)
    return place?.[1] ?? null
  }

  position(): Position {
    const { name: file } = this.#input
    const unsettled = [...this.#unsettled.values()]
    const last =
      this.#last === null
        ? (this.#resumed?.last ?? null)
        : {
            offset: this.#last.offset,
            bytes: this.#last.bytes.length,
            sha256: createHash('sha256').update(this.#last.bytes).digest('hex'),
          }
    return { file, offset: this.#offset, line: this.#line, unsettled, last }
  }

  close(): void {
    this.#bytes?.destroy()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly Request[]> {
    const resumed = this.#resumed
    // What the loop was given and had not taken comes again, and it stands before the position.
    const again = new Set<number>()
    for (const [offset] of resumed?.unsettled ?? []) {
      if (!this.#held.has(keyOf(offset))) again.add(offset)
    }
    const first = resumed?.unsettled.find(([offset]) => again.has(offset))
    const [offset, line] = first ?? [this.#offset, this.#line]
    const upTo = this.#offset
    this.#bytes = this.#input.open(offset)
    for await (const lines of linesOf(this.#bytes, { offset, line }, this.#input.name)) {
      let requests: Request[] = []
      let stop = false
      for (const line of lines) {
        if (line.offset < upTo && !again.has(line.offset)) continue
        try {
          const request = this.#requestOf(line)
          if (request !== null) requests.push(request)
        } catch (error) {
          const { message } = error as Error
          stop = !this.#onInvalid(`${this.#input.name}:${line.number}: no request: ${message}`)
          if (stop) break
          this.#unsettled.delete(keyOf(line.offset))
        }
        if (line.offset < upTo) continue
        this.#offset = line.end
        this.#line = line.number + 1
        this.#last = line
        if (requests.length < BATCH) continue
        yield requests
        requests = []
      }
      if (requests.length > 0) yield requests
      if (stop) return
    }
    this.#ended = true
  }

  /** Null: a blank line. */
  #requestOf(line: Line): Request | null {
    const request = this.#parse(line)
    if (request === null) return null
    prepare(request, this.#format.protocolVersion)
    const isSent = ['publish', 'subscribe', 'unsubscribe'].includes(request.cmd)
    if (isSent) this.#unsettled.set(nameOf(request), [line.offset, line.number])
    return request
  }

  #parse({ bytes, offset, number }: Line): Request | null {
    const { topic, qos, retain } = this.#format
    const key = this.#input.seekable ? { key: keyOf(offset) } : {}
    if (topic !== null) {
      if (bytes.length === 0) return null
      return { cmd: 'publish', topic, payload: bytes, qos, retain, ...key }
    }
    const text = decode(bytes)
    const json = (number === 1 ? text.replace(/^\uFEFF/, '') : text).trim()
    if (json === '') return null
    const parsed: unknown = JSON.parse(json)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
      throw new UsageError('an object with cmd is expected')
    }
    const request = { ...parsed, ...key } as Request
    return request.cmd === 'publish' ? withDefaults(request, qos, retain) : request
  }
}

function withDefaults(request: PublishRequest, qos: QoS, retain: boolean): PublishRequest {
  return { ...request, qos: request.qos ?? qos, retain: request.retain ?? retain }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch (error) {
    throw new UsageError('the line is not UTF-8', { cause: error })
  }
}

/** Never what a user would call a request. */
function keyOf(offset: number): string {
  return `byte ${offset}`
}

function nameOf(request: Request): Name {
  return ('key' in request ? request.key : undefined) ?? request
}
