/**
 * Which values of a shape come at random, and which are almost such values? They are arbitraries of
 * `fast-check`, so that a value that fails is made smaller.
 */
import type { Arbitrary } from 'fast-check'
import { UsageError } from '../../index.ts'
import type { ArrayShape, NumberShape, ObjectShape, Shape, StringShape } from './schema-shape.ts'

export type FastCheck = typeof import('fast-check')

/** Values inside of themselves end here, if they can. */
const LEVELS_MAX = 4
/** A list or a text without a bound has at most so many more parts than it needs. */
const SPARE = 4
const SPARE_CHARACTERS = 12
/** An arbitrary that is filtered gives up after so many values that do not fit. */
const TRIES = 1000

type Anything = Arbitrary<unknown>

/** @throws UsageError for a text whose format or pattern has no arbitrary. */
export function arbitraryOf(fc: FastCheck, shape: Shape, level = 0): Anything {
  switch (shape.kind) {
    case 'anything':
      return plainJson(fc)
    case 'values':
      return fc.constantFrom(...shape.values)
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'number':
      return numberValues(fc, shape)
    case 'string':
      return textValues(fc, shape)
    case 'array':
      return listValues(fc, shape, level)
    case 'object':
      return objectValues(fc, shape, level)
    case 'choice': {
      const choices = level > LEVELS_MAX ? endingFirst(shape.choices) : shape.choices
      return fc.oneof(...choices.map((choice) => arbitraryOf(fc, choice, level + 1)))
    }
    case 'reference':
      if (level > 2 * LEVELS_MAX) {
        throw new UsageError('no values can be made of the schema: it has itself inside')
      }
      return arbitraryOf(fc, shape.target(), level + 1)
  }
}

/** Of a choice that goes on without an end, what ends. */
function endingFirst(choices: readonly Shape[]): readonly Shape[] {
  const ending = choices.filter(({ kind }) => kind !== 'reference')
  return ending.length > 0 ? ending : choices
}

/** Values of JSON, without the property that JSON cannot carry. */
function plainJson(fc: FastCheck): Anything {
  return fc
    .jsonValue({ maxDepth: 2 })
    .filter((value) => !JSON.stringify(value).includes('"__proto__"'))
    .map((value): unknown => JSON.parse(JSON.stringify(value)))
}

function numberValues(fc: FastCheck, shape: NumberShape): Anything {
  const { isInteger, min, max, isMinExcluded, isMaxExcluded, step } = shape
  if (isInteger || step !== null) {
    const unit = step ?? 1
    const least = isMinExcluded ? Math.floor(min / unit) + 1 : Math.ceil(min / unit)
    const most = isMaxExcluded ? Math.ceil(max / unit) - 1 : Math.floor(max / unit)
    const bounds = {
      min: Math.max(least, Number.MIN_SAFE_INTEGER),
      max: Math.min(most, Number.MAX_SAFE_INTEGER),
    }
    // JSON has no negative zero.
    return fc.integer(bounds).map((count) => count * unit + 0)
  }
  return fc
    .double({
      ...{ noNaN: true, noDefaultInfinity: true },
      ...(Number.isFinite(min) ? { min, minExcluded: isMinExcluded } : {}),
      ...(Number.isFinite(max) ? { max, maxExcluded: isMaxExcluded } : {}),
    })
    .map((value) => value + 0)
}

/** Arbitraries of formats; the bounds and the pattern are compared afterwards. */
const FORMAT_TEXTS: Readonly<Record<string, (fc: FastCheck) => Arbitrary<string>>> = {
  'date-time': (fc) => instantsOf(fc),
  date: (fc) => instantsOf(fc).map((text) => text.slice(0, 10)),
  time: (fc) => instantsOf(fc).map((text) => text.slice(11)),
  email: (fc) => fc.emailAddress(),
  hostname: (fc) => fc.domain(),
  ipv4: (fc) => fc.ipV4(),
  ipv6: (fc) => fc.ipV6(),
  uri: (fc) => fc.webUrl(),
  uuid: (fc) => fc.uuid(),
}

function instantsOf(fc: FastCheck): Arbitrary<string> {
  const min = new Date('1970-01-01T00:00:00Z')
  const max = new Date('2099-12-31T00:00:00Z')
  return fc.date({ min, max, noInvalidDate: true }).map((date) => date.toISOString())
}

function textValues(fc: FastCheck, shape: StringShape): Anything {
  const { minLength, maxLength, format, pattern } = shape
  const texts = format === null ? undefined : FORMAT_TEXTS[format]
  // As JSON Schema does, characters are counted, and no halves of them.
  const lengthOf = (text: string) => [...text].length
  const fits = (text: string) =>
    lengthOf(text) >= minLength && lengthOf(text) <= maxLength && (pattern?.test(text) ?? true)
  if (texts !== undefined) return fittingTexts(texts(fc), fits)
  if (pattern !== null) return fittingTexts(matchingTexts(fc, pattern), fits)
  if (format !== null) {
    throw new UsageError(`no values can be made of the schema: "${format}" is no format known here`)
  }
  const most = Math.min(maxLength, minLength + SPARE_CHARACTERS)
  const bounds = { minLength, maxLength: most }
  return fc.oneof(
    { withCrossShrink: true },
    fc.string({ ...bounds, unit: 'grapheme-ascii' }),
    fc.string({ ...bounds, unit: 'binary' }),
  )
}

