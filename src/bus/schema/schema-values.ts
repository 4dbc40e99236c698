/**
 * Does one value of an `enum` or a `const` fit a schema? Answered for the keywords that can be
 * decided without running a pattern, so that no text of a stranger is executed.
 */
import { canonicalText } from './canonical-json.ts'
import {
  atomOf,
  atomsOfType,
  type Conjunction,
  narrowingIn,
  numberIn,
  type SchemaPart,
  type SchemaSide,
  schemaParts,
  schemasIn,
  valuesIn,
} from './schema-parts.ts'

/** An answer: `unknown` wherever it is not certain. */
export type SubsetAnswer = 'yes' | 'no' | 'unknown'

const VALUE_DEPTH_MAX = 16

/** What is said of values with an inside; here that is not looked at. */
const STRUCTURE: readonly string[] = [
  ...['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems', 'properties', 'required'],
  ...['patternProperties', 'additionalProperties', 'propertyNames', 'minProperties'],
  'maxProperties',
]

/** @returns the answer for all: `no` if one is. */
function allOfThem(answers: Iterable<SubsetAnswer>): SubsetAnswer {
  let result: SubsetAnswer = 'yes'
  for (const answer of answers) {
    if (answer === 'no') return 'no'
    if (answer === 'unknown') result = 'unknown'
  }
  return result
}

/** @returns whether a value fits. @throws NotUnderstood */
export function valueFits(value: unknown, { side, nodes }: Conjunction, depth = 0): SubsetAnswer {
  if (depth > VALUE_DEPTH_MAX) return 'unknown'
  const parts = schemaParts({ side, nodes })
  if (parts === null) return 'no'
  return allOfThem(parts.map((part) => fitsPart(value, side, part, depth)))
}

function fitsPart(value: unknown, side: SchemaSide, part: SchemaPart, depth: number): SubsetAnswer {
  if (!atomsOfType(part['type']).has(atomOf(value))) return 'no'
  const values = valuesIn(part)
  if (values !== undefined && !values.some((one) => isSameJson(one, value))) return 'no'
  const answers: SubsetAnswer[] = [fitsInside(value, part)]
  const inner = (node: unknown) => valueFits(value, { side, nodes: [node] }, depth + 1)
  const anyOf = schemasIn(part, 'anyOf')?.map(inner)
  if (anyOf !== undefined && !anyOf.includes('yes')) {
    answers.push(anyOf.includes('unknown') ? 'unknown' : 'no')
  }
  const oneOf = schemasIn(part, 'oneOf')?.map(inner)
  if (oneOf !== undefined) {
    const hits = oneOf.filter((answer) => answer === 'yes').length
    if (hits > 1) answers.push('no')
    else if (oneOf.includes('unknown')) answers.push('unknown')
    else if (hits === 0) answers.push('no')
  }
  if (part['not'] !== undefined) {
    const answer = inner(part['not'])
    answers.push(answer === 'unknown' ? answer : answer === 'yes' ? 'no' : 'yes')
  }
  return allOfThem(answers)
}

function fitsInside(value: unknown, part: SchemaPart): SubsetAnswer {
  if (narrowingIn(part).length > 0) return 'unknown'
  if (typeof value === 'number') return isWithin(value, part)
  if (typeof value === 'string') {
    const { length } = [...value]
    if (length < (numberIn(part, 'minLength') ?? 0)) return 'no'
    if (length > (numberIn(part, 'maxLength') ?? Number.POSITIVE_INFINITY)) return 'no'
    return part['pattern'] === undefined ? 'yes' : 'unknown'
  }
  if (typeof value !== 'object' || value === null) return 'yes'
  return STRUCTURE.some((keyword) => part[keyword] !== undefined) ? 'unknown' : 'yes'
}

function isWithin(value: number, part: SchemaPart): SubsetAnswer {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = boundsIn(part)
  if (minimum !== undefined && value < minimum) return 'no'
  if (maximum !== undefined && value > maximum) return 'no'
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return 'no'
  if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) return 'no'
  if (multipleOf === undefined) return 'yes'
  // Fractions are rounded differently by different validators.
  if (!Number.isSafeInteger(multipleOf) || !Number.isSafeInteger(value)) return 'unknown'
  if (multipleOf <= 0) return 'unknown'
  return value % multipleOf === 0 ? 'yes' : 'no'
}

/** @returns what a part says of numbers. */
export function boundsIn(part: SchemaPart) {
  return {
    minimum: numberIn(part, 'minimum'),
    maximum: numberIn(part, 'maximum'),
    exclusiveMinimum: numberIn(part, 'exclusiveMinimum'),
    exclusiveMaximum: numberIn(part, 'exclusiveMaximum'),
    multipleOf: numberIn(part, 'multipleOf'),
  }
}

/** @returns whether two JSON values are equal, whatever the order of names. */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object') return false
  return canonicalText('a value', a) === canonicalText('a value', b)
}
