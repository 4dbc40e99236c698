/**
 * Goal: a value is compared with a schema of others as ajv would, or it is said that it was not;
 * and no schema runs code, hangs, or has a valid value refused. Method: tables with ajv as the
 * oracle, and schemas that were made to do harm.
 */
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type SchemaCheck, type SchemaDocument, schemaChecker } from '../../src/bus/index.ts'

const DRAFT_07 = 'http://json-schema.org/draft-07/schema#'
const checker = await schemaChecker()
const trusting = await schemaChecker({ trustPatterns: true })

const documentWith = (payload: object | null, service = 'web'): SchemaDocument => ({
  ...{ itm: 1, api: 'shop', version: '1.0.0', service, hash: '' },
  ...{ rpcs: {}, events: { made: { payload: payload as never } } },
})

function check(schema: object, value: unknown, by = checker): SchemaCheck {
  return by.check([documentWith(schema)], { event: 'made' }, value)
}

/** @returns what ajv makes of a schema. */
function oracleOf(schema: { $schema?: string }): (value: unknown) => boolean {
  const options = { validateFormats: false, strict: false }
  const ajv = schema.$schema === DRAFT_07 ? new Ajv(options) : new Ajv2020(options)
  const validate = ajv.compile(schema)
  return (value) => validate(value) === true
}

const VALUES: readonly unknown[] = [
  ...[null, true, 0, 1.5, -3, 12, '', 'a', 'abc', '😀', [], [1], ['a', 1], [1, 1], [{}, {}]],
  ...[{}, { a: 1 }, { a: 'x' }, { a: 1, b: 2 }, { b: 'abc' }, { a: { a: { a: 1 } } }, { c: null }],
  ...[JSON.parse('{"__proto__":{"a":1}}'), { constructor: 1 }, { 'a/b~c': 'no' }],
]

const PLAIN: readonly object[] = [
  ...[{}, { type: 'integer' }, { type: ['string', 'null'] }, { enum: [1.5, 'a', [1]] }],
  ...[{ const: { a: 1 } }, { minimum: 1, exclusiveMaximum: 12 }, { multipleOf: 0.5 }],
  ...[{ minLength: 1, maxLength: 1 }, { minItems: 1, uniqueItems: true }, { maxProperties: 1 }],
  ...[{ items: { type: 'integer' } }, { prefixItems: [{ type: 'string' }], items: false }],
  ...[{ contains: { type: 'integer' }, maxContains: 1 }, { required: ['a'] }],
  { properties: { a: { type: 'integer' }, b: true }, additionalProperties: false },
  { properties: { a: {} }, unevaluatedProperties: { type: 'integer' } },
  { allOf: [{ properties: { a: {} } }], unevaluatedProperties: { type: ['integer', 'object'] } },
  { oneOf: [{ required: ['a'] }, { required: ['b'] }], type: 'object' },
  { anyOf: [{ type: 'null' }, { minLength: 3 }], not: { type: 'array' } },
  { if: { required: ['a'] }, ['then']: { required: ['b'] }, else: { maxProperties: 0 } },
  { dependentRequired: { a: ['b'] }, propertyNames: { maxLength: 1 } },
  { dependentSchemas: { a: { required: ['b'] } } },
  { $ref: '#/$defs/n', $defs: { n: { type: 'object', properties: { a: { $ref: '#/$defs/n' } } } } },
  { properties: { a: { $ref: '#here' } }, $defs: { n: { $anchor: 'here', type: 'integer' } } },
  { properties: { a: { $ref: '#' } }, type: ['object', 'integer'] },
  { properties: { 'a/b~c': { type: 'integer' } } },
  { $schema: DRAFT_07, items: [{ type: 'string' }], additionalItems: false },
  { $schema: DRAFT_07, dependencies: { a: ['b'], b: { maxProperties: 1 } } },
]