function matchingTexts(fc: FastCheck, pattern: RegExp): Arbitrary<string> {
  try {
    return fc.stringMatching(pattern)
  } catch (cause) {
    const what = `no values can be made of the schema: nothing is made of /${pattern.source}/`
    throw new UsageError(what, { cause })
  }
}

/** Only values that fit, and an error instead of a search without an end. */
function fittingTexts(texts: Arbitrary<string>, fits: (text: string) => boolean): Anything {
  let left = TRIES
  return texts.filter((text) => {
    const isFit = fits(text)
    left = isFit ? TRIES : left - 1
    if (left > 0) return isFit
    throw new UsageError('no values can be made of the schema: hardly a text fits it')
  })
}

function listValues(fc: FastCheck, shape: ArrayShape, level: number): Anything {
  const { first, rest, minItems, maxItems, isUnique } = shape
  const head = fc.tuple(...first.map((item) => arbitraryOf(fc, item, level + 1)))
  const least = Math.max(0, minItems - first.length)
  const spare = level > LEVELS_MAX ? 0 : SPARE
  const most = Math.max(0, Math.min(maxItems - first.length, least + spare))
  if (rest === null || most === 0) return head.map((items) => items.slice(0, maxItems))
  const bounds = { minLength: least, maxLength: most }
  const item = arbitraryOf(fc, rest, level + 1)
  const tail = isUnique
    ? fc.uniqueArray(item, { ...bounds, selector: (value) => JSON.stringify(value) })
    : fc.array(item, bounds)
  return fc.tuple(head, tail).map(([one, other]) => [...one, ...other])
}

function objectValues(fc: FastCheck, shape: ObjectShape, level: number): Anything {
  const isDeep = level > LEVELS_MAX
  const used = shape.properties.filter(([, , isRequired]) => isRequired || !isDeep)
  const model = Object.fromEntries(
    used.map(([name, part]) => [name, arbitraryOf(fc, part, level + 1)]),
  )
  const requiredKeys = used.filter(([, , isRequired]) => isRequired).map(([name]) => name)
  const known = fc.record(model, { requiredKeys, noNullPrototype: true })
  // What nobody has named is needed only for an object that is a table.
  if (shape.others === null || isDeep) return known
  if (shape.properties.length > 0 && shape.minProperties <= requiredKeys.length) return known
  const names = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== '__proto__')
  const most = Math.min(shape.maxProperties, shape.minProperties + SPARE)
  const bounds = { minKeys: shape.minProperties, maxKeys: most, noNullPrototype: true }
  const others = fc.dictionary(names, arbitraryOf(fc, shape.others, level + 1), bounds)
  return fc.tuple(others, known).map(([one, other]) => ({ ...one, ...other }))
}

/**
 * Values that are almost of a shape: one part has another type, is beyond a bound, is missing or is
 * surplus. Some of them fit all the same.
 */
export function nearlyOf(fc: FastCheck, shape: Shape, level = 0): Anything {
  const other = plainJson(fc)
  if (level > LEVELS_MAX) return other
  switch (shape.kind) {
    case 'number':
      return fc.oneof(other, ...beyondBounds(fc, shape), fc.double({ noNaN: true }).map(String))
    case 'string':
      return fc.oneof(other, fc.string({ maxLength: 2 }), longerTexts(fc, shape))
    case 'array':
      return fc.oneof(other, ...nearlyLists(fc, shape, level))
    case 'object':
      return fc.oneof(other, ...nearlyObjects(fc, shape, level))
    case 'choice':
      return fc.oneof(other, ...shape.choices.map((choice) => nearlyOf(fc, choice, level + 1)))
    case 'reference':
      return nearlyOf(fc, shape.target(), level + 1)
    default:
      return other
  }
}

function beyondBounds(fc: FastCheck, { min, max }: NumberShape): Anything[] {
  const near = [min, max].filter(Number.isFinite).flatMap((bound) => [bound - 1, bound, bound + 1])
  return [fc.constantFrom(0.5, -1, 0, ...near)]
}

function longerTexts(fc: FastCheck, { maxLength }: StringShape): Anything {
  const length = Number.isFinite(maxLength) ? maxLength + 1 : 0
  return fc.constant('a'.repeat(Math.min(length, 100_000)))
}

function nearlyLists(fc: FastCheck, shape: ArrayShape, level: number): Anything[] {
  const items = [...shape.first, ...(shape.rest === null ? [] : [shape.rest])]
  const lists = arbitraryOf(fc, shape, level) as Arbitrary<unknown[]>
  const wrong = items.map((item) => nearlyOf(fc, item, level + 1))
  const replaced = fc.tuple(lists, fc.nat(), fc.oneof(...wrong, plainJson(fc)))
  return [
    fc.constant([]),
    replaced.map(([list, at, item]) =>
      list.length > 0 ? list.with(at % list.length, item) : [item],
    ),
    lists.map((list) => [...list, ...list, ...list]),
    lists.map((list) => list.slice(1)),
  ]
}

function nearlyObjects(fc: FastCheck, shape: ObjectShape, level: number): Anything[] {
  const objects = arbitraryOf(fc, shape, level) as Arbitrary<Record<string, unknown>>
  return [
    objects.map((object) => ({ ...object, surplus: null })),
    ...shape.properties.flatMap(([name, part]) => [
      objects.map(({ [name]: _, ...rest }): unknown => rest),
      fc
        .tuple(objects, nearlyOf(fc, part, level + 1))
        .map(([object, value]): unknown => ({ ...object, [name]: value })),
    ]),
  ]
}
