/**
 * Goal: the verdict of a comparison is what validation says. Method: tables of pairs; then random
 * pairs of schemas, with values that the one schema takes, given to ajv with the other one.
 */
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareSchemas, defineApi, dumpSchema, type JsonSchema } from '../../src/bus/index.ts'

const ajv = new Ajv2020({ strict: false, validateFormats: false })

function documentOf(input: JsonSchema) {
  const api = defineApi({ name: 'a', version: '1.0.0', rpcs: { r: { input } } })
  return dumpSchema(api, { service: 's' })
}

function verdictOf(before: JsonSchema, after: JsonSchema, undeclared?: 'absent') {
  return compareSchemas(documentOf(before), documentOf(after), { undeclared })
}

const text = { type: 'string' }
const object = (properties: object, required: readonly string[] = [], rest: object = {}) => ({
  ...{ type: 'object', properties, required },
  ...rest,
})
const closed = { additionalProperties: false }
const tree = (leaf: object) => ({
  $ref: '#/$defs/node',
  $defs: { node: object({ leaf, next: { $ref: '#/$defs/node' } }, [], closed) },
})
const tagged = (...tags: string[]) => ({
  oneOf: tags.map((tag) => object({ tag: { const: tag }, value: text }, ['tag'], closed)),
})

/** A title, a schema, a wider one, and what it is to go back. */
type Row = [string, JsonSchema, JsonSchema, ('compatible' | 'breaking' | 'unknown')?]

describe('[B13] input that is wider is compatible, and narrower breaking', () => {
  const map = (values: JsonSchema) => ({ type: 'object', additionalProperties: values })
  const list = (items: JsonSchema | boolean, rest: object = {}) => ({
    ...{ type: 'array', items },
    ...rest,
  })
  const names = (pattern: string) => ({ type: 'object', propertyNames: { pattern } })

  test.each<Row>([
    ['a type more', text, { type: ['string', 'null'] }],
    ['a number for an integer', { type: 'integer' }, { type: 'number' }],
    ['a lower minimum', { type: 'number', minimum: 5 }, { type: 'number', minimum: 4 }],
    ['no maximum', { type: 'number', maximum: 5 }, { type: 'number' }],
    ['an open bound', { type: 'number', minimum: 1 }, { type: 'number', exclusiveMinimum: 0 }],
    ['a longer text', { ...text, maxLength: 5 }, { ...text, maxLength: 6 }],
    ['a finer step', { type: 'integer', multipleOf: 6 }, { type: 'integer', multipleOf: 3 }],
    ['a value more', { enum: ['a', 'b'] }, { enum: ['a', 'b', 'c'] }],
    ['any text', { enum: ['a', 'b'] }, text],
    ['booleans as a list', { type: 'boolean' }, { enum: [true, false, null] }],
    ['fewer required', object({ a: text }, ['a']), object({ a: text })],
    ['a new name', object({ a: text }, [], closed), object({ a: text, b: text }, [], closed)],
    ['an open object', object({ a: text }, [], closed), object({ a: text })],
    ['a map of more', map({ type: 'integer' }), map({ type: 'number' })],
    ['a map of what is named', object({ a: text }, [], closed), map(text)],
    ['a wider item', list({ type: 'integer' }), list({ type: 'number' })],
    ['a list for a pair', list(false, { prefixItems: [text, text] }), list(text)],
    ['no items', list({}, { prefixItems: [false, { type: 'number' }] }), list(text)],
    ['more items', list(text, { maxItems: 2 }), list(text, { maxItems: 3 })],
    ['fewer items', list(text, { minItems: 2 }), list(text, { minItems: 1 })],
    ['equal items', list(text, { uniqueItems: true }), list(text)],
    ['a branch more', tagged('a', 'b'), tagged('a', 'b', 'c')],
    ['one of two', { anyOf: [text, { type: 'null' }] }, { type: ['null', 'string', 'boolean'] }],
    [
      'types as branches',
      { type: ['null', 'string'] },
      { anyOf: [text, { type: 'null' }] },
      'compatible',
    ],
    [
      'branches in branches',
      { anyOf: [{ const: 1 }, { anyOf: [text, { const: 2 }] }] },
      { type: ['integer', 'string'] },
      'unknown',
    ],
    ['a wider leaf of a tree', tree({ type: 'integer' }), tree({ type: 'number' })],
    [
      'parts of all',
      { allOf: [{ minimum: 3 }, { type: 'integer' }] },
      { type: 'integer', minimum: 2 },
    ],
    [
      'a longer text beside a pattern',
      { pattern: '^a', maxLength: 4 },
      { pattern: '^a' },
      'unknown',
    ],
    ['no pattern', { ...text, pattern: '^a' }, text],
    ['a format less', { ...text, format: 'email' }, text, 'unknown'],
    ['any names', names('^a'), { type: 'object' }, 'unknown'],
    ['the same under not', { type: 'integer' }, { not: text }, 'unknown'],
    ['other words', { ...text, title: 'a' }, { ...text, description: 'b' }, 'compatible'],
  ])('%s', (_, narrow, wide, back = 'breaking') => {
    expect(verdictOf(narrow, wide)).toMatchObject({ result: 'compatible' })
    expect(verdictOf(wide, narrow).result).toBe(back)
  })

  test('what old callers may send under a new name is not known, unless nobody does', () => {
    const before = object({ a: text }, ['a'])
    const after = object({ a: text, b: text }, ['a'])
    expect(verdictOf(before, after)).toMatchObject({
      result: 'unknown',
      changes: [{ path: '/rpcs/r/input/b', kind: 'unknown' }],
    })
    expect(verdictOf(before, after, 'absent').result).toBe('compatible')
    expect(verdictOf(before, object({ a: text }, ['a'], closed)).result).toBe('breaking')
    expect(verdictOf(before, object({ a: text, b: text }, ['b']), 'absent').result).toBe('breaking')
  })

  test('what may fit several branches of oneOf is not compatible', () => {
    const both = { oneOf: [{ type: 'integer' }, { minimum: 2 }] }
    expect(verdictOf({ type: 'integer', minimum: 3 }, both).result).toBe('unknown')
  })

  test('the path of a change leads into the value', () => {
    const inner = (type: string) => object({ list: { type: 'array', items: { type } } })
    const { changes } = verdictOf(
      object({ 'a/b': inner('number') }),
      object({ 'a/b': inner('string') }),
    )
    expect(changes).toEqual([
      {
        path: '/rpcs/r/input/a~1b/list/*',
        kind: 'breaking',
        text: 'sent by old callers: it may be of the type integer, number',
      },
    ])
  })
})

