/**
 * Which bytes is a message? It is measured and checked first, and then written into one array of
 * that size. What cannot be written is a mistake of the caller.
 */
import { describe, UsageError } from '../../errors.ts'
import { crc32 } from './crc32.ts'
import { readUint32 } from './header-reader.ts'
import {
  HEADER_VALUE_BYTES_MAX,
  HEADERS_BYTES_MAX,
  type HeaderInput,
  type HeadersInput,
  type HeaderValue,
  MESSAGE_BYTES_MIN,
  MESSAGE_CHECKSUM_BYTES,
  type MessageInput,
  NAME_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  PRELUDE_BYTES,
  TYPE_CODES,
} from './header-values.ts'
import { bytesOfText, putUtf8 } from './utf8.ts'

const NO_PAYLOAD = /* @__PURE__ */ new Uint8Array(0)
const NO_HEADERS: HeadersInput = /* @__PURE__ */ new Map()

/**
 * Encodes a message into one new array.
 * @throws UsageError if a header or the payload cannot be written; the message names it.
 */
export function encodeStreamMessage(message: MessageInput): Uint8Array {
  const { headers, payload, headersBytes } = measuredMessage(message)
  const out = new Uint8Array(MESSAGE_BYTES_MIN + headersBytes + payload.length)
  const payloadAt = writeHead(out, headers, headersBytes, payload)
  out.set(payload, payloadAt)
  const end = out.length - MESSAGE_CHECKSUM_BYTES
  // The checksum of the prelude is itself covered by that of the message.
  putUint32(out, end, crc32(out, 8, end, readUint32(out, 8)))
  return out
}

/**
 * Encodes a message without copying its payload.
 * @returns what comes before the payload, the payload itself, and the checksum
 * @throws UsageError as `encodeMessage`.
 */
export function encodeMessageParts(message: MessageInput): [Uint8Array, Uint8Array, Uint8Array] {
  const { headers, payload, headersBytes } = measuredMessage(message)
  const head = new Uint8Array(PRELUDE_BYTES + headersBytes)
  writeHead(head, headers, headersBytes, payload)
  const tail = new Uint8Array(MESSAGE_CHECKSUM_BYTES)
  const before = crc32(head, 8, head.length, readUint32(head, 8))
  putUint32(tail, 0, crc32(payload, 0, payload.length, before))
  return [head, payload, tail]
}

/** @returns the bytes of headers alone, as they stand in a message. */
export function encodeHeaders(headers: HeadersInput): Uint8Array {
  const list = listed(headers)
  const out = new Uint8Array(measuredHeaders(list))
  writeHeaders(out, 0, list)
  return out
}

/** The names of headers and, at the same places, their values. Pairs cost more. */
interface HeaderLists {
  readonly names: readonly string[]
  readonly values: readonly HeaderInput[]
}

/** @returns the headers as lists. The own properties of an object count, whatever their names. */
function listed(headers: HeadersInput): HeaderLists {
  const values: HeaderInput[] = []
  if (headers instanceof Map) {
    const names: string[] = []
    headers.forEach((value: HeaderInput, name: string) => {
      names.push(name)
      values.push(value)
    })
    return { names, values }
  }
  if (typeof headers !== 'object' || headers === null) {
    throw new UsageError(`headers must be a Map or an object, not ${typeNameOf(headers)}`)
  }
  const names = Object.keys(headers)
  for (const name of names) values.push((headers as Record<string, HeaderInput>)[name]!)
  return { names, values }
}

/**
 * Measures and checks a message, which says whether it can be written.
 * @throws UsageError if it cannot
 */
export function measuredMessage(message: MessageInput) {
  if (typeof message !== 'object' || message === null) {
    throw new UsageError(`a message must be an object, not ${typeNameOf(message)}`)
  }
  const payload = message.payload ?? NO_PAYLOAD
  if (!(payload instanceof Uint8Array)) {
    throw new UsageError(`a payload must be a Uint8Array, not ${typeNameOf(payload)}`)
  }
  if (payload.length > PAYLOAD_BYTES_MAX) {
    throw new UsageError(
      `a payload has ${payload.length} bytes, and at most ${PAYLOAD_BYTES_MAX} are allowed`,
    )
  }
  const headers = listed(message.headers ?? NO_HEADERS)
  const headersBytes = measuredHeaders(headers)
  return { headers, payload, headersBytes }
}

function measuredHeaders(headers: HeaderLists): number {
  let bytes = 0
  const { names, values } = headers
  for (let i = 0; i < names.length; i++) {
    const name: unknown = names[i]
    const nameBytes = typeof name === 'string' ? bytesOfText(name) : -1
    if (nameBytes < 1 || nameBytes > NAME_BYTES_MAX) {
      throw new UsageError(
        `the name of a header must have 1 to ${NAME_BYTES_MAX} bytes of UTF-8: ${describe(name)}`,
      )
    }
    const valueBytes = measuredValue(name as string, values[i]!)
    // The length of the name, and the type.
    bytes += 2 + nameBytes + valueBytes
  }
  if (bytes > HEADERS_BYTES_MAX) {
    throw new UsageError(
      `the headers have ${bytes} bytes, and at most ${HEADERS_BYTES_MAX} are allowed`,
    )
  }
  return bytes
}

/** Takes a value that says its type by itself, or one that names it. */
function typeOfInput(given: HeaderInput): HeaderValue['type'] | undefined {
  if (typeof given === 'string') return 'string'
  if (typeof given === 'boolean') return 'bool'
  if (typeof given !== 'object' || given === null) return undefined
  if (given instanceof Uint8Array) return 'bytes'
  return given instanceof Date ? 'timestamp' : given.type
}

