/**
 * Which headers are these bytes? Nothing is read beyond the end of the headers, whatever the
 * lengths say.
 */
import { malformed } from './frame-rules.ts'
import { HEADER_VALUE_BYTES_MAX, type HeaderValue } from './header-values.ts'
import { utf8In } from './utf8.ts'

/** Reads headers, and nothing behind their end. */
interface HeaderReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number
  /** What is added to a position to make it one of the stream. */
  readonly base: number
  readonly detach: boolean
}

/**
 * @throws ProtocolError for headers that break a rule
 */
export function readHeaders(reader: HeaderReader, maxHeaders: number): Map<string, HeaderValue> {
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
    const name = utf8In(bytes, start + 1, typeAt)
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
function takeBytes(reader: HeaderReader, length: number): number {
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
      return { type: 'byte', value: (bytes[takeBytes(reader, 1)]! << 24) >> 24 }
    case 3: {
      const at = takeBytes(reader, 2)
      return { type: 'short', value: ((bytes[at]! << 24) >> 16) | bytes[at + 1]! }
    }
    case 4:
      return { type: 'int', value: readUint32(bytes, takeBytes(reader, 4)) | 0 }
    case 5:
      return { type: 'long', value: readInt64(bytes, takeBytes(reader, 8)) }
    case 6: {
      const at = takeRun(reader)
      return { type: 'bytes', value: partOf(bytes, at, reader.at, reader.detach) }
    }
    case 7: {
      const at = takeRun(reader)
      const value = utf8In(bytes, at, reader.at)
      if (value !== null) return { type: 'string', value }
      throw malformed('header value', reader.base + at, 'the text of a header is not UTF-8')
    }
    case 8:
      return { type: 'timestamp', value: readInstant(bytes, takeBytes(reader, 8)) }
    case 9:
      return { type: 'uuid', value: readUuid(bytes, takeBytes(reader, 16)) }
    default: {
      const problem = `a header has type ${type}, and types are 0 to 9`
      throw malformed('header type', reader.base + reader.at - 1, problem)
    }
  }
}

/** Takes a length of two bytes and as many bytes behind it. */
function takeRun(reader: HeaderReader): number {
  const at = takeBytes(reader, 2)
  const length = (reader.bytes[at]! << 8) | reader.bytes[at + 1]!
  if (length > HEADER_VALUE_BYTES_MAX) {
    const most = HEADER_VALUE_BYTES_MAX
    const problem = `the value of a header has ${length} bytes, and ${most} are allowed`
    throw malformed('header value', reader.base + at, problem)
  }
  return takeBytes(reader, length)
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

/** @returns the unsigned number in four bytes */
export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  )
}

/** As for packets (R5, a yielded packet keeps little memory alive). */
const FOREIGN_BYTES_MAX = 8192

/** A part of the chunk as bytes, whatever class the chunk has. */
export function partOf(bytes: Uint8Array, start: number, end: number, detach: boolean): Uint8Array {
  const { buffer, byteOffset } = bytes
  const length = end - start
  const part = new Uint8Array(buffer, byteOffset + start, length)
  return detach && buffer.byteLength - length > FOREIGN_BYTES_MAX ? part.slice() : part
}
