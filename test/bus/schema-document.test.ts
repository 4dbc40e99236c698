/**
 * Goal: an API as data is the same text wherever it is made, and what is read back is that or
 * refused. Method: APIs of three libraries; documents of strangers, as bytes; a table of changes.
 */
import { createHash } from 'node:crypto'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  compareSchemas,
  defineApi,
  dumpSchema,
  type JsonSchema,
  loadSchema,
  type SchemaDocument,
  schemaText,
} from '../../src/bus/index.ts'

const node: z.ZodType = z.object({
  name: z.string(),
  get kids() {
    return z.array(node)
  },
})

const shop = defineApi({
  name: 'shop/cart',
  version: '2.1.0',
  description: 'What is bought.',
  rpcs: {
    pay: {
      input: z.object({ sum: z.string().transform(Number), on: z.number().int().optional() }),
      output: type({ ok: 'boolean' }),
      errors: { POOR: z.object({ missing: z.number() }), GONE: { type: 'null' } },
      idempotent: true,
      description: 'Pays.',
    },
    constructor: { input: node },
    at: { input: z.date(), output: v.string() },
    bare: {},
  },
  events: { paid: { payload: { type: 'object', properties: { z: {}, a: {} } } }, closed: {} },
})
const document = dumpSchema(shop, { service: 'web' })
const text = schemaText(document)

/** A document with other parts and the hash of them. */
function forged(change: (parts: Record<string, unknown>) => void): string {
  const { hash: _, ...parts } = JSON.parse(text) as Record<string, unknown>
  change(parts)
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, part]) => [name, sorted(part)]),
    )
  }
  const hash = createHash('sha256')
    .update(JSON.stringify(sorted(parts)))
    .digest('hex')
  return JSON.stringify({ ...parts, hash })
}

describe('[B12] a schema document', () => {
  test('has the values as they travel, before transformations', () => {
    expect(JSON.parse(text)).toMatchObject({
      ...{ itm: 1, api: 'shop/cart', version: '2.1.0', service: 'web' },
      description: 'What is bought.',
      rpcs: {
        pay: {
          input: { type: 'object', properties: { sum: { type: 'string' } }, required: ['sum'] },
          output: { properties: { ok: { type: 'boolean' } } },
          errors: { GONE: { type: 'null' }, POOR: { required: ['missing'] } },
          idempotent: true,
        },
        constructor: { input: { properties: { kids: { items: { $ref: '#' } } } } },
      },
    })
    expect(document.rpcs['bare']).toEqual({})
    expect(document.events['closed']).toEqual({})
    expect(text).not.toContain('$schema')
  })

  test('is one text: names sorted, no spaces, and a hash of the rest', () => {
    const names = text.match(/"(?:api|events|hash|itm|rpcs|service|version)":/g)
    expect(names).toEqual([...names!].sort())
    expect(text).toContain('"properties":{"a":{},"z":{}}')
    expect(forged(() => {})).toContain(document.hash)
    const swapped = defineApi({
      ...{ name: 'shop/cart', version: '2.1.0', description: 'What is bought.' },
      events: { closed: {}, paid: { payload: { properties: { a: {}, z: {} }, type: 'object' } } },
      rpcs: { bare: {}, at: shop.rpcs.at, constructor: shop.rpcs.constructor, pay: shop.rpcs.pay },
    })
    expect(schemaText(dumpSchema(swapped, { service: 'web' }))).toBe(text)
    expect(dumpSchema(shop, { service: 'other' }).hash).not.toBe(document.hash)
  })

  test('sorts names that are numbers as texts', () => {
    const payload = { type: 'object', properties: { 9: {}, 10: {}, é: {}, Z: {} } }
    const api = defineApi({ name: 'a', version: '1.0.0', events: { e: { payload } } })
    const written = schemaText(dumpSchema(api, { service: 's' }))
    expect(written).toContain('{"10":{},"9":{},"Z":{},"é":{}}')
    expect(loadSchema(written)).toEqual(dumpSchema(api, { service: 's' }))
  })

  test('is made of several APIs in their order', () => {
    const other = defineApi({ name: 'other', version: '1.0.0' })
    const documents = dumpSchema([shop, other], { service: 'web' })
    expect(documents.map(({ api }) => api)).toEqual(['shop/cart', 'other'])
  })
})

test('[B15] a schema without a JSON Schema form is null in the document', () => {
  expect(document.rpcs['at']).toEqual({ input: null, output: null })
})

test.each<[string, JsonSchema, string]>([
  ['that is not JSON', { enum: [1n] }, 'a bigint'],
  ['with a Date', { const: new Date(0) }, 'of the class Date'],
  ['with a number that JSON has not', { minimum: Number.NaN }, 'NaN'],
  ['that refers to another', { $ref: 'https://example.com/a.json' }, 'leads out of the schema'],
  ['that refers to nothing', { $ref: '#/$defs/a' }, 'leads to no schema'],
  ['that is a circle', circle(), 'deeper than 64 levels'],
  ['that is too long', { enum: ['x'.repeat(300_000)] }, 'split the API'],
])('a JSON Schema %s is no document', (_, input, message) => {
  const api = defineApi({ name: 'a', version: '1.0.0', rpcs: { r: { input } } })
  const error = { name: 'UsageError', message: expect.stringContaining(message) }
  expect(() => dumpSchema(api, { service: 's' })).toThrow(expect.objectContaining(error))
})

