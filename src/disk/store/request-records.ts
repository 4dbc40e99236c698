/**
 * How do requests become bytes, and bytes requests again? Many requests share one record.
 *
 * A payload that is given as bytes is stored as bytes and never converted to text.
 */

import { type Bytes, utf8Text } from '#bytes'
import { copyOf } from '../../codec/slabs.ts'
import { isBytes } from '../../platform/is-bytes.ts'
import { textual } from '../../requests/session-text.ts'
import type { PublishRequest, SentRequest } from '../../requests/vocabulary.ts'
import { bytesAtMost, CHECKSUM_BYTES, CheckedRecord, dataViewOf, intact } from './checked-record.ts'

/**
 * Each request is preceded by its kind, the lengths of its head and payload, and the time at which
 * it expires.
 */
const FRAME_BYTES = 1 + 4 + 4 + 8

// A kind is a set of these bits.

/** The head is the request as JSON; without this bit the head is the topic of a PUBLISH. */
const IS_JSON = 0x80
const QOS = 0x03
const HAS_QOS = 0x04
const IS_RETAINED = 0x08
const HAS_RETAIN = 0x10
const HAS_PAYLOAD = 0x20
/** The payload was given as text. */
const IS_TEXT = 0x40

/** Writes records of many requests each. */
export class RecordWriter {
  readonly #record = new CheckedRecord()

  /** The size of the record so far. */
  get bytes(): number {
    return this.#record.at
  }

  /**
   * @param expiresAt Milliseconds of the wall clock, or 0 if the request never expires.
   * @throws what `JSON.stringify` throws.
   */
  add(request: SentRequest, expiresAt: number): void {
    const record = this.#record
    const kind = kindOf(request)
    const { head, payload } = kind === IS_JSON ? jsonParts(request) : plainParts(request as Plain)
    const payloadRoom = payload === undefined ? 0 : bytesAtMost(payload)
    record.reserve(FRAME_BYTES + bytesAtMost(head) + payloadRoom)
    const { buffer, numbers, at } = record
    const headBytes = record.write(head, at + FRAME_BYTES)
    const payloadAt = at + FRAME_BYTES + headBytes
    const payloadBytes = payload === undefined ? 0 : record.write(payload, payloadAt)
    buffer[at] = kind === IS_JSON && payload !== undefined ? IS_JSON | HAS_PAYLOAD : kind
    numbers.setUint32(at + 1, headBytes, true)
    numbers.setUint32(at + 5, payloadBytes, true)
    numbers.setFloat64(at + 9, expiresAt, true)
    record.at = payloadAt + payloadBytes
  }

  /** @returns the record. The writer is empty again. */
  finish(): Bytes {
    return this.#record.seal()
  }
}

/**
 * Calls `take` with each request of a record, in order.
 * @returns false if the record is damaged; then `take` is not called.
 */
export function readRecord(
  view: Uint8Array,
  take: (request: SentRequest, expiresAt: number) => void,
): boolean {
  const record = intact(view)
  if (record === null) return false
  const numbers = dataViewOf(record)
  const topics = new Topics(record)
  let at = CHECKSUM_BYTES
  while (at < record.length) {
    const kind = record[at]!
    const headAt = at + FRAME_BYTES
    const payloadAt = headAt + numbers.getUint32(at + 1, true)
    const end = payloadAt + numbers.getUint32(at + 5, true)
    const expiresAt = numbers.getFloat64(at + 9, true)
    const payload = payloadOf(kind, record, payloadAt, end)
    if ((kind & IS_JSON) === 0) {
      take(plainRequest(kind, topics.at(headAt, payloadAt), payload), expiresAt)
    } else {
      const request = JSON.parse(utf8Text(record, headAt, payloadAt))
      if (payload !== undefined) request.payload = payload
      take(request, expiresAt)
    }
    at = end
  }
  return true
}

/**
 * Bytes are copied, because a payload that is kept must not keep the whole record (R5, a yielded
 * packet keeps little memory alive).
 */
function payloadOf(
  kind: number,
  record: Bytes,
  start: number,
  end: number,
): string | Bytes | undefined {
  if ((kind & HAS_PAYLOAD) === 0) return undefined
  return (kind & IS_TEXT) === 0 ? copyOf(record, start, end) : utf8Text(record, start, end)
}

type Plain = PublishRequest & { readonly payload?: string | Uint8Array }

interface RecordParts {
  readonly head: string
  readonly payload: string | Uint8Array | undefined
}

/** A PUBLISH without properties and key is stored without JSON. */
function kindOf(request: SentRequest): number {
  if (request.cmd !== 'publish') return IS_JSON
  const { payload, qos, retain, properties, key } = request
  const isText = typeof payload === 'string'
  if (properties !== undefined || key !== undefined) return IS_JSON
  if (payload !== undefined && !isText && !isBytes(payload)) return IS_JSON
  let kind = 0
  if (qos !== undefined) kind |= HAS_QOS | qos
  if (retain !== undefined) kind |= retain ? HAS_RETAIN | IS_RETAINED : HAS_RETAIN
  if (payload !== undefined) kind |= isText ? HAS_PAYLOAD | IS_TEXT : HAS_PAYLOAD
  return kind
}

function plainRequest(
  kind: number,
  topic: string,
  payload: string | Bytes | undefined,
): SentRequest {
  const qos = (kind & HAS_QOS) === 0 ? undefined : kind & QOS
  const retain = (kind & HAS_RETAIN) === 0 ? undefined : (kind & IS_RETAINED) !== 0
  return { cmd: 'publish', topic, payload, qos, retain } as SentRequest
}

/** A payload that is given as bytes follows the JSON unchanged. */
function jsonParts(request: SentRequest): RecordParts {
  const { payload, ...rest } = request as { payload?: unknown }
  if (!isBytes(payload)) return { head: JSON.stringify(textual(request)), payload: undefined }
  return { head: JSON.stringify(textual(rest as SentRequest)), payload }
}

function plainParts({ topic, payload }: Plain): RecordParts {
  return { head: topic, payload }
}

/** Decodes topics. Most requests of a record have the topic of the request before. */
class Topics {
  readonly #record: Bytes
  #start = 0
  #end = 0
  #topic = ''

  constructor(record: Bytes) {
    this.#record = record
  }

  at(start: number, end: number): string {
    if (end > start && this.#isSame(start, end)) return this.#topic
    this.#topic = utf8Text(this.#record, start, end)
    this.#start = start
    this.#end = end
    return this.#topic
  }

  #isSame(start: number, end: number): boolean {
    if (end - start !== this.#end - this.#start) return false
    const record = this.#record
    const behind = start - this.#start
    for (let at = start; at < end; at++) if (record[at] !== record[at - behind]) return false
    return true
  }
}
