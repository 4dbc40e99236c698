/**
 * Which messages are these bytes? Bytes come in chunks that are cut anywhere.
 *
 * - The first 12 bytes of a message are judged as soon as they are there: their checksum, both
 *   lengths and the limits. Nothing is allocated before (V2).
 * - A message that lies in one chunk shares its memory. Another one is gathered in an array of its
 *   own length, or of at most 1 MiB or twice what has come, if that is less.
 * - Each byte is copied a bounded number of times, so the cost is linear, whatever the cuts (V3).
 */
import { ProtocolError, UsageError } from '../../errors.ts'
import { crc32 } from './crc32.ts'
import {
  CHECKSUM_BYTES,
  HEADERS_BYTES_MAX,
  type HeaderValue,
  MESSAGE_BYTES_MIN,
  PAYLOAD_BYTES_MAX,
  PRELUDE_BYTES,
  type StreamMessage,
  VALUE_BYTES_MAX,
} from './header-values.ts'
import { textIn } from './utf8.ts'

/** What a decoder accepts. */
export interface DecodeLimits {
  /**
   * The most bytes that the headers of a message may have, at least 0. Default 131,072, as in the
   * specification.
   */
  readonly maxHeadersBytes?: number | undefined
  /**
   * The most bytes that a payload may have, at least 0. Default 25,165,824, as in the
   * specification.
   */
  readonly maxPayloadBytes?: number | undefined
  /** The most headers that a message may have, at least 0. Default 1,024. */
  readonly maxHeaders?: number | undefined
}

/** Limits with their defaults. */
export type ResolvedLimits = { readonly [Name in keyof DecodeLimits]-?: number }

const DEFAULT_LIMITS: ResolvedLimits = {
  maxHeadersBytes: HEADERS_BYTES_MAX,
  maxPayloadBytes: PAYLOAD_BYTES_MAX,
  maxHeaders: 1024,
}

/** @throws UsageError if a limit is no whole number from 0 on. */
export function resolveLimits(given?: DecodeLimits): ResolvedLimits {
  if (given === undefined) return DEFAULT_LIMITS
  const limits: Record<string, number> = { ...DEFAULT_LIMITS }
  for (const name of Object.keys(limits)) {
    const value = given[name as keyof DecodeLimits]
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new UsageError(`the option ${name} must be a whole number, at least 0`)
    }
    limits[name] = value
  }
  return limits as ResolvedLimits
}

/** The rules of the format, as `clause` of an error names them. */
export type FrameRule =
  | 'total length'
  | 'headers length'
  | 'prelude checksum'
  | 'message checksum'
  | 'maxHeadersBytes'
  | 'maxPayloadBytes'
  | 'maxHeaders'
  | 'header name'
  | 'header twice'
  | 'header type'
  | 'header value'

/** Malformed packet (2.4): there is no DISCONNECT for it, but the error needs a reason code. */
const MALFORMED = 0x81

/** @returns the error of bytes that break a rule of the format. */
export function malformed(rule: FrameRule, offset: number, problem: string): ProtocolError {
  const text = `an event-stream message is malformed at byte ${offset}: ${problem}`
  return new ProtocolError(text, {
    code: 'MALFORMED_MESSAGE',
    clause: rule,
    reasonCode: MALFORMED,
    retryable: false,
    offset,
  })
}

/**
 * Decodes bytes that are exactly one message. The payload shares their memory.
 * @throws ProtocolError `MALFORMED_MESSAGE`, with `offset` and, in `clause`, the rule;
 *   UsageError if `bytes` are no bytes or a limit cannot be used.
 */