function valueOfInput(given: HeaderInput): HeaderValue['value'] {
  if (typeof given !== 'object' || given instanceof Uint8Array || given instanceof Date) {
    return given
  }
  return given.value
}

/** The numbers that each type of a whole number holds, without the sign, and its bytes. */
const INTEGERS = { byte: [0x80, 1], short: [0x8000, 2], int: [0x80000000, 4] } as const

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i

/** @returns how many bytes the value has, with its length if it has one. */
function measuredValue(name: string, given: HeaderInput): number {
  const type = typeOfInput(given)
  const value = type === undefined ? given : valueOfInput(given)
  switch (type) {
    case 'bool':
      if (typeof value === 'boolean') return 0
      break
    case 'byte':
    case 'short':
    case 'int': {
      const [bound, bytes] = INTEGERS[type]
      if (Number.isInteger(value) && (value as number) >= -bound && (value as number) < bound) {
        return bytes
      }
      break
    }
    case 'long':
      if (isInt64(value)) return 8
      break
    case 'bytes':
      if (value instanceof Uint8Array && value.length <= HEADER_VALUE_BYTES_MAX)
        return 2 + value.length
      break
    case 'string': {
      const bytes = typeof value === 'string' ? bytesOfText(value) : -1
      if (bytes >= 0 && bytes <= HEADER_VALUE_BYTES_MAX) return 2 + bytes
      break
    }
    case 'timestamp':
      if (isInt64(value) || (value instanceof Date && !Number.isNaN(value.getTime()))) return 8
      break
    case 'uuid':
      if (typeof value === 'string' && UUID.test(value)) return 16
      break
    default:
  }
  throw wrongValue(name, type, value)
}

/** What each type takes, for the message of an error. */
const TAKEN: Readonly<Record<HeaderValue['type'], string>> = {
  bool: 'a boolean',
  byte: 'a whole number from -128 to 127',
  short: 'a whole number from -32768 to 32767',
  int: 'a whole number from -2147483648 to 2147483647',
  long: 'a bigint of 64 bits',
  bytes: 'a Uint8Array of at most 32767 bytes',
  string: 'text of at most 32767 bytes of UTF-8, without half a surrogate pair',
  timestamp: 'a valid Date, or a bigint of 64 bits',
  uuid: 'a UUID',
}

function wrongValue(name: string, type: string | undefined, value: unknown): UsageError {
  const shown = describe(name)
  if (type === undefined || !Object.hasOwn(TAKEN, type)) {
    return new UsageError(
      `the header ${shown} must be a boolean, text, bytes, a Date, or made by header.byte, short,` +
        ` int, long or uuid, not ${typeNameOf(value)}`,
    )
  }
  const taken = TAKEN[type as HeaderValue['type']]
  return new UsageError(
    `the header ${shown} has type ${type}, which takes ${taken}, not ${typeNameOf(value)}`,
  )
}

/** @returns what a value is, without the value, which may be a secret. */
export function typeNameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

function isInt64(value: unknown): value is bigint {
  return typeof value === 'bigint' && BigInt.asIntN(64, value) === value
}

/** @returns where the payload begins */
function writeHead(
  out: Uint8Array,
  headers: HeaderLists,
  headersBytes: number,
  payload: Uint8Array,
): number {
  putUint32(out, 0, MESSAGE_BYTES_MIN + headersBytes + payload.length)
  putUint32(out, 4, headersBytes)
  putUint32(out, 8, crc32(out, 0, 8))
  return writeHeaders(out, PRELUDE_BYTES, headers)
}

function writeHeaders(out: Uint8Array, start: number, headers: HeaderLists): number {
  let at = start
  const { names, values } = headers
  for (let i = 0; i < names.length; i++) {
    const given = values[i]!
    const end = putUtf8(out, at + 1, names[i]!)
    out[at] = end - at - 1
    at = writeValue(out, end, typeOfInput(given)!, valueOfInput(given))
  }
  return at
}

/** Writes a value that was measured. */
function writeValue(
  out: Uint8Array,
  at: number,
  type: HeaderValue['type'],
  value: HeaderValue['value'],
): number {
  out[at++] = TYPE_CODES[type] + (value === false ? 1 : 0)
  switch (type) {
    case 'bool':
      return at
    case 'byte':
      out[at] = value as number
      return at + 1
    case 'short':
      return putUint16(out, at, value as number)
    case 'int':
      return putUint32(out, at, value as number)
    case 'long':
      return putInt64(out, at, value as bigint)
    case 'bytes': {
      const begins = putUint16(out, at, (value as Uint8Array).length)
      out.set(value as Uint8Array, begins)
      return begins + (value as Uint8Array).length
    }
    case 'string': {
      const end = putUtf8(out, at + 2, value as string)
      putUint16(out, at, end - at - 2)
      return end
    }
    case 'timestamp': {
      if (typeof value === 'bigint') return putInt64(out, at, value)
      const ms = (value as Date).getTime()
      return putUint32(out, putUint32(out, at, Math.floor(ms / 2 ** 32)), ms)
    }
    case 'uuid': {
      const digits = (value as string).replaceAll('-', '')
      for (let i = 0; i < 16; i++) out[at + i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16)
      return at + 16
    }
  }
}

function putUint16(out: Uint8Array, at: number, value: number): number {
  out[at] = value >> 8
  out[at + 1] = value
  return at + 2
}

/** Writes the last 32 bits of a whole number, with or without a sign. */
function putUint32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
  return at + 4
}

function putInt64(out: Uint8Array, at: number, value: bigint): number {
  return putUint32(out, putUint32(out, at, Number(value >> 32n)), Number(value & 0xffffffffn))
}
