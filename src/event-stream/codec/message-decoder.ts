/**
 * Which messages are these bytes? Bytes come in chunks that are cut anywhere.
 *
 * - The first 12 bytes of a message are judged as soon as they are there: their checksum, both
 *   lengths and the limits. Nothing is allocated before (V2).
 * - A message that lies in one chunk shares its memory. Another one is gathered in an array of its
 *   own length, or of at most 1.25 MiB or twice what has come, if that is less.
 * - Each byte is copied a bounded number of times, so the cost is linear, whatever the cuts (V3).
 */
import { UsageError } from '../../errors.ts'
import { crc32 } from './crc32.ts'
import { type DecodeLimits, malformed, type ResolvedLimits, resolveLimits } from './frame-rules.ts'
import { partOf, readHeaders, readUint32 } from './header-reader.ts'
import {
  MESSAGE_BYTES_MIN,
  MESSAGE_CHECKSUM_BYTES,
  PRELUDE_BYTES,
  type StreamMessage,
} from './header-values.ts'

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

/** Reads the message at `at`, which is there as a whole and whose prelude was judged. */
function readMessage(
  bytes: Uint8Array,
  at: number,
  offset: number,
  limits: ResolvedLimits,
  detach: boolean,
): StreamMessage {
  const end = at + readUint32(bytes, at) - MESSAGE_CHECKSUM_BYTES
  if (crc32(bytes, at + 8, end, readUint32(bytes, at + 8)) !== readUint32(bytes, end)) {
    throw malformed('message checksum', offset + end - at, 'the checksum of the message is wrong')
  }
  const headersEnd = at + PRELUDE_BYTES + readUint32(bytes, at + 4)
  const reader = { bytes, at: at + PRELUDE_BYTES, end: headersEnd, base: offset - at, detach }
  const headers = readHeaders(reader, limits.maxHeaders)
  return { headers, payload: partOf(bytes, headersEnd, end, detach) }
}

/**
 * Up to so many bytes are allocated for a message of which only the length is known: 1.25 MiB, so
 * that a payload of 1 MiB with its headers is gathered without growing.
 */
const GROWTH_BYTES = 1_310_720
/** Chunks of so many bytes are copied byte by byte, which is faster than a call of the runtime. */
const SHORT_BYTES_MAX = 16
const NO_CHUNK = /* @__PURE__ */ new Uint8Array(0)

/** Makes messages of chunks. After an error it must not be used. */
export class MessageDecoder {
  readonly #limits: ResolvedLimits
  readonly #detach: boolean
  /** Gathers the first bytes of a message that begins at the end of a chunk. */
  readonly #prelude = new Uint8Array(PRELUDE_BYTES)
  #chunk: Uint8Array = NO_CHUNK
  /** Where the next byte stands in the chunk. */
  #at = 0
  /** The message of which a part has come, if it did not come with the chunk. */
  #part: Uint8Array = NO_CHUNK
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

  /**
   * Takes a chunk. All messages of the one before must have been taken.
   * @returns whether that ends nothing, so that `next` has nothing to do
   */
  push(chunk: Uint8Array): boolean {
    const part = this.#part
    const begin = this.#partBytes
    const end = begin + chunk.length
    const isWithin = begin > 0 && end <= part.length && end < (this.#total || PRELUDE_BYTES)
    if (isWithin && chunk.length <= SHORT_BYTES_MAX) {
      for (let i = 0; i < chunk.length; i++) part[begin + i] = chunk[i]!
      this.#partBytes = end
      return true
    }
    this.#chunk = chunk
    this.#at = 0
    return false
  }

  /**
   * @returns the next message, or null if another chunk is needed
   * @throws ProtocolError
   */
  next(): StreamMessage | null {
    const chunk = this.#chunk
    const at = this.#at
    const rest = chunk.length - at
    if (rest === 0) return null
    if (this.#partBytes > 0) return this.#nextGathered()
    if (rest < PRELUDE_BYTES) {
      this.#part = this.#prelude
      this.#gather(rest)
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
    this.#part = NO_CHUNK
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
    this.#part.set(this.#chunk.subarray(start, start + count), begin)
    this.#partBytes = begin + count
    this.#at = start + count
  }

  #grow(size: number): void {
    const larger = new Uint8Array(size)
    larger.set(this.#part.subarray(0, this.#partBytes))
    this.#part = larger
  }
}