export function decodeStreamMessage(bytes: Uint8Array, limits?: DecodeLimits): StreamMessage {
  if (!(bytes instanceof Uint8Array)) {
    throw new UsageError(`decodeMessage() takes a Uint8Array, not a ${typeof bytes}`)
  }
  const resolved = resolveLimits(limits)
  if (bytes.length < MESSAGE_BYTES_MIN) {
    const problem = `it has ${bytes.length} bytes, and a message has at least ${MESSAGE_BYTES_MIN}`
    throw malformed('total length', 0, problem)
  }
  const total = judgePrelude(bytes, 0, 0, resolved)
  if (total !== bytes.length) {
    const problem = `its length is ${total}, and there are ${bytes.length} bytes`
    throw malformed('total length', 0, problem)
  }
  return readMessage(bytes, 0, 0, resolved, false)
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  )
}

/**
 * Judges the 12 bytes at `at`.
 * @param offset where they stand in the stream
 * @returns the length of the message
 */
function judgePrelude(
  bytes: Uint8Array,
  at: number,
  offset: number,
  { maxHeadersBytes, maxPayloadBytes }: ResolvedLimits,
): number {
  if (crc32(bytes, at, at + 8) !== readUint32(bytes, at + 8)) {
    throw malformed('prelude checksum', offset + 8, 'the checksum of the lengths is wrong')
  }
  const total = readUint32(bytes, at)
  if (total < MESSAGE_BYTES_MIN) {
    const problem = `its length is ${total}, and a message has at least ${MESSAGE_BYTES_MIN} bytes`
    throw malformed('total length', offset, problem)
  }
  const headersBytes = readUint32(bytes, at + 4)
  const payloadBytes = total - MESSAGE_BYTES_MIN - headersBytes
  if (payloadBytes < 0) {
    const problem = `the length of its headers is ${headersBytes}, and its own is ${total}`
    throw malformed('headers length', offset + 4, problem)
  }
  if (headersBytes > maxHeadersBytes) {
    const problem = `its headers have ${headersBytes} bytes, and ${maxHeadersBytes} are allowed`
    throw malformed('maxHeadersBytes', offset + 4, problem)
  }
  if (payloadBytes > maxPayloadBytes) {
    const problem = `its payload has ${payloadBytes} bytes, and ${maxPayloadBytes} are allowed`
    throw malformed('maxPayloadBytes', offset, problem)
  }
  return total
}

/** R5: how much foreign memory a message may keep alive. */
const FOREIGN_BYTES_MAX = 8192

/** A part of the chunk as bytes, whatever class the chunk has. */
function view(bytes: Uint8Array, start: number, end: number, detach: boolean): Uint8Array {
  const { buffer, byteOffset } = bytes
  const length = end - start
  const part = new Uint8Array(buffer, byteOffset + start, length)
  return detach && buffer.byteLength - length > FOREIGN_BYTES_MAX ? part.slice() : part
}

/** Reads the message at `at`, which is there as a whole and whose prelude was judged. */
function readMessage(
  bytes: Uint8Array,
  at: number,
  offset: number,
  limits: ResolvedLimits,
  detach: boolean,
): StreamMessage {
  const end = at + readUint32(bytes, at) - CHECKSUM_BYTES
  if (crc32(bytes, at + 8, end, readUint32(bytes, at + 8)) !== readUint32(bytes, end)) {
    throw malformed('message checksum', offset + end - at, 'the checksum of the message is wrong')
  }
  const headersEnd = at + PRELUDE_BYTES + readUint32(bytes, at + 4)
  const reader = { bytes, at: at + PRELUDE_BYTES, end: headersEnd, base: offset - at, detach }
  const headers = readHeaders(reader, limits.maxHeaders)
  return { headers, payload: view(bytes, headersEnd, end, detach) }
}

/** Reads headers, and nothing behind their end. */
interface HeaderReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number
  /** What is added to a position to make it one of the stream. */
  readonly base: number
  readonly detach: boolean
}

