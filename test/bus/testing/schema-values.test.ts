/**
 * Goal: values that are made of schemas fit them, and what is not understood is an error. Method: a
 * table of schemas; ajv and the schemas themselves judge the smallest value and fifty random ones.
 */

import { Ajv2020 } from 'ajv/dist/2020.js'
import { type } from 'arktype'
import * as fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineApi, type JsonSchema } from '../../../src/bus/index.ts'
import { fakeBus } from '../../../src/bus/testing/index.ts'
import { jsonSchemaToMake, shapeOfSchema } from '../../../src/bus/testing/schema-shape.ts'
import { arbitraryOf, nearlyOf } from '../../../src/bus/testing/shape-arbitrary.ts'
import { smallestValue } from '../../../src/bus/testing/smallest-value.ts'
import { stubMaker } from '../../../src/bus/testing/stub-maker.ts'

const ajv = new Ajv2020({ validateFormats: false, strict: false })

const list = { $ref: '#/$defs/list' }
const ROWS: readonly (readonly [schema: JsonSchema, smallest: unknown])[] = [
  [{}, null],
  [{ type: 'null' }, null],
  [{ type: 'boolean', title: 'a', default: true }, false],
  [{ const: { a: 1 } }, { a: 1 }],
  [{ type: 'string', enum: ['b', 'a'] }, 'b'],
  [{ type: 'number' }, 0],
  [{ type: 'number', minimum: 2.5, maximum: 2.6 }, 2.5],
  [{ type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 }, 0.5],
  [{ type: 'number', minimum: 1, exclusiveMinimum: 1 }, 2],
  [{ type: 'number', maximum: -3 }, -3],
  [{ type: 'integer', minimum: 2.5 }, 3],
  [{ type: 'integer', exclusiveMaximum: 0 }, -1],
  [{ type: 'integer', minimum: 5, multipleOf: 4 }, 8],
  [{ type: 'string' }, ''],
  [{ type: 'string', minLength: 3, maxLength: 3 }, 'aaa'],
  [{ minLength: 2 }, 'aa'],
  [{ type: 'string', format: 'date-time' }, '2026-01-01T00:00:00Z'],
  [{ type: 'string', pattern: '^a*$' }, ''],
  [{ type: ['string', 'null'] }, ''],
  [{ type: 'array' }, []],
  [{ type: 'array', items: { type: 'integer', minimum: 1 }, minItems: 2, maxItems: 3 }, [1, 1]],
  [{ type: 'array', items: { type: 'integer' }, uniqueItems: true, minItems: 1 }, [0]],
  [{ type: 'array', prefixItems: [{ type: 'string' }], items: false, minItems: 1 }, ['']],
  [{ type: 'object' }, {}],
  [
    {
      type: 'object',
      properties: { a: { type: 'string' }, b: { type: 'number' } },
      required: ['a', 'c'],
    },
    { a: '', c: null },
  ],
  [{ type: 'object', additionalProperties: { type: 'boolean' } }, {}],
  [
    { type: 'object', properties: { a: {} }, required: ['a'], additionalProperties: false },
    { a: null },
  ],
  [{ anyOf: [{ type: 'string', pattern: '^x{2}$' }, { type: 'null' }] }, null],
  [{ oneOf: [{ type: 'string' }, { type: 'number' }] }, ''],
  [{ allOf: [{ type: 'string', minLength: 1 }] }, 'a'],
  [
    {
      $defs: {
        list: { type: 'object', properties: { next: { anyOf: [{ type: 'null' }, list] } } },
      },
      ...list,
    },
    {},
  ],
  [
    jsonSchemaToMake(z.object({ id: z.uuid(), mail: z.email(), at: z.iso.datetime() })),
    {
      ...{ id: '00000000-0000-4000-8000-000000000000', mail: 'a@example.com' },
      at: '2026-01-01T00:00:00Z',
    },
  ],
  [jsonSchemaToMake(type({ kind: "'a' | 'b'", 'size?': 'number > 3' })), { kind: 'a' }],
]

describe.each(ROWS)('%j', (schema, smallest) => {
  const isValid = ajv.compile(schema)

  test('has a smallest value, which fits', () => {
    const value = smallestValue(shapeOfSchema(schema))
    expect(value).toEqual(smallest)
    expect(isValid(value)).toBe(true)
  })

  test('has random values, which fit and which JSON can carry', () => {
    const values = arbitraryOf(fc, shapeOfSchema(schema))
    fc.assert(
      fc.property(values, (value) => {
        expect(isValid(value), JSON.stringify(value)).toBe(true)
        expect(JSON.parse(JSON.stringify(value))).toEqual(value)
      }),
      { numRuns: 50 },
    )
  })

  test('has values that are almost such', () => {
    const values = fc.sample(nearlyOf(fc, shapeOfSchema(schema)), 200)
    const isAnything = JSON.stringify(schema) === '{}'
    expect(values.some((value) => !isValid(value))).toBe(!isAnything)
  })
})