describe('[B14] a value and a schema of others', () => {
  test.each(PLAIN.map((schema) => [schema]))('%j takes what ajv says', (schema) => {
    const fits = oracleOf(schema)
    for (const value of VALUES) {
      const { verdict, issues, unchecked } = check(schema, value)
      const is = fits(value) ? 'valid' : 'invalid'
      expect([value, verdict, unchecked]).toEqual([value, is, []])
      expect(issues.length > 0).toBe(is === 'invalid')
    }
  })

  const a = { pattern: '^a' }
  const PATTERNS: readonly object[] = [
    ...[
      a,
      { not: a },
      { oneOf: [a, { pattern: 'c$' }] },
      { oneOf: [a, a], anyOf: [{ minLength: 1 }] },
    ],
    ...[{ if: a, ['then']: { minLength: 3 }, else: { type: 'null' } }, { items: a }],
    ...[{ contains: a, maxContains: 1 }, { contains: { not: a } }, { propertyNames: a }],
    { patternProperties: { '^a': { type: 'integer' } }, additionalProperties: false },
    // Ajv takes names such as `constructor` for evaluated, so they are here too.
    { allOf: [{ patternProperties: { '^[ac_]': {} } }], unevaluatedProperties: false },
    { not: { $ref: '#/$defs/a' }, $defs: { a } },
    { oneOf: [{ $ref: '#/$defs/a' }, { type: 'string' }], $defs: { a } },
    { properties: { a: { not: { not: a } } } },
  ]

  test.each(PATTERNS.map((schema) => [schema]))('%j refuses nothing that fits', (schema) => {
    const fits = oracleOf(schema)
    const verdicts = VALUES.map((value) => {
      const { verdict, unchecked } = check(schema, value)
      expect(unchecked).not.toEqual([])
      if (fits(value)) expect([value, verdict]).toEqual([value, 'valid'])
      const trusted = check(schema, value, trusting)
      expect([value, trusted.verdict === 'valid']).toEqual([value, fits(value)])
      expect(trusted.unchecked).toEqual([])
      return verdict
    })
    expect(verdicts).toContain('valid')
  })

  test('in draft-07 nothing else counts beside a $ref', () => {
    const schema = { $ref: '#/definitions/n', type: 'array', definitions: { n: {} } }
    expect(check({ ...schema, $schema: DRAFT_07 }, 1).verdict).toBe('valid')
    expect(check(schema, 1).verdict).toBe('invalid')
  })

  test('says where it does not fit, and never what was there', () => {
    const schema = {
      type: 'object',
      properties: { list: { items: { anyOf: [{ type: 'null' }, { const: 'public' }] } }, a: {} },
      required: ['a', 'b'],
    }
    const { issues, service, verdict } = check(schema, { list: [null, 'secret-4711'], a: 1 })
    expect([verdict, service]).toEqual(['invalid', 'web'])
    expect(issues).toEqual([
      { path: [], message: expect.stringContaining('"b"') },
      { path: ['list', 1], message: 'fits none of the alternatives' },
    ])
    expect(JSON.stringify(issues)).not.toMatch(/4711|public/)
  })

  test('nothing, and what is no JSON, has an outcome too', () => {
    const whole = (payload: object | undefined | null, value: unknown) => {
      const document = {
        ...documentWith({}),
        events: { made: payload === undefined ? {} : { payload } },
      }
      return checker.check([document as never], { event: 'made' }, value)
    }
    expect(whole(undefined, undefined).verdict).toBe('valid')
    expect(whole(undefined, 1).verdict).toBe('invalid')
    expect(whole({}, undefined).verdict).toBe('invalid')
    expect(whole(null, 1)).toMatchObject({ verdict: 'unknown', reason: /no JSON Schema/ })
    for (const value of [new Date(), [1n], { a: new Map() }, [undefined], Number.NaN]) {
      expect(whole({}, value)).toMatchObject({ verdict: 'unknown', reason: /not JSON/ })
    }
  })

  test('of several documents one has to take it', () => {
    const documents = [
      documentWith({ type: 'string' }, 'a'),
      documentWith({ type: 'number' }, 'b'),
      { ...documentWith({}, 'c'), events: {} },
    ]
    const of = (value: unknown, given = documents) => checker.check(given, { event: 'made' }, value)
    expect(of(1)).toMatchObject({ verdict: 'valid', service: 'b' })
    expect(of(null)).toMatchObject({ verdict: 'invalid', service: 'a' })
    const vague = [...documents, documentWith({ $ref: '#' }, 'd')]
    expect(of(null, vague)).toMatchObject({ verdict: 'unknown', service: 'd' })
    expect(of(1, [])).toMatchObject({ verdict: 'unknown', service: null })
    expect(of(1, documents.slice(2))).toMatchObject({ verdict: 'unknown', service: null })
  })
})

