/**
 * Goal: a value is checked alike, whichever library made the schema. Method: the same rule in zod,
 * valibot, arktype and as JSON Schema; schemas that answer late, throw, or cannot be compiled.
 */
import { Ajv } from 'ajv'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ApiSchema } from '../../src/bus/index.ts'
import { SchemaChecks } from '../../src/bus/schema-check.ts'

const checks = new SchemaChecks(undefined)
const json = {
  type: 'object',
  properties: { user: { type: 'object', properties: { names: { type: 'array' } } } },
  required: ['user'],
}
const SCHEMAS: readonly (readonly [string, ApiSchema])[] = [
  ['zod', z.object({ user: z.object({ names: z.array(z.string()) }) })],
  ['valibot', v.object({ user: v.object({ names: v.array(v.string()) }) })],
  ['arktype', type({ user: { names: 'string[]' } })],
  [
    'JSON Schema 2020-12',
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: {
        user: { $ref: '#/$defs/user' },
      },
      required: ['user'],
      $defs: {
        user: {
          type: 'object',
          properties: { names: { type: 'array', items: { type: 'string' } } },
          required: ['names'],
        },
      },
    },
  ],
]

describe.each(SCHEMAS)('%s', (_, schema) => {
  test('gives the value that fits', async () => {
    const value = { user: { names: ['Ada'] } }
    expect(await checks.check(schema, value)).toEqual({ value })
  })

  test('says where a value does not fit, and never what was there', async () => {
    const { issues } = await checks.check(schema, { user: { names: ['Ada', 4711] } })
    expect(issues!.map(({ path }) => path)).toEqual([['user', 'names', 1]])
    expect(JSON.stringify(issues)).not.toContain('4711')
  })
})

test('a schema that answers with a promise is awaited', async () => {
  const taken = z.string().refine(async (name) => name !== 'ada', 'is taken')
  expect(await checks.check(taken, 'bob')).toEqual({ value: 'bob' })
  const { issues } = await checks.check(taken, 'ada')
  expect(issues).toEqual([{ path: [], message: 'is taken' }])
})

test('a JSON Schema of draft-07 has its own rules', async () => {
  const $schema = 'http://json-schema.org/draft-07/schema#'
  const pair = { $schema, type: 'array', items: [{ type: 'string' }], additionalItems: false }
  expect(await checks.check(pair, ['a'])).toEqual({ value: ['a'] })
  expect((await checks.check(pair, ['a', 'b'])).issues).toHaveLength(1)
})

test('a JSON Schema that ajv refuses is an error of the program', async () => {
  const error = { name: 'UsageError', message: expect.stringContaining('does not take') }
  await expect(checks.prepare({ type: 'strin' })).rejects.toMatchObject(error)
  await expect(checks.prepare({ $ref: '#/nowhere' })).rejects.toMatchObject(error)
})

test('a JSON Schema of another draft needs an Ajv of the user', async () => {
  const schema = { $schema: 'https://json-schema.org/draft/2019-09/schema', type: 'string' }
  await expect(checks.prepare(schema)).rejects.toThrow('give your own Ajv')
  const own = new SchemaChecks(new Ajv({ validateSchema: false }))
  expect(await own.check(schema, 'a')).toEqual({ value: 'a' })
})

test('the user may give an Ajv, with formats of its own', async () => {
  const ajv = new Ajv({ formats: { even: (text) => text.length % 2 === 0 } })
  const own = new SchemaChecks(ajv)
  const schema = { type: 'string', format: 'even' }
  expect(await own.check(schema, 'ab')).toEqual({ value: 'ab' })
  expect((await own.check(schema, 'abc')).issues).toHaveLength(1)
})

test('a path of a JSON Pointer has its slashes back', async () => {
  const schema = { properties: { 'a/b~c': { type: 'string' } } }
  const { issues } = await checks.check(schema, { 'a/b~c': 1 })
  expect(issues![0]!.path).toEqual(['a/b~c'])
})

test('a prototype in a value is no way around a schema', async () => {
  const value = JSON.parse('{"__proto__": {"user": {"names": []}}}')
  expect((await checks.check(json, value)).issues).toHaveLength(1)
})