function readHeaders(reader: HeaderReader, maxHeaders: number): Map<string, HeaderValue> {
  const { bytes, end, base } = reader
  const headers = new Map<string, HeaderValue>()
  for (let count = 1; reader.at < end; count++) {
    const start = reader.at
    if (count > maxHeaders) {
      throw malformed('maxHeaders', base + start, `it has more than ${maxHeaders} headers`)
    }
    const length = bytes[start]!
    if (length === 0) throw malformed('header name', base + start, 'the name of a header is empty')
    // The type stands behind the name.
    const typeAt = start + 1 + length
    if (typeAt >= end) {
      throw malformed('header name', base + start, 'a header does not end before the headers end')
    }
    const name = textIn(bytes, start + 1, typeAt)
    if (name === null) {
      throw malformed('header name', base + start + 1, 'the name of a header is not UTF-8')
    }
    reader.at = typeAt + 1
    headers.set(name, readValue(reader, bytes[typeAt]!))
    if (headers.size !== count) {
      throw malformed('header twice', base + start, 'a header is there twice')
    }
  }
  return headers
}

/** @returns where the next `length` bytes begin, which are then behind. */
function taken(reader: HeaderReader, length: number): number {
  const start = reader.at
  if (start + length > reader.end) {
    const problem = 'the value of a header does not end before the headers end'
    throw malformed('header value', reader.base + start, problem)
  }
  reader.at = start + length
  return start
}

function readValue(reader: HeaderReader, type: number): HeaderValue {
  const { bytes } = reader
  switch (type) {
    case 0:
    case 1:
      return { type: 'bool', value: type === 0 }
    case 2:
      return { type: 'byte', value: (bytes[taken(reader, 1)]! << 24) >> 24 }
    case 3: {
      const at = taken(reader, 2)
      return { type: 'short', value: ((bytes[at]! << 24) >> 16) | bytes[at + 1]! }
    }
    case 4:
      return { type: 'int', value: readUint32(bytes, taken(reader, 4)) | 0 }
    case 5:
      return { type: 'long', value: readInt64(bytes, taken(reader, 8)) }
    case 6: {
      const at = takenRun(reader)
      return { type: 'bytes', value: view(bytes, at, reader.at, reader.detach) }
    }
    case 7: {
      const at = takenRun(reader)
      const value = textIn(bytes, at, reader.at)
      if (value !== null) return { type: 'string', value }
      throw malformed('header value', reader.base + at, 'the text of a header is not UTF-8')
    }
    case 8:
      return { type: 'timestamp', value: readInstant(bytes, taken(reader, 8)) }
    case 9:
      return { type: 'uuid', value: readUuid(bytes, taken(reader, 16)) }
    default: {
      const problem = `a header has type ${type}, and types are 0 to 9`
      throw malformed('header type', reader.base + reader.at - 1, problem)
    }
  }
}

/** Takes a length of two bytes and as many bytes behind it. */
function takenRun(reader: HeaderReader): number {
  const at = taken(reader, 2)
  const length = (reader.bytes[at]! << 8) | reader.bytes[at + 1]!
  if (length > VALUE_BYTES_MAX) {
    const problem = `the value of a header has ${length} bytes, and ${VALUE_BYTES_MAX} are allowed`
    throw malformed('header value', reader.base + at, problem)
  }
  return taken(reader, length)
}

function readInt64(bytes: Uint8Array, at: number): bigint {
  const high = BigInt(readUint32(bytes, at) | 0)
  return (high << 32n) | BigInt(readUint32(bytes, at + 4))
}

/** The first and the last millisecond of a Date are so far from 1970. */
const DATE_MS_MAX = 8.64e15

function readInstant(bytes: Uint8Array, at: number): Date | bigint {
  // Exact up to 2 ** 53, which is more than the range of a Date.
  const ms = (readUint32(bytes, at) | 0) * 2 ** 32 + readUint32(bytes, at + 4)
  return Math.abs(ms) <= DATE_MS_MAX ? new Date(ms) : readInt64(bytes, at)
}

function readUuid(bytes: Uint8Array, at: number): string {
  let text = ''
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-'
    text += (0x100 + bytes[at + i]!).toString(16).slice(1)
  }
  return text
}

