/**
 * Writes the fields of what is rare into a buffer that grows: integers, strings, binary data, properties.
 *
 * What is written comes from the caller, so what is wrong is a `UsageError` that names the field, what was given and what is
 * allowed.
 */
import { describe, UsageError } from '../errors.ts'
import {
  allocatePooled,
  type Bytes,
  base64Bytes,
  copyBytes,
  isBytes,
  utf8Bytes,
  utf8Length,
  writeUtf8,
} from '../platform/bytes.ts'
import { stringProblem, topicNameProblem } from '../protocol/topics.ts'
import { IN, PROPERTY_NAMES, type PropertyPlace, type PropertyRule } from './properties.ts'
import { copyOf } from './slabs.ts'

/** The largest Remaining Length, in bytes. */
export const REMAINING_LENGTH_MAX = 268_435_455

export function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4
}

/** The size of a packet on the wire, from its Remaining Length. */
export function packetBytes(remainingLength: number): number {
  return 1 + varintBytes(remainingLength) + remainingLength
}

/** Writes a variable byte integer and returns where it ends. */
export function writeVarint(into: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    into[at++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  into[at++] = value
  return at
}

export function writeUint16(into: Uint8Array, at: number, value: number): number {
  into[at++] = value >>> 8
  into[at++] = value
  return at
}

export function writeUint32(into: Uint8Array, at: number, value: number): number {
  into[at++] = value >>> 24
  into[at++] = value >>> 16
  into[at++] = value >>> 8
  into[at++] = value
  return at
}

export class Writer {
  #bytes = allocatePooled(256)
  #at = 0

  /** What was written, in a buffer of its own size. */
  take(): Bytes {
    const taken = copyOf(this.#bytes, 0, this.#at)
    this.#at = 0
    return taken
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  uint16(value: number): void {
    this.#room(2)
    this.#at = writeUint16(this.#bytes, this.#at, value)
  }

  uint32(value: number): void {
    this.#room(4)
    this.#at = writeUint32(this.#bytes, this.#at, value)
  }

  varint(value: number): void {
    this.#room(4)
    this.#at = writeVarint(this.#bytes, this.#at, value)
  }

  /** A string that was judged, with its length before it. */
  string(value: string): void {
    const length = utf8Length(value)
    this.uint16(length)
    this.#room(length)
    writeUtf8(this.#bytes, value, this.#at, length)
    this.#at += length
  }

  binary(value: Uint8Array): void {
    this.uint16(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    this.#room(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = allocatePooled(Math.max(this.#bytes.length * 2, this.#at + bytes))
    copyBytes(this.#bytes, 0, this.#at, larger, 0)
    this.#bytes = larger
  }
}

const NOT_BASE64 = /[^A-Za-z0-9+/]/

/** The bytes of `{ base64 }`, or null where it is not one. */
export function bytesOfBase64(value: unknown): Bytes | null {
  if (typeof value !== 'object' || value === null) return null
  const text = (value as { readonly base64?: unknown }).base64
  if (typeof text !== 'string' || Object.keys(value).length !== 1) return null
  if (text.length % 4 !== 0) return null
  const end = text.endsWith('==')
    ? text.length - 2
    : text.endsWith('=')
      ? text.length - 1
      : text.length
  return NOT_BASE64.test(text.slice(0, end)) ? null : base64Bytes(text)
}

function wrong(where: string, allowed: string, given: unknown): never {
  throw new UsageError(`${where} must be ${allowed}, not ${describe(given)}`)
}

export function judgedString(value: unknown, where: string): string {
  if (typeof value !== 'string') wrong(where, 'a string', value)
  const problem = stringProblem(value)
  if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(value)}`)
  return value
}

/** Bytes of at most 65,535, given as such, as a string (UTF-8) or as `{ base64 }`. */
export function judgedBinary(value: unknown, where: string): Uint8Array {
  const bytes = isBytes(value)
    ? value
    : typeof value === 'string'
      ? utf8Bytes(value)
      : bytesOfBase64(value)
  if (bytes === null) wrong(where, 'a Uint8Array, a string or { base64 }', value)
  if (bytes.length > 65_535) {
    throw new UsageError(`${where} has ${bytes.length} bytes; at most 65535 fit`)
  }
  return bytes
}

/**
 * The encoded properties, without their length before them; null: there are none.
 * `except` is judged like the others, but left out.
 */
export function encodeProperties(
  properties: unknown,
  place: PropertyPlace,
  where: string,
  except = '',
): Bytes | null {
  if (properties === undefined) return null
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
    wrong(where, 'an object', properties)
  }
  const writer = new Writer()
  for (const name of Object.keys(properties)) {
    const value = (properties as { readonly [name: string]: unknown })[name]
    if (value === undefined) continue
    const rule = PROPERTY_NAMES.get(name)
    if (rule === undefined || (rule.places & IN[place]) === 0) {
      const allowed = [...PROPERTY_NAMES.values()]
        .filter((known) => (known.places & IN[place]) !== 0 && !isOurs(known.name, place))
        .map((known) => known.name)
      throw new UsageError(`${where} has no ${describe(name)}; allowed: ${allowed.join(', ')}`)
    }
    if (isOurs(name, place)) {
      throw new UsageError(
        `${where}.${name} is not for requests to set [MQTT-3.3.4-6]: leave it out`,
      )
    }
    writeProperty(name === except ? new Writer() : writer, rule, value, `${where}.${name}`)
  }
  const bytes = writer.take()
  return bytes.length === 0 ? null : bytes
}

/** Aliases are the engine's to assign; a Subscription Identifier in a PUBLISH is the server's [MQTT-3.3.4-6]. */
function isOurs(name: string, place: PropertyPlace): boolean {
  return place === 'publish' && (name === 'topicAlias' || name === 'subscriptionIdentifier')
}

function writeProperty(writer: Writer, rule: PropertyRule, value: unknown, where: string): void {
  const { id, type } = rule
  switch (type) {
    case 'flag':
      if (typeof value !== 'boolean') wrong(where, 'true or false', value)
      writer.byte(id)
      writer.byte(value ? 1 : 0)
      return
    case 'string':
    case 'topic': {
      const text = judgedString(value, where)
      const problem = type === 'topic' ? topicNameProblem(text) : null
      if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(text)}`)
      writer.byte(id)
      writer.string(text)
      return
    }
    case 'binary': {
      const bytes = judgedBinary(value, where)
      writer.byte(id)
      writer.binary(bytes)
      return
    }
    case 'pair':
      writeUserProperties(writer, id, value, where)
      return
    default: {
      const fits = Number.isInteger(value) && (value as number) >= rule.min
      if (!fits || (value as number) > rule.max) {
        wrong(where, `a whole number from ${rule.min} to ${rule.max}`, value)
      }
      const number = value as number
      writer.byte(id)
      if (type === 'uint16') writer.uint16(number)
      else if (type === 'uint32') writer.uint32(number)
      else if (type === 'varint') writer.varint(number)
      else writer.byte(number)
    }
  }
}

function writeUserProperties(writer: Writer, id: number, value: unknown, where: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    wrong(where, 'an object of strings, or of arrays of strings', value)
  }
  for (const name of Object.keys(value)) {
    const given = (value as { readonly [name: string]: unknown })[name]
    if (given === undefined) continue
    const field = `${where}[${describe(name)}]`
    judgedString(name, `the name ${field}`)
    for (const one of Array.isArray(given) ? given : [given]) {
      const text = judgedString(one, field)
      writer.byte(id)
      writer.string(name)
      writer.string(text)
    }
  }
}