describe('[B13] what is not understood is unknown, and never compatible', () => {
  test.each<[string, JsonSchema]>([
    ['a keyword of nobody', { type: 'integer', range: [1, 2] }],
    ['nullable of OpenAPI', { type: 'integer', nullable: true }],
    ['conditions', { type: 'integer', if: { minimum: 1 }, then: { maximum: 3 } }],
    ['a base of its own', { type: 'integer', $id: 'https://example.com/a' }],
    ['a dynamic reference', { $dynamicRef: '#here', $defs: { a: { $dynamicAnchor: 'here' } } }],
    ['a reference to an anchor', { $ref: '#here', $defs: { a: { $anchor: 'here' } } }],
    ['another draft', { $schema: 'https://json-schema.org/draft/2019-09/schema', type: 'integer' }],
    ['a reference in a circle', { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }],
    ['the whole in itself', { anyOf: [{ $ref: '#' }] }],
    ['a type of nobody', { type: 'int' }],
    ['a list that is none', { enum: 'a' }],
    ['required that is no list', { type: 'object', required: 'a' }],
    ['a bound that is no number', { type: 'integer', minimum: '1' }],
    ['items of draft-07', { type: 'array', items: [{ type: 'integer' }] }],
    ['a schema that is none', { type: 'object', properties: { a: 5 } }],
  ])('%s', (_, schema) => {
    const other = { ...schema, maxProperties: 1, maxItems: 1, maximum: 7, minLength: 1 }
    expect(verdictOf(schema, other).result).toBe('unknown')
    expect(verdictOf(schema, { ...schema, title: 'the same' }).result).not.toBe('breaking')
  })

  test('draft-07 is compared where it says the same', () => {
    const $schema = 'http://json-schema.org/draft-07/schema#'
    const { result } = verdictOf({ $schema, type: 'integer' }, { $schema, type: 'number' })
    expect(result).toBe('compatible')
    const pair = { $schema, type: 'array', prefixItems: [text] }
    expect(verdictOf(pair, { ...pair, maxItems: 2 }).result).toBe('unknown')
  })

  test('a schema that would take for ever ends', () => {
    const branches = Array.from({ length: 60 }, (_, i) => ({
      ...{ type: 'array', maxItems: i + 2, items: { $ref: '#' } },
    }))
    const wide = { anyOf: [...branches, { const: 1 }] }
    const before = process.cpuUsage()
    const many = { enum: Array.from({ length: 900 }, (_, i) => i) }
    expect(verdictOf({ anyOf: branches }, wide).result).toBe('unknown')
    expect(verdictOf(many, wide).result).toBe('unknown')
    expect(verdictOf(many, { type: 'integer', maximum: 898 }).result).toBe('breaking')
    // 0.3 s on an idle machine; without the bounds it does not end.
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000)
  })
})

const NAMES = ['a', 'b', 'c'] as const

const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(null, true, false, '', 'a', 'ab', 'abc', -1, 0, 1, 2, 3, 4, 0.5, 2.5),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value

const optional = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.option(arbitrary, { nil: undefined, freq: 2 })
const small = fc.integer({ min: 0, max: 3 })