test.each<[string, JsonSchema, string]>([
  ['an unknown keyword', { type: 'string', contentEncoding: 'base64' }, '"contentEncoding" at #'],
  ['a nested one', { type: 'array', items: { not: {} } }, '"not" at #/items'],
  ['a condition', { if: {}, then: {} }, '"if" at #'],
  ['two parts of allOf', { allOf: [{}, {}] }, '"allOf" at #'],
  ['an unknown type', { type: 'text' }, 'the type "text"'],
  [
    'a reference that is not there',
    { $ref: '#/$defs/a' },
    'refers to #/$defs/a, which is not there',
  ],
  ['a reference to elsewhere', { $ref: 'https://example.com/' }, 'which is not there'],
  ['no values', { enum: [] }, '#/enum is empty'],
  ['a part that is no schema', { type: 'array', items: 1 }, '#/items is no JSON Schema'],
  [
    'names with a pattern',
    { propertyNames: { pattern: 'a' } },
    '"propertyNames" is not understood',
  ],
])('%s is not understood', (_, schema, message) => {
  expect(() => shapeOfSchema(schema)).toThrow(message)
})

test.each<[string, JsonSchema, string]>([
  ['a pattern', { type: 'string', pattern: '^x$' }, 'no text is known for the pattern ^x$'],
  ['an unknown format', { type: 'string', format: 'iban' }, 'the format "iban"'],
  ['items that differ', { type: 'array', minItems: 2, uniqueItems: true }, 'its items must differ'],
  ['too few items', { type: 'array', items: false, minItems: 1 }, 'it must have 1 items'],
  ['properties without names', { type: 'object', minProperties: 1 }, 'must have 1 properties'],
  ['no number', { type: 'integer', minimum: 0.2, maximum: 0.8 }, 'no number is between'],
  [
    'itself inside',
    { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
    'it has itself inside',
  ],
])('a schema with %s has no smallest value', (_, schema, message) => {
  expect(() => smallestValue(shapeOfSchema(schema))).toThrow(message)
})

describe('a stub', () => {
  const api = defineApi({
    name: 'stubbed',
    version: '1.0.0',
    rpcs: {
      order: {
        output: z.object({
          id: z.uuid(),
          total: z.number().min(1),
          at: z.string().transform(Number),
        }),
      },
      plain: {
        output: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
      },
      nothing: {},
      picky: { output: z.string().refine((text) => text === 'open sesame') },
      older: { output: v.string() },
    },
  })

  test('is made by json-schema-faker, is valid, and is the same each time', async () => {
    const answers: unknown[] = []
    for (let run = 0; run < 2; run++) {
      await using fake = fakeBus({ apis: [api], stubs: 'fromSchema' })
      const caller = fake.bus.api(api)
      answers.push([await caller.order(), await caller.plain(), await caller.nothing()])
    }
    expect(answers[0]).toEqual(answers[1])
    expect(answers[0]).toMatchObject([
      { id: expect.any(String) },
      { a: expect.any(Number) },
      undefined,
    ])
  })

  test('is the smallest valid value if that package is not installed', async () => {
    const { answer } = stubMaker(async () => null)
    expect(await answer(api.rpcs.order)).toEqual({
      ...{ id: '00000000-0000-4000-8000-000000000000', total: 1, at: '' },
    })
    expect(await answer(api.rpcs.plain)).toEqual({ a: 0 })
    expect(await answer(api.rpcs.nothing)).toBeUndefined()
    await expect(answer(api.rpcs.picky)).rejects.toThrow('the schema refuses what was made of it')
    await expect(answer(api.rpcs.older)).rejects.toThrow('the schemas of valibot cannot be read')
  })

  test('that cannot be made is an error that says to mock it, and a mock comes first', async () => {
    await using fake = fakeBus({ apis: [api], stubs: 'fromSchema' })
    const error = await fake.bus
      .api(api)
      .older()
      .catch((one: unknown) => one)
    expect(error).toMatchObject({ code: 'NOT_MOCKED' })
    expect(String(error)).toContain(
      'stubbed older has no mock, and no stub can be made: the schemas of valibot cannot be read ' +
        "as JSON Schemas; write `fake.mock(api, 'older', …)` before it",
    )
    fake.mock(api, 'older', 'mine')
    expect(await fake.bus.api(api).older()).toBe('mine')
  })
})
