/**
 * How is JSON read from strangers, and written so that the reader gets what the writer meant?
 *
 * Received text is measured before it is parsed: deep nesting would cost the parser its stack. A
 * property `__proto__` is an own property to JSON.parse, and becomes a prototype as soon as someone
 * copies it with an assignment; so it is removed. What JSON.stringify would silently send as
 * another value (NaN, a Map, a promise) is refused, with its path.
 */
import { type Codec, decodeUtf8, type PayloadContext, typeOf } from './codec.ts'
import {
  invalidIncoming,
  invalidOutgoing,
  type PayloadFault,
  payloadFault,
} from './invalid-payload.ts'

/** How many arrays and objects may be open at once. Node's own parser takes some thousands. */
const DEPTH_MAX = 512

/**
 * JSON (RFC 8259). A byte order mark at the beginning is ignored. Text that is nested deeper than
 * 512 levels is refused, both ways. A property `__proto__` is removed. As in JSON.stringify,
 * properties that are undefined are left out, and `toJSON` is obeyed. Any other value that JSON
 * does not have is refused: undefined itself, functions, symbols, BigInt, NaN and the infinities,
 * binary data, Map, Set, promises and cycles.
 */
export const json: Codec<unknown> = Object.freeze({
  contentType: 'application/json',
  payloadFormatIndicator: true,

  encode(value: unknown): string {
    const written = stringify(value)
    if (typeof written === 'string') return written
    throw invalidOutgoing(written ?? payloadFault('cannot be written: its toJSON returns nothing'))
  },

  decode(payload: Uint8Array, { topic }: PayloadContext): unknown {
    if (isDeep(payload)) {
      throw invalidIncoming(topic, payloadFault(`is nested deeper than ${DEPTH_MAX} levels`))
    }
    const decoded = decodeUtf8(payload, topic)
    const source = decoded.startsWith('\ufeff') ? decoded.slice(1) : decoded
    const value = parse(source, topic)
    // An escape can hide the name: ASCII is escaped as \u00….
    if (source.includes('__proto__') || source.includes('\\u00')) removePrototypes(value)
    return value
  },
})

/** @returns the text, or what is wrong, or undefined if a value has withdrawn itself. */
function stringify(value: unknown): string | PayloadFault | undefined {
  try {
    return faultIn(value, [], []) ?? JSON.stringify(value)
  } catch (cause) {
    // Getters and toJSON are the user's code, and toJSON may return a BigInt or a cycle.
    return { ...payloadFault('cannot be written as JSON: a getter or toJSON of it failed'), cause }
  }
}

function parse(source: string, topic: string): unknown {
  try {
    return JSON.parse(source)
  } catch (cause) {
    // The message of the engine shows a part of the payload; only the position is taken from it.
    const [, position] = /at position (\d+)/.exec((cause as Error).message) ?? []
    const where = position === undefined ? '' : `, at character ${position}`
    throw invalidIncoming(topic, payloadFault(source === '' ? 'is empty' : `is not JSON${where}`))
  }
}

const QUOTE_CODE = 0x22
const BACKSLASH_CODE = 0x5c

/**
 * @returns whether more than DEPTH_MAX brackets are open at once anywhere. It reads bytes: in UTF-8
 *   those of ASCII stand for nothing else. What is not JSON is left to the parser.
 */
function isDeep(payload: Uint8Array): boolean {
  let depth = 0
  let isString = false
  for (let i = 0; i < payload.length; i++) {
    const unit = payload[i]!
    if (isString) {
      if (unit === BACKSLASH_CODE) i++
      else if (unit === QUOTE_CODE) isString = false
    } else if (unit === QUOTE_CODE) isString = true
    // [ and {, ] and }: they differ in one bit.
    else if ((unit | 0x20) === 0x7b) {
      if (++depth > DEPTH_MAX) return true
    } else if ((unit | 0x20) === 0x7d) depth--
  }
  return false
}

/** The depth is bounded, so recursion is. */
function removePrototypes(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value) && Object.hasOwn(value, '__proto__')) {
    Reflect.deleteProperty(value, '__proto__')
  }
  for (const part of Object.values(value)) removePrototypes(part)
}

const NOT_IN_JSON = ', which JSON does not have'

/**
 * @param ancestors the arrays and objects that hold the value
 * @param path the way to the value; it is left there if a fault is found
 */
function faultIn(
  value: unknown,
  ancestors: object[],
  path: (string | number)[],
): PayloadFault | null {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return null
  if (typeof value === 'number') {
    return Number.isFinite(value) ? null : payloadFault(`holds ${value}`, path, NOT_IN_JSON)
  }
  if (typeof value !== 'object') {
    const remedy = typeof value === 'bigint' ? '; convert it to a string or a number' : ''
    return payloadFault(`holds ${typeOf(value)}`, path, `${NOT_IN_JSON}${remedy}`)
  }
  const kind = unwritable(value)
  if (kind !== null) return payloadFault(`holds ${kind}`, path, NOT_IN_JSON)
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return null
  if (ancestors.includes(value)) return payloadFault('refers to itself', path, NOT_IN_JSON)
  if (ancestors.length >= DEPTH_MAX)
    return payloadFault(`is nested deeper than ${DEPTH_MAX} levels`)
  ancestors.push(value)
  const fault = Array.isArray(value)
    ? faultInArray(value, ancestors, path)
    : faultInObject(value as Record<string, unknown>, ancestors, path)
  ancestors.pop()
  return fault
}

function faultInArray(
  value: readonly unknown[],
  ancestors: object[],
  path: (string | number)[],
): PayloadFault | null {
  for (let i = 0; i < value.length; i++) {
    path.push(i)
    const fault = faultIn(value[i], ancestors, path)
    if (fault !== null) return fault
    path.pop()
  }
  return null
}

function faultInObject(
  value: Record<string, unknown>,
  ancestors: object[],
  path: (string | number)[],
): PayloadFault | null {
  for (const key of Object.keys(value)) {
    const part = value[key]
    if (part === undefined) continue
    path.push(key)
    const fault = faultIn(part, ancestors, path)
    if (fault !== null) return fault
    path.pop()
  }
  return null
}

/** @returns what JSON.stringify would turn into something else without a word, or null. */
function unwritable(value: object): string | null {
  if (value instanceof Promise) return 'a promise (await it)'
  if (value instanceof Map) return 'a Map'
  if (value instanceof Set) return 'a Set'
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 'binary data'
  return null
}
