/**
 * Goal: a template fills, matches and filters as it says, and refuses what it must with the place
 * named. Method: tables; properties that `fill` and `match` are inverses and agree with the engine's
 * `matches()`; and a list of inputs that break programs.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytes, json, text, topic } from '../../src/client/index.ts'
import { type MqttError, matches, UsageError, validateTopic } from '../../src/index.ts'

/** A topic whose parameters the compiler does not know. */
const loose = (template: string) => topic(template)

/** @returns the error that a call throws. */
function errorOf(call: () => unknown): MqttError {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return error as MqttError
  }
  throw new Error('nothing was thrown')
}

describe('match', () => {
  test.each([
    ['plant/{line}/temp', 'plant/+/temp', 'plant/1/temp', { line: '1' }],
    ['plant/{line}/temp', 'plant/+/temp', 'plant//temp', null],
    ['plant/{line}/temp', 'plant/+/temp', 'plant/1/temp/x', null],
    ['plant/{line}/temp', 'plant/+/temp', 'plant/1', null],
    ['plant/{line}/temp', 'plant/+/temp', 'plant/1/temper', null],
    ['plant/{line}/temp', 'plant/+/temp', 'plants/1/temp', null],
    ['{a}/{b}', '+/+', 'x/y', { a: 'x', b: 'y' }],
    ['{a}/{b}', '+/+', '$SYS/y', null],
    ['a/{rest+}', 'a/#', 'a', null],
    ['a/{rest+}', 'a/#', 'a/', null],
    ['a/{rest+}', 'a/#', 'a/b', { rest: 'b' }],
    ['a/{rest+}', 'a/#', 'a/b/c/d', { rest: 'b/c/d' }],
    ['a/{rest+}', 'a/#', 'a//b', null],
    ['a/{rest+}', 'a/#', 'a/b//c', null],
    ['a/{rest+}', 'a/#', 'a/b/', null],
    ['{all+}', '#', '$SYS/x', null],
    ['{all+}', '#', 'x/y', { all: 'x/y' }],
    ['a/+/#', 'a/+/#', 'a/x/rest/of/it', { 0: 'x', 1: 'rest/of/it' }],
    ['a/+/#', 'a/+/#', 'a/', { 0: '', 1: '' }],
    ['a/+/#', 'a/+/#', 'a', null],
    ['a/+/{b}/+', 'a/+/+/+', 'a/x/y/z', { 0: 'x', b: 'y', 1: 'z' }],
    ['#', '#', '/', { 0: '/' }],
    ['#', '#', '$SYS', null],
    ['#', '#', '', null],
    ['/{a}', '/+', '/x', { a: 'x' }],
    ['a//{b}', 'a//+', 'a//x', { b: 'x' }],
    ['a/{b}/', 'a/+/', 'a/x/', { b: 'x' }],
    ['a/{b}/', 'a/+/', 'a/x', null],
    ['a', 'a', 'a', {}],
    ['$SYS/{a}', '$SYS/+', '$SYS/x', { a: 'x' }],
    ['$share/g/a/{b}', '$share/g/a/+', 'a/x', { b: 'x' }],
    ['$share/g/{b}', '$share/g/+', '$x', null],
    ['$shared/{b}', '$shared/+', '$shared/x', { b: 'x' }],
    ['{straße}', '+', '😀', { straße: '😀' }],
  ])('%s has the filter %s; %s gives %j', (template, filter, name, params) => {
    const made = loose(template)
    expect(made.filter).toBe(filter)
    expect(made.template).toBe(template)
    const given = made.match(name)
    expect(given === null ? null : { ...given }).toEqual(params)
  })

  test('names that every object has are names like any other', () => {
    const made = topic('{constructor}/{toString}/{hasOwnProperty}')
    const params = made.match('a/b/c')!
    expect(Object.entries(params)).toEqual([
      ['constructor', 'a'],
      ['toString', 'b'],
      ['hasOwnProperty', 'c'],
    ])
    expect(made.fill(params)).toBe('a/b/c')
    const none = topic('x/{a}').match('x/1') as unknown as Record<string, unknown>
    for (const name of ['constructor', 'toString', '__proto__']) expect(none[name]).toBeUndefined()
    expect(errorOf(() => loose('x/{toString}').fill({})).code).toBe('TOPIC_PARAMS')
  })
})

