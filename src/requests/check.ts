/**
 * Checks of what the caller gives: options, requests, controls, arguments.
 *
 * Every check throws a `UsageError` in the same words: which field, what is allowed, what was
 * given. `name` is the path of the field as the caller wrote it (`reconnect.minMs`).
 */
import { describe, UsageError } from '../errors.ts'
import type { Base64 } from './vocabulary.ts'

/** Milliseconds. */
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

/** @returns the error for a value that is not allowed; the caller throws it. */
export function wrong(name: string, allowed: string, given: unknown): UsageError {
  return new UsageError(`${name} must be ${allowed}, not ${describe(given)}`)
}

/** @returns the names as a list for a message. */
export function list(names: Iterable<string>): string {
  return [...names].join(', ')
}

/** Checks that an object has no other fields than these. */
export function checkFields(name: string, given: object, allowed: ReadonlySet<string>): void {
  for (const field of Object.keys(given))
    if (!allowed.has(field)) throw noField(name, field, allowed)
}

/** @returns the error for a field that is not known. */
export function noField(name: string, field: string, allowed: Iterable<string>): UsageError {
  const near = nearest(field, allowed)
  const hint = near === null ? '' : `; did you mean ${near}?`
  return new UsageError(`${name} has no field ${describe(field)}${hint}; allowed: ${list(allowed)}`)
}

/** More edits than this make another word. */
const EDITS_MAX = 2

/** @returns the name that was probably meant by a misspelled one, or null. */
export function nearest(given: string, names: Iterable<string>): string | null {
  const word = plainly(given)
  let best: string | null = null
  // A short word is near to too many others.
  let least = Math.min(EDITS_MAX, Math.floor(word.length / 3)) + 1
  for (const name of names) {
    const edits = editsBetween(word, plainly(name))
    if (edits >= least) continue
    best = name
    least = edits
  }
  return best
}

function plainly(name: string): string {
  return name.replace(/[-_]/g, '').toLowerCase()
}

/** @returns how many letters must be changed, added, left out or exchanged with the next one. */
function editsBetween(a: string, b: string): number {
  if (a === b) return 0
  if (Math.abs(a.length - b.length) > EDITS_MAX) return EDITS_MAX + 1
  let older: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const differs = a[i - 1] === b[j - 1] ? 0 : 1
      let edits = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + differs)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) edits = Math.min(edits, older[j - 2]! + 1)
      row.push(edits)
    }
    older = above
    above = row
  }
  return above[b.length]!
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** @returns whether it is `{ base64 }` with well-formed Base64, padded or not. */
export function isBase64(value: unknown): value is Base64 {
  const base64 = isPlainObject(value) ? (value as Partial<Base64>).base64 : undefined
  return typeof base64 === 'string' && BASE64.test(base64)
}

/** @returns whether it is an object and neither an array nor bytes. */
export function isPlainObject(value: unknown): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value)
  )
}

/** @returns a copy without the fields that are undefined, which count as left out. */
export function withoutUndefined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T
}

export function checkFunction(name: string, given: unknown, form = 'a function'): void {
  if (given !== undefined && typeof given !== 'function') throw wrong(name, form, given)
}

export function flag(name: string, given: unknown, fallback: boolean): boolean {
  if (given === undefined) return fallback
  if (typeof given !== 'boolean') throw wrong(name, 'true or false', given)
  return given
}

/** A whole number from `min` to `max`. */
export function whole(
  name: string,
  given: unknown,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = bounded(name, given, fallback, min, max)
  if (!Number.isInteger(value)) throw wrong(name, `a whole number from ${min} to ${max}`, given)
  return value
}

/** A number from `min` to `max`. A `fallback` of NaN says that the field is required. */
export function bounded(
  name: string,
  given: unknown,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = given === undefined ? fallback : given
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw wrong(name, `a number from ${min} to ${max}`, given)
  }
  return value
}

/** One of a few values. */
export function choice<T extends string | number>(
  name: string,
  given: unknown,
  fallback: T,
  allowed: readonly T[],
): T {
  if (given === undefined) return fallback
  if (!allowed.includes(given as T)) {
    throw wrong(name, `one of ${list(allowed.map((one) => JSON.stringify(one)))}`, given)
  }
  return given as T
}

/** Any object, before it is validated. */
export type Fields = { readonly [name: string]: unknown }

/** Checks the names of a request's fields, and `key` and `signal`, which every request may have. */
export function checkRequestFields(request: Fields, allowed: ReadonlySet<string>): void {
  for (const name in request) {
    if (!allowed.has(name)) throw noRequestField(request, name, allowed)
  }
  checkRequestOptions(request)
}

/** @returns the error for a field that no request of this `cmd` has. */
export function noRequestField(
  { cmd }: Fields,
  name: string,
  allowed: Iterable<string>,
): UsageError {
  const where = `the ${String(cmd)} request`
  if (name !== 'messageId' && name !== 'dup') return noField(where, name, allowed)
  return new UsageError(`${where} has ${name}, which the engine assigns: leave it out`)
}

export function checkRequestOptions({ cmd, key, signal }: Fields): void {
  if (key !== undefined && typeof key !== 'string' && !Number.isFinite(key)) {
    throw wrong(`${String(cmd)}.key`, 'a string or a finite number', key)
  }
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.aborted !== 'boolean') {
    throw wrong(`${String(cmd)}.signal`, 'an AbortSignal', signal)
  }
}

/** @returns the error for a stream that gives text or bytes in the place of requests. */
export function noRequests(item: string | Uint8Array): UsageError {
  const given = typeof item === 'string' ? 'text' : 'bytes'
  return new UsageError(
    `requests: the stream gives ${given}; it must give requests or arrays of requests`,
  )
}