/** Up to so many bytes are allocated for a message of which only the length is known. */
const GROWTH_BYTES = 1 << 20
/** Fewer bytes than this are copied faster one by one. */
const COPIED_BYTES_MIN = 24
const NOTHING = /* @__PURE__ */ new Uint8Array(0)

/** Makes messages of chunks. After an error it must not be used. */
export class MessageDecoder {
  readonly #limits: ResolvedLimits
  readonly #detach: boolean
  #chunk: Uint8Array = NOTHING
  /** Where the next byte stands in the chunk. */
  #at = 0
  /** The message of which a part has come, if it did not come with the chunk. */
  #part: Uint8Array = NOTHING
  #partBytes = 0
  /** The length of the message in `#part`, or 0 while its first 12 bytes have not all come. */
  #total = 0
  /** Where the message begins in the stream. */
  #offset = 0

  constructor(limits: ResolvedLimits, detach: boolean) {
    this.#limits = limits
    this.#detach = detach
  }

  /** The bytes of the message that has begun and not ended. */
  get pendingBytes(): number {
    return this.#partBytes
  }

  /** The length of that message, or 0 if it is not known yet. */
  get expectedBytes(): number {
    return this.#total
  }

  /** Where that message begins in the stream, or where it ends if none has begun. */
  get offset(): number {
    return this.#offset
  }

  /** The memory that is held for the message that has begun. */
  get heldBytes(): number {
    return this.#part.length
  }

  /** Takes a chunk. All messages of the one before must have been taken. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /**
   * @returns the next message, or null if another chunk is needed
   * @throws ProtocolError
   */
  next(): StreamMessage | null {
    if (this.#partBytes > 0) return this.#nextGathered()
    const chunk = this.#chunk
    const at = this.#at
    const rest = chunk.length - at
    if (rest < PRELUDE_BYTES) {
      if (rest > 0) {
        this.#part = new Uint8Array(PRELUDE_BYTES)
        this.#gather(rest)
      }
      return null
    }
    const total = judgePrelude(chunk, at, this.#offset, this.#limits)
    if (total > rest) {
      this.#total = total
      this.#part = new Uint8Array(Math.min(total, Math.max(GROWTH_BYTES, rest)))
      this.#gather(rest)
      return null
    }
    const message = readMessage(chunk, at, this.#offset, this.#limits, this.#detach)
    this.#at = at + total
    this.#offset += total
    return message
  }

  /** Goes on with a message that began in an earlier chunk. */
  #nextGathered(): StreamMessage | null {
    if (this.#total === 0) {
      this.#gather(PRELUDE_BYTES - this.#partBytes)
      if (this.#partBytes < PRELUDE_BYTES) return null
      this.#total = judgePrelude(this.#part, 0, this.#offset, this.#limits)
      this.#grow(Math.min(this.#total, GROWTH_BYTES))
    }
    this.#gather(this.#total - this.#partBytes)
    if (this.#partBytes < this.#total) return null
    const message = readMessage(this.#part, 0, this.#offset, this.#limits, this.#detach)
    this.#offset += this.#total
    this.#part = NOTHING
    this.#partBytes = 0
    this.#total = 0
    return message
  }

  /** Moves at most `most` bytes of the chunk to the message that is gathered. */
  #gather(most: number): void {
    const start = this.#at
    const count = Math.min(most, this.#chunk.length - start)
    const begin = this.#partBytes
    if (begin + count > this.#part.length) {
      this.#grow(Math.min(this.#total, Math.max(begin + count, 2 * this.#part.length)))
    }
    if (count < COPIED_BYTES_MIN) {
      for (let i = 0; i < count; i++) this.#part[begin + i] = this.#chunk[start + i]!
    } else {
      this.#part.set(this.#chunk.subarray(start, start + count), begin)
    }
    this.#partBytes = begin + count
    this.#at = start + count
  }

  #grow(size: number): void {
    const larger = new Uint8Array(size)
    larger.set(this.#part.subarray(0, this.#partBytes))
    this.#part = larger
  }
}