function circle(): JsonSchema {
  const schema: Record<string, unknown> = { type: 'object' }
  schema['not'] = schema
  return schema
}

test('dumpSchema refuses other things than an API, a service and its options', () => {
  expect(() => dumpSchema({} as never, { service: 's' })).toThrow('what defineApi() returned')
  expect(() => dumpSchema(shop, { service: 'a/b' })).toThrow('dumpSchema: service')
  expect(() => dumpSchema(shop, { service: 's', to: 1 } as never)).toThrow('no field "to"')
})

describe('[B14] a document that came from anywhere', () => {
  test('is read back as it was made, from text, bytes and indented text', () => {
    expect(loadSchema(text)).toEqual(document)
    expect(loadSchema(new TextEncoder().encode(text))).toEqual(document)
    const read = loadSchema(JSON.stringify(JSON.parse(text), null, 2))
    expect(schemaText(read)).toBe(text)
    expect(Object.isFrozen(read.rpcs['pay']!.input)).toBe(true)
    expect(Object.keys(read.rpcs)).toContain('constructor')
    expect('valueOf' in read.rpcs).toBe(false)
  })

  const rpc = (input: unknown) =>
    forged((parts) => {
      parts['rpcs'] = { r: { input } }
    })
  const deep = `${'{"not":'.repeat(70)}{}${'}'.repeat(70)}`
  const withKey = (key: string) => text.replace('"bare":{}', `"bare":{},${key}:{}`)

  test.each<[string, string | Uint8Array, string]>([
    ['of 1 MB', ' '.repeat(1_000_000), 'at most 262144'],
    ['of 1 MB in bytes', new Uint8Array(1_000_000), 'at most 262144'],
    ['whose letters have many bytes', `"${'é'.repeat(200_000)}"`, 'at most 262144'],
    ['that is empty', '', 'not JSON'],
    ['that is not UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 'not UTF-8'],
    ['that is not JSON', '{"itm":1', 'not JSON'],
    ['that is null', 'null', 'no JSON object'],
    ['that is a list', '[]', 'no JSON object'],
    ['of 70 levels', rpc(JSON.parse(deep)), 'deeper than 64 levels'],
    ['of 100,000 levels', '['.repeat(100_000), 'deeper than 64 levels'],
    ['with two schemas for one name', withKey('"bare"'), '"bare" stands twice'],
    ['with one name written twice', withKey('"b\\u0061re"'), '"bare" stands twice'],
    ['with an rpc __proto__', withKey('"__proto__"'), '"__proto__" cannot be a name'],
    ['with an rpc then', withKey('"then"'), '"then" cannot be a name'],
    ['with an rpc a/b', withKey('"a/b"'), '"a/b" cannot be a name'],
    ['of another format', text.replace('"itm":1', '"itm":2'), 'itm is not 1'],
    ['of no format', '{}', 'itm is not 1'],
    ['with a field more', text.replace('{', '{"x":1,'), 'a field "x"'],
    ['with another hash', text.replace('"web"', '"wob"'), 'hash is that of other contents'],
    ['with a circle of references', rpc({ $ref: 5 }), ''],
    ['with a reference to elsewhere', rpc({ not: { $ref: 'file:///etc/passwd' } }), 'leads out'],
    ['with a relative reference', rpc({ items: { $dynamicRef: 'other' } }), 'leads out'],
    ['with a reference to a text', rpc({ $ref: '#/title', title: 'a' }), 'leads to no schema'],
    ['with a schema that is a text', rpc('string'), 'no JSON object'],
    ['of an API like a version', text.replace('shop/cart', 'shop/v1'), 'stand for versions'],
    ['of an API of the bus', text.replace('shop/cart', '_dead'), 'for the bus itself'],
    ['of a version in words', text.replace('2.1.0', 'zzz'), 'its version is "zzz"'],
    ['of a service with a slash', text.replace('"web"', '"a/b"'), 'its service'],
    ['that is idempotent in words', text.replace('"idempotent":true', '"idempotent":1'), 'neither'],
  ])('%s is refused', (title, given, message) => {
    if (title === 'with a circle of references') {
      // A number is no reference; it is left to who reads the schema.
      expect(loadSchema(given).rpcs['r']).toEqual({ input: { $ref: 5 } })
      return
    }
    const error = { name: 'UsageError', code: 'USAGE', message: expect.stringContaining(message) }
    expect(() => loadSchema(given)).toThrow(expect.objectContaining(error))
  })

  test('may refer to itself: whoever compares it comes to an end', () => {
    const endless = (more: object) =>
      loadSchema(rpc({ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } }, ...more }))
    expect(compareSchemas(endless({}), endless({ minimum: 1 })).result).toBe('unknown')
  })

  test('changes no prototype', () => {
    const given = rpc(JSON.parse('{"properties":{"__proto__":{"type":"string"}}}'))
    const { input } = loadSchema(given).rpcs['r']!
    expect(Object.keys(input!['properties'] as object)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>)['type']).toBeUndefined()
    const plain = loadSchema(rpc({ properties: {} }))
    expect(compareSchemas(plain, loadSchema(given))).toMatchObject({
      result: 'unknown',
      changes: [{ path: '/rpcs/r/input/__proto__' }],
    })
  })
})

