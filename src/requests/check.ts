/**
 * Checks of what the caller gives: options, requests, controls, arguments.
 *
 * Every check throws a `UsageError` in the same words: which field, what is allowed, what was given. `name` is the path of the
 * field as the caller wrote it (`reconnect.minMs`).
 */
import { describe, UsageError } from '../errors.ts'

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
  return new UsageError(`${name} has no field ${describe(field)}; allowed: ${list(allowed)}`)
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
