/**
 * Requests as bytes and back. Bytes stay bytes: a payload is never made into text.
 */
import { createHash } from 'node:crypto'
import type { SentRequest } from '../packets.ts'
import { textual } from '../session.ts'

/** A request as it is kept, with what its keeper needs to know without reading it. */
export interface Kept {
  readonly request: SentRequest
  /** Size on the wire. */
  readonly bytes: number
  /** Wall clock, ms; 0: never. */
  readonly expiresAt: number
}

/** Before each request: lengths of head and payload (plus 1; 0: it stands in the head), `bytes`, `expiresAt`. */
const FRAME_BYTES = 4 + 4 + 4 + 8
const CHECK_BYTES = 8
const FIRST_BYTES = 16 << 10

/** Writes one record of many requests. */
export class RecordWriter {
  #buffer = Buffer.allocUnsafe(FIRST_BYTES)
  #at = CHECK_BYTES

  get bytes(): number {
    return this.#at
  }

  add({ request, bytes, expiresAt }: Kept): void {
    const payload = payloadOf(request)
    const head = headOf(request, payload)
    // A character of UTF-16 is at most three bytes of UTF-8.
    this.#reserve(FRAME_BYTES + head.length * 3 + (payload?.length ?? 0))
    const start = this.#at
    const headBytes = this.#buffer.write(head, start + FRAME_BYTES)
    this.#buffer.writeUInt32LE(headBytes, start)
    this.#buffer.writeUInt32LE(payload === null ? 0 : payload.length + 1, start + 4)
    this.#buffer.writeUInt32LE(bytes, start + 8)
    this.#buffer.writeDoubleLE(expiresAt, start + 12)
    this.#at = start + FRAME_BYTES + headBytes
    if (payload === null) return
    this.#buffer.set(payload, this.#at)
    this.#at += payload.length
  }

  /** The record; the writer is empty again. */
  finish(): Buffer {
    const record = Buffer.from(this.#buffer.subarray(0, this.#at))
    record.set(checkOf(record))
    this.#at = CHECK_BYTES
    // One large request does not keep its room for ever.
    if (this.#buffer.length > 1 << 20) this.#buffer = Buffer.allocUnsafe(FIRST_BYTES)
    return record
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    larger.set(this.#buffer.subarray(0, this.#at))
    this.#buffer = larger
  }
}

/** Null: the record is damaged. */
export function readRecord(view: Uint8Array): Kept[] | null {
  const record = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
  if (record.length < CHECK_BYTES || !checkOf(record).equals(record.subarray(0, CHECK_BYTES))) {
    return null
  }
  const found: Kept[] = []
  let at = CHECK_BYTES
  while (at < record.length) {
    const headBytes = record.readUInt32LE(at)
    const payloadBytes = record.readUInt32LE(at + 4)
    const bytes = record.readUInt32LE(at + 8)
    const expiresAt = record.readDoubleLE(at + 12)
    at += FRAME_BYTES
    const request = JSON.parse(record.toString('utf8', at, at + headBytes))
    at += headBytes
    if (payloadBytes > 0) {
      // A copy: one that is kept must not keep the whole record.
      request.payload = Buffer.from(record.subarray(at, at + payloadBytes - 1))
      at += payloadBytes - 1
    }
    found.push({ request, bytes, expiresAt })
  }
  return found
}

function checkOf(record: Buffer): Buffer {
  return createHash('sha256').update(record.subarray(CHECK_BYTES)).digest().subarray(0, CHECK_BYTES)
}

function payloadOf(request: SentRequest): Uint8Array | null {
  if (request.cmd !== 'publish') return null
  const { payload } = request
  return payload instanceof Uint8Array ? payload : null
}

function headOf(request: SentRequest, payload: Uint8Array | null): string {
  if (payload === null) return JSON.stringify(textual(request))
  const { payload: _, ...head } = request as { payload: Uint8Array }
  return JSON.stringify(textual(head as unknown as SentRequest))
}
