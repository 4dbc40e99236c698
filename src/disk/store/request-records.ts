/**
 * Requests as bytes and back. Bytes stay bytes: a payload is never made into text.
 */
import { isBytes } from '../../platform/bytes.ts'
import { textual } from '../../requests/session.ts'
import type { PublishRequest, SentRequest } from '../../requests/vocabulary.ts'
import { CHECK_BYTES, checked, GrowingRecord } from './checked-record.ts'

/** Before each request: what kind, lengths of head and payload, and when it expires. */
const FRAME_BYTES = 1 + 4 + 4 + 8

/** A kind is a set of these. `JSON`: the head is the request, else its topic. */
const IS_JSON = 0x80
const QOS = 0x03
const HAS_QOS = 0x04
const IS_RETAINED = 0x08
const HAS_RETAIN = 0x10
const HAS_PAYLOAD = 0x20
const IS_TEXT = 0x40

/** Writes one record of many requests. */
export class RecordWriter {
  readonly #record = new GrowingRecord()

  get bytes(): number {
    return this.#record.at
  }

  /** `expiresAt`: wall clock in ms; 0: never. */
  add(request: SentRequest, expiresAt: number): void {
    const record = this.#record
    const kind = kindOf(request)
    const { text, payload } = kind === IS_JSON ? jsonOf(request) : plainParts(request as Plain)
    // A character of UTF-16 is at most three bytes of UTF-8.
    const room = typeof payload === 'string' ? payload.length * 3 : (payload?.length ?? 0)
    record.reserve(FRAME_BYTES + text.length * 3 + room)
    const { buffer, at } = record
    const headBytes = buffer.write(text, at + FRAME_BYTES)
    const payloadAt = at + FRAME_BYTES + headBytes
    let payloadBytes = 0
    if (typeof payload === 'string') payloadBytes = buffer.write(payload, payloadAt)
    else if (payload !== undefined) {
      buffer.set(payload, payloadAt)
      payloadBytes = payload.length
    }
    buffer[at] = kind === IS_JSON && payload !== undefined ? IS_JSON | HAS_PAYLOAD : kind
    buffer.writeUInt32LE(headBytes, at + 1)
    buffer.writeUInt32LE(payloadBytes, at + 5)
    buffer.writeDoubleLE(expiresAt, at + 9)
    record.at = payloadAt + payloadBytes
  }

  /** The record; the writer is empty again. */
  finish(): Buffer {
    return this.#record.finish()
  }
}

/** Gives each request of a record in its order. False: the record is damaged, and none was given. */
export function readRecord(
  view: Uint8Array,
  take: (request: SentRequest, expiresAt: number) => void,
): boolean {
  const record = checked(view)
  if (record === null) return false
  const topics = new Topics(record)
  let at = CHECK_BYTES
  while (at < record.length) {
    const kind = record[at]!
    const headAt = at + FRAME_BYTES
    const payloadAt = headAt + record.readUInt32LE(at + 1)
    const end = payloadAt + record.readUInt32LE(at + 5)
    const expiresAt = record.readDoubleLE(at + 9)
    // A copy: one that is kept must not keep the whole record.
    const payload =
      (kind & HAS_PAYLOAD) === 0
        ? undefined
        : (kind & IS_TEXT) !== 0
          ? record.toString('utf8', payloadAt, end)
          : Buffer.from(record.subarray(payloadAt, end))
    if ((kind & IS_JSON) === 0)
      take(plainOf(kind, topics.at(headAt, payloadAt), payload), expiresAt)
    else {
      const request = JSON.parse(record.toString('utf8', headAt, payloadAt))
      if (payload !== undefined) request.payload = payload
      take(request, expiresAt)
    }
    at = end
  }
  return true
}

type Plain = PublishRequest & { readonly payload?: string | Uint8Array }

interface Parts {
  readonly text: string
  readonly payload: string | Uint8Array | undefined
}

/** A publish without anything unusual is kept without JSON. */
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

function plainOf(kind: number, topic: string, payload: string | Buffer | undefined): SentRequest {
  const qos = (kind & HAS_QOS) === 0 ? undefined : kind & QOS
  const retain = (kind & HAS_RETAIN) === 0 ? undefined : (kind & IS_RETAINED) !== 0
  return { cmd: 'publish', topic, payload, qos, retain } as SentRequest
}

/** Bytes stay bytes beside the JSON. */
function jsonOf(request: SentRequest): Parts {
  const { payload, ...rest } = request as { payload?: unknown }
  if (!isBytes(payload)) return { text: JSON.stringify(textual(request)), payload: undefined }
  return { text: JSON.stringify(textual(rest as SentRequest)), payload }
}

function plainParts({ topic, payload }: Plain): Parts {
  return { text: topic, payload }
}

/** Requests of one record have few topics, most of them that of the one before. */
class Topics {
  readonly #record: Buffer
  #start = 0
  #end = 0
  #topic = ''

  constructor(record: Buffer) {
    this.#record = record
  }

  at(start: number, end: number): string {
    const record = this.#record
    if (end - start === this.#end - this.#start && end > start) {
      if (record.compare(record, this.#start, this.#end, start, end) === 0) return this.#topic
    }
    this.#topic = record.toString('utf8', start, end)
    this.#start = start
    this.#end = end
    return this.#topic
  }
}
