/**
 * Is an option of the client usable? Each check throws a `UsageError` that says what is allowed and
 * what was given.
 */
import { UsageError } from '../index.ts'
import type { NextOptions } from './subscription-types.ts'

/** @returns the value, which is one of `allowed`. */
export function checkChoice<const T>(name: string, given: T, allowed: readonly T[]): T {
  if (allowed.includes(given)) return given
  const list = allowed.map((one) => JSON.stringify(one)).join(', ')
  throw new UsageError(`${name} must be one of ${list}, not ${shown(given)}`)
}

/** @returns the value, which is a whole number between two bounds. */
export function checkCount(name: string, given: number, least: number, most: number): number {
  if (Number.isInteger(given) && given >= least && given <= most) return given
  const allowed = `a whole number from ${least} to ${most}`
  throw new UsageError(`${name} must be ${allowed}, not ${shown(given)}`)
}

/** The longest time that an option may give, in ms. */
export const TIME_MS_MAX = 86_400_000

/** @returns the value, which is a number of milliseconds or undefined. */
export function checkedMs(name: string, given: number | undefined): number | undefined {
  if (given === undefined) return given
  if (typeof given === 'number' && given > 0 && given <= TIME_MS_MAX) return given
  const allowed = `a number of milliseconds, more than 0 and at most ${TIME_MS_MAX}`
  throw new UsageError(`${name} must be ${allowed}, not ${shown(given)}`)
}

/** @returns the value, which is an AbortSignal, or what behaves like one, or undefined. */
export function checkSignal(name: string, given: AbortSignal | undefined): AbortSignal | undefined {
  if (given === undefined) return given
  if (typeof given === 'object' && typeof given?.addEventListener === 'function') return given
  throw new UsageError(`${name} must be an AbortSignal, not ${shown(given)}`)
}

const WAIT_FIELDS = new Set(['signal', 'timeout'])

/** Checks what ends a wait. */
export function checkWait(what: string, options: NextOptions): void {
  checkOptionFields(`${what}: options`, options, WAIT_FIELDS)
  checkSignal(`${what}: signal`, options.signal)
  checkedMs(`${what}: timeout`, options.timeout)
}

/** Checks that options have no fields but these. */
export function checkOptionFields(
  name: string,
  given: unknown,
  allowed: ReadonlySet<string>,
): void {
  if (typeof given !== 'object' || given === null) {
    throw new UsageError(`${name} must be an object, not ${shown(given)}`)
  }
  for (const field of Object.keys(given)) {
    if (allowed.has(field)) continue
    const list = [...allowed].join(', ')
    throw new UsageError(`${name} has no field "${field}"; allowed: ${list}`)
  }
}

/** @returns how a message names a value: its type, and the value itself if it is short. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return `"${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  return String(value)
}
