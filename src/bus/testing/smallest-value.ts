/** What is the smallest value of a shape? It is the same each time: tests can rely on it. */
import { UsageError } from '../../index.ts'
import type { ArrayShape, NumberShape, ObjectShape, Shape, StringShape } from './schema-shape.ts'

/** A value that needs this many others inside of it has no end. */
const NESTED_MAX = 32

/** An example of each format. */
const FORMATS: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  duration: 'PT0S',
  email: 'a@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
}

/** @throws UsageError if there is none, or none that is found simply. */
export function smallestValue(shape: Shape, nested = 0): unknown {
  if (nested > NESTED_MAX) throw notFound('it has itself inside')
  switch (shape.kind) {
    case 'anything':
    case 'null':
      return null
    case 'values':
      return shape.values[0]
    case 'boolean':
      return false
    case 'number':
      return smallestNumber(shape)
    case 'string':
      return smallestText(shape)
    case 'array':
      return smallestArray(shape, nested)
    case 'object':
      return smallestObject(shape, nested)
    case 'choice':
      return smallestChoice(shape.choices, nested)
    case 'reference':
      return smallestValue(shape.target(), nested + 1)
  }
}

function notFound(why: string): UsageError {
  return new UsageError(`no smallest value of the schema is found: ${why}`)
}

/** @returns zero if it fits, else the number that is nearest to it. */
function smallestNumber(shape: NumberShape): number {
  const { isInteger, min, max, isMinExcluded, isMaxExcluded } = shape
  const step = shape.step ?? (isInteger ? 1 : null)
  const fits = (value: number) =>
    (isMinExcluded ? value > min : value >= min) && (isMaxExcluded ? value < max : value <= max)
  const candidates =
    step === null
      ? [0, min, max, min + 1, max - 1, (min + max) / 2]
      : [0, Math.ceil(min / step), Math.floor(min / step) + 1, Math.floor(max / step)]
          .concat(Math.ceil(max / step) - 1)
          .map((count) => count * step)
  const found = candidates.find(
    (value) => Number.isFinite(value) && fits(value) && (!isInteger || Number.isInteger(value)),
  )
  if (found === undefined) throw notFound(`no number is between ${min} and ${max}`)
  return found
}

function smallestText({ minLength, maxLength, format, pattern }: StringShape): string {
  const example = format === null ? undefined : FORMATS[format]
  const candidates = [...(example === undefined ? [] : [example]), 'a'.repeat(minLength)]
  const found = candidates.find(
    (text) => text.length >= minLength && text.length <= maxLength && (pattern?.test(text) ?? true),
  )
  if (found !== undefined && (format === null || example === found)) return found
  const what = pattern === null ? `the format "${format}"` : `the pattern ${pattern.source}`
  throw notFound(`no text is known for ${what}`)
}

function smallestArray(shape: ArrayShape, nested: number): unknown[] {
  const { first, rest, minItems, isUnique } = shape
  if (isUnique && minItems > 1) throw notFound('its items must differ')
  return Array.from({ length: minItems }, (_, index) => {
    const item = first[index] ?? rest
    if (item === null) throw notFound(`it must have ${minItems} items`)
    return smallestValue(item, nested + 1)
  })
}

function smallestObject(shape: ObjectShape, nested: number): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (const [name, part, isRequired] of shape.properties) {
    if (isRequired) value[name] = smallestValue(part, nested + 1)
  }
  if (Object.keys(value).length >= shape.minProperties) return value
  throw notFound(`it must have ${shape.minProperties} properties`)
}

/** @returns the value of the first choice that has one. */
function smallestChoice(choices: readonly Shape[], nested: number): unknown {
  let failure: unknown = notFound('it has no choices')
  for (const choice of choices) {
    try {
      return smallestValue(choice, nested + 1)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}
