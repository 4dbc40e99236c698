/**
 * How are the fields of a packet written: integers, strings, binary data, properties?
 *
 * The writer is used for rare packets; its buffer grows. The values come from the user, so a wrong
 * value is a `UsageError` that names the field, the value and the values that are allowed.
 */

import {
  allocatePooled,
  type Bytes,
  base64Bytes,
  byteLength,
  copyBytes,
  isBytes,
  utf8Bytes,
  writeUtf8,
} from '#bytes'
import { describe, UsageError } from '../errors.ts'
import { hasWildcard, stringProblem, topicNameProblem } from '../protocol/topics.ts'
import { IN, PROPERTY_NAMES, type PropertyPlace, type PropertyRule } from './properties.ts'
import { copyOf } from './slabs.ts'

/**
 * Writes a Variable Byte Integer.
 * @returns the offset behind it.
 */
export function writeVarint(into: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    into[at++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  into[at++] = value
  return at
}

/**
 * Writes two bytes, the high one first.
 * @returns the offset behind them.
 */
export function writeUint16(into: Uint8Array, at: number, value: number): number {
  into[at++] = value >>> 8
  into[at++] = value
  return at
}

/**
 * Writes four bytes, the highest first.
 * @returns the offset behind them.
 */
export function writeUint32(into: Uint8Array, at: number, value: number): number {
  into[at++] = value >>> 24
  into[at++] = value >>> 16
  into[at++] = value >>> 8
  into[at++] = value
  return at
}

/** Longer texts are checked, measured and written one after the other. In UTF-16 units. */
const SHORT_MAX = 128

export class Writer {
  #bytes = allocatePooled(256)
  #at = 0

  /** How many bytes were written. */
  get length(): number {
    return this.#at
  }

  /** Forgets what was written behind this length. */
  shorten(length: number): void {
    this.#at = length
  }

  /** @returns a copy of what was written. The writer is empty afterwards. */
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

  /**
   * Writes a short text of ASCII with its length before it, which is checked as it is written.
   * @returns whether it was one; else nothing is written.
   */
  ascii(value: unknown): boolean {
    if (typeof value !== 'string') return false
    const { length } = value
    if (length > SHORT_MAX) return false
    this.#room(2 + length)
    const bytes = this.#bytes
    let at = writeUint16(bytes, this.#at, length)
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i)
      if (unit === 0 || unit > 0x7f) return false
      bytes[at++] = unit
    }
    this.#at = at
    return true
  }

  /** Writes a string that was checked, with its length before it. */
  string(value: string): void {
    const length = byteLength(value)
    this.uint16(length)
    this.#room(length)
    writeUtf8(this.#bytes, value, this.#at, length)
    this.#at += length
  }

  /** Writes at most 65,535 bytes, with their length before them. */
  binary(value: Uint8Array): void {
    this.uint16(value.length)
    this.raw(value)
  }

  /** Writes bytes without a length. */
  raw(value: Uint8Array): void {
    this.#room(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /** Makes room for `bytes` more. */
  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = allocatePooled(Math.max(this.#bytes.length * 2, this.#at + bytes))
    copyBytes(this.#bytes, 0, this.#at, larger, 0)
    this.#bytes = larger
  }
}

const NOT_BASE64 = /[^A-Za-z0-9+/]/

/** @returns the bytes of `{ base64 }`, or null if it is not one. */
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

function refuseValue(where: string, allowed: string, given: unknown): never {
  throw new UsageError(`${where} must be ${allowed}, not ${describe(given)}`)
}

/** @returns the value if it is a string that MQTT allows. */
export function checkedString(value: unknown, where: string): string {
  if (typeof value !== 'string') refuseValue(where, 'a string', value)
  const problem = stringProblem(value)
  if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(value)}`)
  return value
}

function checkedTopic(value: unknown, where: string): string {
  const text = checkedString(value, where)
  const problem = topicNameProblem(text)
  if (problem !== null) throw new UsageError(`${where} ${problem}: ${describe(text)}`)
  return text
}

/**
 * @returns at most 65,535 bytes, which are given as such, as a string (UTF-8) or as `{ base64 }`.
 */
export function checkedBinary(value: unknown, where: string): Uint8Array {
  const bytes = isBytes(value)
    ? value
    : typeof value === 'string'
      ? utf8Bytes(value)
      : bytesOfBase64(value)
  if (bytes === null) refuseValue(where, 'a Uint8Array, a string or { base64 }', value)
  if (bytes.length > 65_535) {
    throw new UsageError(`${where} has ${bytes.length} bytes; at most 65535 fit`)
  }
  return bytes
}

/** The writer of all properties; null while it is used, and after an error. */
let idle: Writer | null = null

/**
 * @returns the encoded properties without their length before them, or null if there are none.
 * @param where the name of the field in error messages.
 * @param except the name of a property that is checked like the others but left out.
 */
export function encodeProperties(
  properties: unknown,
  place: PropertyPlace,
  where: string,
  except = '',
): Bytes | null {
  if (properties === undefined) return null
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
    refuseValue(where, 'an object', properties)
  }
  const writer = idle ?? new Writer()
  idle = null
  for (const name of Object.keys(properties)) {
    const value = (properties as { readonly [name: string]: unknown })[name]
    if (value === undefined) continue
    const rule = PROPERTY_NAMES.get(name)
    if (rule === undefined || (rule.places & IN[place]) === 0) {
      const allowed = [...PROPERTY_NAMES.values()]
        .filter((known) => (known.places & IN[place]) !== 0 && !isReserved(known.name, place))
        .map((known) => known.name)
      throw new UsageError(`${where} has no ${describe(name)}; allowed: ${allowed.join(', ')}`)
    }
    if (isReserved(name, place)) {
      throw new UsageError(
        `${where}.${name} is not for requests to set [MQTT-3.3.4-6]: leave it out`,
      )
    }
    const { length } = writer
    writeProperty(writer, rule, value, where)
    if (name === except) writer.shorten(length)
  }
  const bytes = writer.take()
  idle = writer
  return bytes.length === 0 ? null : bytes
}

/**
 * Whether a request may not set a property: the engine assigns Topic Aliases, and only a server
 * puts a Subscription Identifier into a PUBLISH. [MQTT-3.3.4-6]
 */
function isReserved(name: string, place: PropertyPlace): boolean {
  return place === 'publish' && (name === 'topicAlias' || name === 'subscriptionIdentifier')
}

/** @param place names the properties in error messages, which nothing but an error needs. */
function writeProperty(writer: Writer, rule: PropertyRule, value: unknown, place: string): void {
  const { id, type } = rule
  switch (type) {
    case 'flag':
      if (typeof value !== 'boolean') refuseProperty(place, rule, 'true or false', value)
      writer.byte(id)
      writer.byte(value ? 1 : 0)
      return
    case 'string':
      writer.byte(id)
      if (!writer.ascii(value)) writer.string(checkedString(value, `${place}.${rule.name}`))
      return
    case 'topic':
      writer.byte(id)
      if (value === '' || hasWildcard(String(value)) || !writer.ascii(value)) {
        writer.string(checkedTopic(value, `${place}.${rule.name}`))
      }
      return
    case 'binary': {
      const bytes = isBytes(value) && value.length <= 65_535 ? value : null
      writer.byte(id)
      writer.binary(bytes ?? checkedBinary(value, `${place}.${rule.name}`))
      return
    }
    case 'pair':
      writeUserProperties(writer, id, value, `${place}.${rule.name}`)
      return
    default: {
      const fits = Number.isInteger(value) && (value as number) >= rule.min
      if (!fits || (value as number) > rule.max) {
        refuseProperty(place, rule, `a whole number from ${rule.min} to ${rule.max}`, value)
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

function refuseProperty(
  place: string,
  { name }: PropertyRule,
  allowed: string,
  given: unknown,
): never {
  refuseValue(`${place}.${name}`, allowed, given)
}

function writeUserProperties(writer: Writer, id: number, value: unknown, where: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuseValue(where, 'an object of strings, or of arrays of strings', value)
  }
  for (const name of Object.keys(value)) {
    const given = (value as { readonly [name: string]: unknown })[name]
    if (given === undefined) continue
    if (!Array.isArray(given)) writePair(writer, id, name, given, where)
    else for (const one of given) writePair(writer, id, name, one, where)
  }
}

function writePair(writer: Writer, id: number, name: string, value: unknown, where: string): void {
  const field = () => `${where}[${describe(name)}]`
  writer.byte(id)
  if (!writer.ascii(name)) writer.string(checkedString(name, `the name ${field()}`))
  if (!writer.ascii(value)) writer.string(checkedString(value, field()))
}