describe('[B13] documents are compared', () => {
  const string = { type: 'string' }
  const number = { type: 'number' }
  const either = { type: ['string', 'number'] }
  type Parts = Partial<Pick<SchemaDocument, 'rpcs' | 'events' | 'version'>>
  const made = ({ version = '1.0.0', ...parts }: Parts) =>
    loadSchema(
      forged((all) =>
        Object.assign(all, { rpcs: {}, events: {}, description: '', version }, parts),
      ),
    )
  const rpcs = (r: SchemaDocument['rpcs'][string]) => made({ rpcs: { r } })
  const event = (e: SchemaDocument['events'][string]) => made({ events: { e } })

  test.each<[string, SchemaDocument, SchemaDocument, string, string?]>([
    ['the same', rpcs({ input: string }), rpcs({ input: string }), 'same'],
    ['another version', made({}), made({ version: '1.0.1' }), 'compatible', '/version'],
    ['an rpc more', made({}), rpcs({}), 'compatible', '/rpcs/r'],
    ['an rpc less', rpcs({}), made({}), 'breaking', '/rpcs/r'],
    ['an event more', made({}), event({}), 'compatible', '/events/e'],
    ['an event less', event({}), made({}), 'breaking', '/events/e'],
    [
      'wider input',
      rpcs({ input: string }),
      rpcs({ input: either }),
      'compatible',
      '/rpcs/r/input',
    ],
    [
      'narrower input',
      rpcs({ input: either }),
      rpcs({ input: string }),
      'breaking',
      '/rpcs/r/input',
    ],
    [
      'narrower output',
      rpcs({ output: either }),
      rpcs({ output: number }),
      'compatible',
      '/rpcs/r/output',
    ],
    [
      'wider output',
      rpcs({ output: number }),
      rpcs({ output: either }),
      'breaking',
      '/rpcs/r/output',
    ],
    [
      'narrower events',
      event({ payload: either }),
      event({ payload: number }),
      'compatible',
      '/events/e/payload',
    ],
    [
      'wider events',
      event({ payload: number }),
      event({ payload: either }),
      'breaking',
      '/events/e/payload',
    ],
    ['input where was none', rpcs({}), rpcs({ input: string }), 'breaking', '/rpcs/r/input'],
    ['no input any more', rpcs({ input: string }), rpcs({}), 'breaking', '/rpcs/r/input'],
    ['output where was none', rpcs({}), rpcs({ output: string }), 'compatible', '/rpcs/r/output'],
    ['no output any more', rpcs({ output: string }), rpcs({}), 'breaking', '/rpcs/r/output'],
    ['an error more', rpcs({}), rpcs({ errors: { E: {} } }), 'breaking', '/rpcs/r/errors/E'],
    ['an error less', rpcs({ errors: { E: {} } }), rpcs({}), 'compatible', '/rpcs/r/errors/E'],
    [
      'a wider error',
      rpcs({ errors: { E: number } }),
      rpcs({ errors: { E: either } }),
      'breaking',
      '/rpcs/r/errors/E',
    ],
    ['idempotent now', rpcs({}), rpcs({ idempotent: true }), 'compatible', '/rpcs/r/idempotent'],
    ['idempotent no more', rpcs({ idempotent: true }), rpcs({}), 'breaking', '/rpcs/r/idempotent'],
    ['a schema in code', rpcs({ input: null }), rpcs({ input: null }), 'unknown', '/rpcs/r/input'],
    [
      'a schema in code now',
      rpcs({ input: string }),
      rpcs({ input: null }),
      'unknown',
      '/rpcs/r/input',
    ],
  ])('%s', (_, before, after, result, path) => {
    const comparison = compareSchemas(before, after)
    expect(comparison.result).toBe(result)
    expect(comparison.changes.map((change) => change.path)).toEqual(
      path === undefined ? [] : [path],
    )
  })

  test('documents of two APIs are not, and options are checked', () => {
    const other = dumpSchema(defineApi({ name: 'b', version: '1.0.0' }), { service: 's' })
    expect(() => compareSchemas(document, other)).toThrow('different APIs, "shop/cart" and "b"')
    expect(() => compareSchemas(document, {} as never)).toThrow('two schema documents')
    expect(() => compareSchemas(document, document, { undeclared: 'no' as never })).toThrow(
      'any, absent',
    )
  })
})
