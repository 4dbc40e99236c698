/**
 * Which text is the only one for a JSON value? That of RFC 8785: no spaces, and the names of each
 * object sorted by UTF-16 code units. Two documents are equal if their texts are, in any language.
 */
import { UsageError } from '../../index.ts'

/** How many objects and arrays may stand in each other in a schema document. */
export const SCHEMA_DEPTH_MAX = 64
/** The longest text of a schema document, in bytes of UTF-8. */
export const SCHEMA_BYTES_MAX = 262_144

/**
 * @param where names the value in errors.
 * @throws UsageError for what JSON does not have, and for more than 64 levels (so also for cycles).
 */
export function canonicalText(where: string, value: unknown, depth = 0): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') {
    return JSON.stringify(value)
  }
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  if (typeof value !== 'object' || !isPlainJson(value)) {
    throw new UsageError(`${where} has a value that is not JSON: ${kindOfValue(value)}`)
  }
  if (depth >= SCHEMA_DEPTH_MAX) {
    throw new UsageError(`${where} is nested deeper than ${SCHEMA_DEPTH_MAX} levels`)
  }
  if (Array.isArray(value)) {
    return `[${value.map((item) => canonicalText(where, item, depth + 1)).join(',')}]`
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    // Names are compared by code units, and the names of an object differ.
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalText(where, member, depth + 1)}`)
  return `{${members.join(',')}}`
}

/** @returns whether an object can be one of JSON: an array, or without a class. */
export function isPlainJson(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  // An object of another realm has another Object.prototype, which has no prototype either.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function kindOfValue(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`
  return `an object of the class ${(value.constructor as { readonly name?: string }).name ?? '?'}`
}

/** Freezes a JSON value with all of its parts. @returns the value. */
export function frozenJson<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  Object.freeze(value)
  for (const part of Object.values(value)) frozenJson(part)
  return value
}

/** @returns the entries as a frozen table, where `constructor` is a name like others. */
export function nameTable<T>(entries: Iterable<readonly [string, T]>): Readonly<Record<string, T>> {
  const table: Record<string, T> = Object.create(null)
  for (const [name, value] of entries) table[name] = value
  return Object.freeze(table)
}