/** Schemas of few words, so that one often says more than the other. */
const schemas = fc.letrec<{ schema: JsonSchema | boolean; inner: JsonSchema | boolean }>((tie) => ({
  inner: fc.oneof({ maxDepth: 2 }, fc.boolean(), tie('schema')),
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      type: fc.constantFrom('string', 'integer', 'number', 'null', 'boolean', ['null', 'string']),
      minimum: optional(small),
      exclusiveMaximum: optional(small),
      multipleOf: optional(fc.constantFrom(1, 2, 4, 0.5)),
      maxLength: optional(small),
      minLength: optional(small),
    }),
    fc.record({
      enum: fc.uniqueArray(fc.constantFrom(null, 'a', 'ab', 1, 2, true), { minLength: 1 }),
    }),
    fc.record({
      type: fc.constantFrom('array', undefined),
      items: optional(tie('inner')),
      prefixItems: optional(fc.array(tie('inner'), { minLength: 1, maxLength: 2 })),
      minItems: optional(small),
      maxItems: optional(small),
      uniqueItems: optional(fc.boolean()),
    }),
    fc.record({
      type: fc.constantFrom('object', undefined),
      properties: optional(fc.dictionary(fc.constantFrom(...NAMES), tie('inner'), { maxKeys: 2 })),
      required: optional(fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 })),
      additionalProperties: optional(tie('inner')),
      patternProperties: optional(fc.record({ '^[ab]': tie('inner') })),
      propertyNames: optional(fc.constantFrom({ enum: ['a', 'b'] }, { maxLength: 1 })),
      minProperties: optional(small),
      maxProperties: optional(small),
    }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ not: tie('schema') }),
    fc.record({ $ref: fc.constantFrom('#/$defs/x', '#/$defs/y'), maxProperties: optional(small) }),
  ),
})).schema

const roots = fc
  .tuple(schemas, schemas, schemas)
  .map(
    ([root, x, y]) => JSON.parse(JSON.stringify({ allOf: [root], $defs: { x, y } })) as JsonSchema,
  )
  .filter((schema) => isCompiled(schema))

/** The same schema with one part left out or changed: often a little wider or narrower. */
const pairs = fc.tuple(roots, roots, fc.nat(), fc.nat()).map(([one, other, at, how]) => {
  const changed = JSON.parse(JSON.stringify(one)) as JsonSchema
  const places: [Record<string, unknown>, string][] = []
  const look = (part: unknown) => {
    if (typeof part !== 'object' || part === null) return
    for (const key of Object.keys(part)) {
      if (!['allOf', '$defs', 'x', 'y'].includes(key)) places.push([part as never, key])
      look((part as Record<string, unknown>)[key])
    }
  }
  look(changed)
  const [part, key] = places[at % places.length] ?? [changed, 'allOf']
  if (how % 4 === 0) return [one, other] as const
  if (typeof part[key] === 'number') part[key] += (how % 3) - 1
  else if (Array.isArray(part[key])) part[key].splice(how % 2, 1)
  else Array.isArray(part) ? part.splice(Number(key), 1) : delete part[key]
  return [one, isCompiled(changed) ? changed : other] as const
})

function isCompiled(schema: JsonSchema): boolean {
  try {
    const validate = ajv.compile(schema)
    validate({ a: [1], b: {} })
    return true
  } catch {
    return false
  }
}

/** A schema that is defined by itself alone overflows the stack of ajv: nothing fits it. */
function isFitting(validate: (value: unknown) => unknown, value: unknown): boolean {
  try {
    return validate(value) === true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** Objects without names of their own are closed. */
function closedForm(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closedForm)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).map(([key, value]) => [key, closedForm(value)])
  const form = Object.fromEntries(entries) as Record<string, unknown>
  return 'properties' in form && !('additionalProperties' in form) ? { ...form, ...closed } : form
}

describe('[B13] what is called compatible is so for ajv', () => {
  const RUNS = 100

  function findProofs(undeclared: 'absent' | undefined) {
    const counts = { compatible: 0, breaking: 0, unknown: 0, same: 0, checked: 0, shown: 0 }
    fc.assert(
      fc.property(pairs, fc.array(values, { minLength: 40, maxLength: 40 }), ([a, b], given) => {
        const { result } = verdictOf(a, b, undeclared)
        counts[result]++
        if (result !== 'compatible' && result !== 'breaking') return
        // Inside of these a closed object would let more values fit.
        if (undeclared && /"(?:not|oneOf)"/.test(JSON.stringify(a))) return
        const from = ajv.compile(undeclared ? (closedForm(a) as JsonSchema) : a)
        const to = ajv.compile(b)
        const fitting = given.filter((value) => isFitting(from, value))
        const unfit = fitting.filter((value) => !isFitting(to, value))
        if (result === 'breaking') counts.shown += unfit.length > 0 ? 1 : 0
        else {
          counts.checked += fitting.length
          expect(unfit).toEqual([])
        }
      }),
      { numRuns: RUNS },
    )
    return counts
  }

  test('any properties', () => {
    const counts = findProofs(undefined)
    // The test says something only if there are many such pairs, and values of both kinds.
    expect(counts.compatible).toBeGreaterThan(RUNS / 10)
    expect(counts.checked).toBeGreaterThan(RUNS)
    expect(counts.shown).toBeGreaterThan(counts.breaking / 2)
  })

  test('no properties that the schema does not name', () => {
    const counts = findProofs('absent')
    expect(counts.compatible).toBeGreaterThan(RUNS / 10)
  })
})
