/**
 * Requests as bytes and back. Bytes stay bytes: a payload is never made into text.
 */
import { isBytes } from '../codec/writer.ts'
import type { SentRequest } from '../packets.ts'
import { textual } from '../session.ts'
import { CHECK_BYTES, checked, GrowingRecord } from './growing.ts'

/** Before each request: lengths of head and payload (plus 1; 0: it stands in the head), and when it expires. */
const FRAME_BYTES = 4 + 4 + 8

/** Writes one record of many requests. */
export class RecordWriter {
  readonly #record = new GrowingRecord()

  get bytes(): number {
    return this.#record.at
  }

  /** `expiresAt`: wall clock in ms; 0: never. */
  add(request: SentRequest, expiresAt: number): void {
    const record = this.#record
    const payload = payloadOf(request)
    const head = headOf(request, payload)
    // A character of UTF-16 is at most three bytes of UTF-8.
    record.reserve(FRAME_BYTES + head.length * 3 + (payload?.length ?? 0))
    const { buffer, at } = record
    const headBytes = buffer.write(head, at + FRAME_BYTES)
    buffer.writeUInt32LE(headBytes, at)
    buffer.writeUInt32LE(payload === null ? 0 : payload.length + 1, at + 4)
    buffer.writeDoubleLE(expiresAt, at + 8)
    record.at = at + FRAME_BYTES + headBytes
    if (payload === null) return
    buffer.set(payload, record.at)
    record.at += payload.length
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
  let at = CHECK_BYTES
  while (at < record.length) {
    const headBytes = record.readUInt32LE(at)
    const payloadBytes = record.readUInt32LE(at + 4)
    const expiresAt = record.readDoubleLE(at + 8)
    at += FRAME_BYTES
    const request = JSON.parse(record.toString('utf8', at, at + headBytes))
    at += headBytes
    if (payloadBytes > 0) {
      // A copy: one that is kept must not keep the whole record.
      request.payload = Buffer.from(record.subarray(at, at + payloadBytes - 1))
      at += payloadBytes - 1
    }
    take(request, expiresAt)
  }
  return true
}

function payloadOf(request: SentRequest): Uint8Array | null {
  if (request.cmd !== 'publish') return null
  const { payload } = request
  return isBytes(payload) ? payload : null
}

function headOf(request: SentRequest, payload: Uint8Array | null): string {
  if (request.cmd !== 'publish' || request.properties !== undefined || payload === null) {
    const { payload: _, ...head } = request as { payload?: unknown }
    return JSON.stringify(textual((payload === null ? request : head) as SentRequest))
  }
  const { cmd, topic, qos, retain, key } = request
  return JSON.stringify({ cmd, topic, qos, retain, key })
}