/** Each level has the next one twice. */
const doubling = (keyword: string, of: (next: object) => object = (next) => next) => {
  const $defs: Record<string, object> = { d50: { type: 'string' } }
  for (let level = 0; level < 50; level++) {
    const next = of({ $ref: `#/$defs/d${level + 1}` })
    $defs[`d${level}`] = { [keyword]: [next, next] }
  }
  return { $ref: '#/$defs/d0', $defs }
}
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const names = numbers(40_000).map((index) => `p${index}`)
const nested = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`)
const chain = (length: number, last: object) => {
  const $defs: Record<string, object> = { [`d${length}`]: last }
  for (const level of numbers(length))
    $defs[`d${level}`] = { allOf: [{ $ref: `#/$defs/d${level + 1}` }] }
  return { $ref: '#/$defs/d0', $defs }
}

describe('[B14] no schema of others hangs, or runs code:', () => {
  test.each<[string, object, unknown, string]>([
    ['a $ref in a circle', { $ref: '#' }, 1, 'circles'],
    [
      'two in a circle',
      { allOf: [{ $ref: '#/$defs/a' }], $defs: { a: { not: { $ref: '#' } } } },
      1,
      'circles',
    ],
    ['circles that branch', { anyOf: [{ $ref: '#' }, { $ref: '#' }] }, 1, 'circles'],
    ['3,000 references', chain(3000, {}), 1, 'nested too deeply'],
    ['2⁵⁰ of allOf', doubling('allOf'), 'a', 'too much work'],
    ['2⁵⁰ of anyOf', doubling('anyOf'), 1, 'too much work'],
    ['2⁵⁰ of oneOf', doubling('oneOf'), 1, 'too much work'],
    ['2⁵⁰ of allOf and not', doubling('allOf', (not) => ({ not })), 1, 'too much work'],
    ['uniqueItems of 20,000', { uniqueItems: true }, numbers(20_000), 'too much work'],
    [
      'uniqueItems of objects',
      { uniqueItems: true },
      numbers(2000).map((a) => ({ a: [a] })),
      'too much work',
    ],
    ['a large enum', { items: { enum: names } }, Array(5000).fill('p39999'), 'too much work'],
    ['names that are missing', { items: { required: names } }, Array(50).fill({}), 'too much work'],
    [
      'long texts',
      { items: { allOf: Array(99).fill({ minLength: 2 }) } },
      Array(9).fill('x'.repeat(2 ** 20)),
      'too much work',
    ],
    ['a deep value', {}, nested(10_000), 'deeper than 64'],
    ['a $ref by HTTP', { $ref: 'http://127.0.0.1:1/schema' }, 1, 'leads nowhere'],
    ['a $ref to a file', { $ref: 'file:///etc/passwd' }, 1, 'leads nowhere'],
    ['an $id inside', { items: { $id: 'http://a/', $ref: '#' } }, [1], '$id of its own'],
    ['an anchor twice', { allOf: [{ $anchor: 'a' }, { $anchor: 'a' }] }, 1, 'anchor twice'],
    ['another draft', { $schema: 'https://example.com/draft' }, 1, 'not known here'],
    ['a type that is none', { type: 'strin' }, 'a', '"type" of another form'],
    ['required that is none', { required: { length: 2 ** 32 } }, {}, '"required" of another form'],
    ['properties that are none', { properties: [1] }, {}, '"properties" of another form'],
    ['a schema that is none', { items: 7 }, [1], 'no schema'],
    [
      'a name that is no text',
      { properties: { '\ud800': { type: 'null' } } },
      { '\ud800': 1 },
      'cannot be interpreted',
    ],
  ])('%s', (_, schema, value, reason) => {
    const { verdict, reason: said, issues } = check(schema, value)
    expect(said).toContain(reason)
    expect([verdict, issues]).toEqual(['unknown', []])
    // It works as before afterwards.
    expect(check({ type: 'string' }, 'a').verdict).toBe('valid')
  })

  test('issues that are many are few, and soon', () => {
    const value = { a: numbers(5000) }
    const { issues } = check(
      chain(100, { properties: { a: { contains: { type: 'null' } } } }),
      value,
    )
    expect(issues).toEqual([{ path: ['a'], message: expect.stringContaining('no item') }])
    expect(check({ required: names.slice(0, 9000) }, {}).issues).toHaveLength(100)
  })

  test('a keyword that can call out of itself is not known', () => {
    const schema = { $dynamicRef: '#node', $dynamicAnchor: 'node', not: { $dynamicRef: '#node' } }
    expect(check(schema, 1)).toMatchObject({ verdict: 'valid', unchecked: ['$dynamicRef', 'not'] })
  })

  test('patterns and formats are not run, and nothing is compiled', () => {
    const made: unknown[] = []
    const spied = (name: 'RegExp' | 'Function') =>
      vi.stubGlobal(
        name,
        class {
          constructor(...given: unknown[]) {
            made.push(name, ...given)
          }
        },
      )
    const schema = {
      ...{ pattern: '^(a+)+$', format: 'regex', contentMediaType: 'text/javascript' },
      ...{
        patternProperties: { '^(a+)+$': {} },
        __absolute_ref__: 'x',
        constructor: { type: 'null' },
      },
    }
    spied('RegExp')
    spied('Function')
    const checked = check(schema, `${'a'.repeat(40)}!`)
    vi.unstubAllGlobals()
    expect(made).toEqual([])
    expect(checked).toMatchObject({ verdict: 'valid', unchecked: ['pattern', 'patternProperties'] })
    expect(check({ pattern: '(' }, 'a', trusting)).toMatchObject({ verdict: 'unknown' })
  })
})

describe('[B14] the package that interprets', () => {
  afterEach(() => {
    vi.doUnmock('@cfworker/json-schema')
    vi.resetModules()
  })

  const openWith = async (module: () => object) => {
    vi.resetModules()
    vi.doMock('@cfworker/json-schema', module)
    const fresh = await import('../../src/bus/schema/schema-checker.ts')
    return fresh.schemaChecker()
  }
  const missing = {
    ...{ name: 'UsageError', code: 'NO_VALIDATOR' },
    message: expect.stringContaining('npm install @cfworker/json-schema@4'),
  }

  test('is named if it is not installed', async () => {
    const opened = openWith(() => {
      throw new Error('Cannot find package')
    })
    await expect(opened).rejects.toMatchObject(missing)
  })

  test('is refused if its work cannot be counted', async () => {
    const validate = () => ({ valid: true, errors: [] })
    await expect(openWith(() => ({ validate }))).rejects.toMatchObject(missing)
  })

  test('options that are none are refused', async () => {
    for (const options of [null, { trust: true }, { trustPatterns: 1 }]) {
      await expect(schemaChecker(options as never)).rejects.toMatchObject({ name: 'UsageError' })
    }
  })
})
