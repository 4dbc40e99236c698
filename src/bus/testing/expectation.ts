/**
 * Are there as many records as a test expects, with the values that it expects? If not, what
 * differs?
 */
import { UsageError } from '../../index.ts'
import type { Expectation } from './fake-types.ts'

/** Of so many records and parts the differences are shown. */
const SHOWN_RECORDS_MAX = 5
const SHOWN_PARTS_MAX = 5
const SHOWN_LENGTH_MAX = 200

/** Test runners show what was expected and what there was side by side. */
class ExpectationError extends Error {
  override readonly name = 'AssertionError'
  readonly expected: unknown
  readonly actual: unknown

  constructor(message: string, expected: unknown, actual: unknown) {
    super(message)
    this.expected = expected
    this.actual = actual
  }
}

/**
 * @param what names the rpc or event.
 * @param word what the records are, such as `call`.
 * @throws an error whose message says what differs.
 */
export function checkRecords(
  what: string,
  word: string,
  values: readonly unknown[],
  expectation: Expectation<unknown> = {},
): void {
  const fields = Object.keys(expectation)
  const unknown = fields.find((field) => field !== 'times' && field !== 'with')
  if (unknown !== undefined) {
    throw new UsageError(`${what}: an expectation has no field "${unknown}"; allowed: times, with`)
  }
  const { times } = expectation
  if (times !== undefined && !(Number.isInteger(times) && times >= 0)) {
    throw new UsageError(`${what}: times must be a whole number from 0, not ${String(times)}`)
  }
  const hasValue = Object.hasOwn(expectation, 'with')
  const expected = expectation.with
  const found = hasValue
    ? values.filter((value) => valueDifferences(expected, value).length === 0).length
    : values.length
  if (times === undefined ? found > 0 : found === times) return
  const wanted = times === undefined ? `at least one ${word}` : `${times} ${word}${plural(times)}`
  const like = hasValue ? ` with ${shownValue(expected)}` : ''
  const message = `${what}: expected ${wanted}${like}, and there ${count(found)}`
  const all = hasValue && values.length > found ? `; ${values.length} in all` : ''
  const lines = hasValue ? differingRecords(word, expected, values) : listedRecords(word, values)
  const text = [`${message}${all}`, ...lines].join('\n')
  throw new ExpectationError(text, hasValue ? expected : times, hasValue ? values : found)
}

function plural(number: number): string {
  return number === 1 ? '' : 's'
}

function count(found: number): string {
  if (found === 0) return 'was none'
  return found === 1 ? 'was one' : `were ${found}`
}

function differingRecords(word: string, expected: unknown, values: readonly unknown[]): string[] {
  return shortened(values, (value, index) => {
    const parts = valueDifferences(expected, value)
    if (parts.length === 0) return `  ${word} ${index + 1}: as expected`
    const shown = parts.slice(0, SHOWN_PARTS_MAX).join('; ')
    const more = parts.length > SHOWN_PARTS_MAX ? `; ${parts.length - SHOWN_PARTS_MAX} more` : ''
    return `  ${word} ${index + 1}: ${shown}${more}`
  })
}

function listedRecords(word: string, values: readonly unknown[]): string[] {
  return shortened(values, (value, index) => `  ${word} ${index + 1}: ${shownValue(value)}`)
}

function shortened(
  values: readonly unknown[],
  line: (value: unknown, index: number) => string,
): string[] {
  const lines = values.slice(0, SHOWN_RECORDS_MAX).map(line)
  const more = values.length - lines.length
  return more > 0 ? [...lines, `  and ${more} more`] : lines
}

/** @returns a value as a message shows it. */
export function shownValue(value: unknown): string {
  const text = value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value))
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text
}

/** @returns a text for each part in which two values differ. */
function valueDifferences(expected: unknown, actual: unknown, path = ''): string[] {
  if (isMatcher(expected) ? expected.asymmetricMatch(actual) : Object.is(expected, actual))
    return []
  if (isMatcher(expected) || !areAlike(expected, actual)) {
    const where = path === '' ? '' : `${path}: `
    return [`${where}expected ${shownValue(expected)}, there was ${shownValue(actual)}`]
  }
  const [one, other] = [expected, actual] as [ValueParts, ValueParts]
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return [...names].flatMap((name) => {
    const at = path === '' ? name : `${path}.${name}`
    return valueDifferences(ownPart(one, name), ownPart(other, name), at)
  })
}

type ValueParts = Readonly<Record<string, unknown>>

function ownPart(value: ValueParts, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined
}

/** @returns whether two values are both arrays, or both objects, whose parts can be compared. */
function areAlike(expected: unknown, actual: unknown): boolean {
  if (typeof expected !== 'object' || typeof actual !== 'object') return false
  if (expected === null || actual === null) return false
  return Array.isArray(expected) === Array.isArray(actual)
}

function isMatcher(value: unknown): value is { asymmetricMatch(other: unknown): boolean } {
  return typeof (value as { asymmetricMatch?: unknown } | null)?.asymmetricMatch === 'function'
}