describe('properties', () => {
  const level = fc.constantFrom('', 'a', 'b', '$s', '😀')
  const names = fc
    .array(level, { minLength: 1, maxLength: 5 })
    .map((levels) => levels.join('/'))
    .filter((name) => validateTopic(name) === null)
  const templates = fc
    .tuple(
      fc.constantFrom('', '', '$share/g/'),
      fc.array(fc.oneof(level, fc.constantFrom('+', '{}', '{}')), { minLength: 1, maxLength: 4 }),
      fc.constantFrom('', '/#', '/{rest+}'),
    )
    .map(([share, levels, end]) => {
      const named = levels.map((text, index) => (text === '{}' ? `{p${index}}` : text))
      return `${share}${named.join('/')}${end}`
    })
    .filter((template) => template !== '' && template !== '$share/g/')

  test('what match accepts, the filter matches, and fill makes again', () => {
    fc.assert(
      fc.property(templates, names, (template, name) => {
        const made = loose(template)
        const params = made.match(name)
        if (params === null) {
          // The filter may match more: empty levels, where a name wants text.
          if (!template.includes('{')) expect(matches(made.filter, name)).toBe(false)
          else if (matches(made.filter, name)) expect(`/${name}/`).toMatch(/\/\/|^\/[^/]*\/$|\//)
          return
        }
        expect(matches(made.filter, name)).toBe(true)
        const again = made.fill(params)
        // # has '' for no level and for an empty one.
        if (template.endsWith('#') && name === `${again}/`) return
        expect(again).toBe(name)
      }),
      { numRuns: 3_000 },
    )
  })

  test('without empty levels, match accepts what the filter matches and has a level for each name', () => {
    fc.assert(
      fc.property(templates, names, (template, name) => {
        fc.pre(!name.split('/').includes(''))
        const made = loose(template)
        const isZero = template.endsWith('+}') && !matches(made.filter.replace(/#$/, '+/#'), name)
        expect(made.match(name) !== null).toBe(matches(made.filter, name) && !isZero)
      }),
      { numRuns: 3_000 },
    )
  })

  test('what fill makes, match takes apart', () => {
    const value = fc.string({ minLength: 1, unit: 'binary' }).filter((x) => !/[/+#\0]/.test(x))
    fc.assert(
      fc.property(value, fc.array(value, { minLength: 1 }), (a, rest) => {
        const params = { a, rest: rest.join('/') }
        expect({ ...topic('x/{a}/{rest+}').match(topic('x/{a}/{rest+}').fill(params)) }).toEqual(
          params,
        )
      }),
    )
  })
})

describe('topic() refuses', () => {
  test.each([
    ['', 'must not be empty'],
    ['a/{x}/{x}', 'level 3 ("{x}")'],
    ['a/{x+}/b', 'level 2 ("{x+}")'],
    ['a/#/b', 'level 2 ("#")'],
    ['a/x{y}z', 'level 2 ("x{y}z")'],
    ['a/{x}{y}', 'mixes braces with text'],
    ['a/{', 'level 2 ("{")'],
    ['a/}', 'level 2 ("}")'],
    ['a/{b/c}', 'level 2 ("{b")'],
    ['a/{}', 'level 2 ("{}") of the topic template "a/{}" has no name'],
    ['a/{+}', 'has no name'],
    ['a/{++}', 'is no name'],
    ['a/{0}', 'is no name'],
    ['a/{a b}', 'is no name'],
    ['a/{a.b}', 'is no name'],
    ['a/{😀}', 'is no name'],
    ['a/{__proto__}', 'is no name'],
    ['a/{#}', 'is no name'],
    ['a/b+/c', 'level 2 ("b+")'],
    ['a/b/c#', 'level 3 ("c#")'],
    ['a/\0/{b}', 'level 2 ("\\u0000")'],
    ['a/\ud800/{b}', 'level 2 ("\\ud800")'],
    ['x'.repeat(65_536), '65536 bytes'],
    ['$share', 'cannot be used'],
    ['$share/g', 'MQTT-4.8.2-2'],
    ['$share/g/', 'MQTT-4.8.2-2'],
    ['$share//a', 'MQTT-4.8.2-1'],
    ['$share/+/a', 'MQTT-4.8.2-2'],
    ['$share/{g}/a', 'level 2 ("{g}")'],
    ['$share/g/a/{x}/{x}', 'level 5 ("{x}")'],
  ])('%j', (template, place) => {
    const { message, code } = errorOf(() => loose(template))
    expect(message).toContain(place)
    expect(code).toBe('USAGE')
    expect(message.length).toBeLessThan(500)
  })

  test.each([
    ['a template that is no text', [1], 'string'],
    ['options that are no object', ['a', null], 'object'],
    ['an unknown option', ['a', { Qos: 1 }], '"Qos"'],
    ['a schema of another kind', ['a', { schema: { validate() {} } }], 'Standard Schema'],
    ['a codec without decode', ['a', { codec: { encode() {} } }], 'decode'],
    ['a QoS of 3', ['a', { qos: 3 }], '0, 1 or 2'],
    ['a retain that is no boolean', ['a', { retain: 1 }], 'boolean'],
  ])('%s', (_, given, problem) => {
    const call = topic as unknown as (...given: readonly unknown[]) => unknown
    expect(errorOf(() => call(...given)).message).toContain(problem)
  })

  test('options are kept, and the codec depends on the schema', () => {
    const schema = {
      '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
    } as const
    expect(topic('a')).toMatchObject({ codec: bytes, schema: undefined, qos: undefined })
    expect(topic('a', { schema })).toMatchObject({ codec: json, schema })
    const made = topic('a', { schema, codec: text, qos: 2, retain: true })
    expect(made).toMatchObject({ codec: text, qos: 2, retain: true })
  })
})

describe('fill', () => {
  test.each([
    ['plant/{line}/{n}', { line: 'a', n: 7 }, 'plant/a/7'],
    ['a/{b}', { b: -0 }, 'a/0'],
    ['a/{b}', { b: 1.5 }, 'a/1.5'],
    ['a/{b}', { b: '😀' }, 'a/😀'],
    ['a/{rest+}', { rest: 'x/y' }, 'a/x/y'],
    ['a/+/#', { 0: '', 1: '' }, 'a/'],
    ['a/+/#', { 0: 'x', 1: 'y/' }, 'a/x/y/'],
    ['$share/g/a/{b}', { b: 'x' }, 'a/x'],
    ['a', {}, 'a'],
    ['a/{b}', { b: '$x' }, 'a/$x'],
  ])('%s of %j is %s', (template, params, name) => {
    expect(loose(template).fill(params as Record<string, string>)).toBe(name)
  })

  test.each([
    ['a missing one', 'a/{b}', {}, '"b"'],
    ['undefined', 'a/{b}', { b: undefined }, '"b"'],
    ['an inherited one', 'a/{b}', Object.create({ b: 'x' }), '"b"'],
    ['an empty one', 'a/{b}', { b: '' }, 'empty'],
    ['an empty rest', 'a/{b+}', { b: '' }, 'empty'],
    ['an empty level', 'a/{b+}', { b: 'x//y' }, 'empty level'],
    ['a rest that begins with /', 'a/{b+}', { b: '/x' }, 'empty level'],
    ['a separator', 'a/{b}', { b: 'x/y' }, 'have / in "b"'],
    ['a separator in +', 'a/+', { 0: 'x/y' }, 'have / in "0"'],
    ['+', 'a/{b}', { b: '+' }, 'have + in "b"'],
    ['#', 'a/{b+}', { b: 'x/#' }, 'have # in "b"'],
    ['U+0000', 'a/{b}', { b: 'x\0' }, 'U+0000'],
    ['a lone surrogate', 'a/{b}', { b: '\udfff' }, 'lone surrogate'],
    ['an unknown one', 'a/{b}', { b: 'x', c: 'y' }, '"c"'],
    ['__proto__', 'a/{b}', JSON.parse('{"b":"x","__proto__":"y"}'), '"__proto__"'],
    ['constructor', 'a/{b}', { b: 'x', constructor: 'y' }, '"constructor"'],
    ['a boolean', 'a/{b}', { b: true }, 'string'],
    ['an object', 'a/{b}', { b: {} }, 'string'],
    ['NaN', 'a/{b}', { b: Number.NaN }, 'finite'],
    ['Infinity', 'a/{b}', { b: Infinity }, 'finite'],
    ['1e21, which is written with a +', 'a/{b}', { b: 1e21 }, 'have + in'],
    ['null', 'a/{b}', null, 'object'],
    ['65,536 bytes', 'a/{b}', { b: 'x'.repeat(65_534) }, '65536 bytes'],
    ['$ at the beginning', '{a}', { a: '$SYS' }, 'begins with $'],
    ['$ at the beginning of a rest', '{a+}', { a: '$SYS/x' }, 'begins with $'],
    ['nothing at all', '#', { 0: '' }, 'empty'],
  ])('refuses %s', (_, template, params, problem) => {
    const { code, message } = errorOf(() => loose(template).fill(params))
    expect(code).toBe('TOPIC_PARAMS')
    expect(message).toContain(problem)
    expect(message.length).toBeLessThan(400)
  })
})
