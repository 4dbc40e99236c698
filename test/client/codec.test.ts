/**
 * Goal: what a codec sends, it reads again; what it cannot is refused with a path and without the
 * value. Method: round trips as properties, and tables of hostile payloads and values.
 */
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytes, type Codec, json, type StandardSchema, text } from '../../src/client/index.ts'
import { decodePayload, encodePayload } from '../../src/client/payload.ts'
import { type PayloadIssue, ProtocolError, UsageError } from '../../src/index.ts'

const MESSAGE = { topic: 'plant/1/temp' }
const utf8 = (value: string) => new TextEncoder().encode(value)
const decode = (codec: Codec<unknown>, payload: string | Uint8Array) =>
  codec.decode(typeof payload === 'string' ? utf8(payload) : payload, MESSAGE)
/** What a receiver makes of what was sent. */
const travel = (codec: Codec<unknown>, value: unknown) => decode(codec, codec.encode(value))

interface Refusal {
  readonly message: string
  readonly issues: readonly PayloadIssue[]
  readonly cause: unknown
}

function refusalOf(family: typeof UsageError | typeof ProtocolError, call: () => unknown): Refusal {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(family)
    const { code, retryable, issues, message, cause } = error as UsageError
    expect({ code, retryable }).toEqual({ code: 'INVALID_PAYLOAD', retryable: false })
    if (error instanceof ProtocolError) {
      expect(error).toMatchObject({ reasonCode: 0x99, clause: '3.3.2.3.2' })
      expect(message).toContain('on "plant/1/temp"')
    }
    expect(Object.keys(error as object)).not.toContain('issues')
    return { message, issues: issues!, cause }
  }
  throw new Error('nothing was thrown')
}
const outgoing = (call: () => unknown) => refusalOf(UsageError, call)
const incoming = (call: () => unknown) => refusalOf(ProtocolError, call)

describe('bytes', () => {
  test('are passed on as they are, and text may be published', () => {
    const payload = new Uint8Array([0, 255])
    expect(bytes.encode(payload)).toBe(payload)
    expect(bytes.decode(payload, MESSAGE)).toBe(payload)
    expect(bytes.encode('é')).toBe('é')
    expect([bytes.contentType, bytes.payloadFormatIndicator]).toEqual([undefined, undefined])
  })

  test.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [{}, 'an object'],
    [7, 'a number'],
    [() => 1, 'a function'],
  ])('refuse %s', (value, named) => {
    const { message } = outgoing(() => bytes.encode(value as never))
    expect(message).toBe(`the value has to be a Uint8Array or a string, not ${named}`)
    expect(outgoing(() => text.encode(value as never)).message).toContain(named)
  })
})

describe('text', () => {
  test('travels', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        expect(travel(text as Codec<unknown>, value)).toBe(value)
      }),
    )
    for (const value of ['', '\0', '\ufeffx', '😀', 'x'.repeat(65_536)]) {
      expect(travel(text as Codec<unknown>, value)).toBe(value)
    }
    expect(text.payloadFormatIndicator).toBe(true)
  })

  test.each([
    ['a lone byte', [0x80]],
    ['an overlong form', [0xc0, 0x80]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['half a character', [0x61, 0xf0, 0x9f, 0x98]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ])('%s is refused, and the next payload is read', (_, units) => {
    const { message, issues } = incoming(() => decode(text, new Uint8Array(units)))
    expect(message).toBe('the payload of a message on "plant/1/temp" is not UTF-8')
    expect(issues).toEqual([{ path: [], message: 'is not UTF-8' }])
    expect(decode(text, 'next')).toBe('next')
  })

  test('a lone surrogate is not sent as something else', () => {
    for (const value of ['ab\ud800', 'ab\udc00', 'ab\ud800\ud800\udc00']) {
      for (const codec of [text, bytes]) {
        const { message } = outgoing(() => codec.encode(value))
        expect(message).toContain('lone surrogate at character 2')
      }
    }
  })
})

describe('json', () => {
  test('travels', () => {
    const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(travel(json, value)).toEqual(plain(value))
      }),
    )
    const odd = ['\ud800', '\0', '😀', '"\\', { constructor: 1, toString: '2' }, null, '']
    expect(travel(json, odd)).toEqual(odd)
    expect(travel(json, { when: new Date(0), gone: undefined })).toEqual({
      when: '1970-01-01T00:00:00.000Z',
    })
    expect(json).toMatchObject({ contentType: 'application/json', payloadFormatIndicator: true })
  })

  test('a byte order mark at the beginning is ignored', () => {
    expect(decode(json, '\ufeff[1]')).toEqual([1])
    incoming(() => decode(json, '[1]\ufeff'))
  })

  test.each([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"a":[],"b":[', ']}]'],
  ])('512 levels are read, one more is refused: %s', (open, close) => {
    const levels = open === '[{"a":[],"b":[' ? 3 : 1
    const nested = (depth: number): string => {
      const count = Math.floor(depth / levels)
      const rest = depth - count * levels
      return `${open.repeat(count)}${'['.repeat(rest)}1${']'.repeat(rest)}${close.repeat(count)}`
    }
    expect(() => decode(json, nested(512))).not.toThrow()
    expect(incoming(() => decode(json, nested(513))).message).toContain('deeper than 512 levels')
  })

  test('nesting is measured before anything is parsed, and not within strings', () => {
    expect(incoming(() => decode(json, '['.repeat(5_000_000))).message).toContain('deeper than')
    const brackets = '[{'.repeat(1_000)
    for (const value of [brackets, `"${brackets}`, `\\"${brackets}`, { [brackets]: brackets }]) {
      expect(travel(json, value)).toEqual(value)
    }
    const { message } = incoming(() => decode(json, `"\\\\"${'['.repeat(600)}`))
    expect(message).toContain('deeper than')
  })

  test.each([
    ['', 'is empty'],
    ['{"a":', 'is not JSON'],
    ['{"password":"hunter2"} hunter2', 'is not JSON, at character 23'],
    ['hunter2', 'is not JSON'],
    ['[1],', 'is not JSON, at character 3'],
    ['NaN', 'is not JSON'],
    [']]]]', 'is not JSON'],
  ])('%j is refused, and not shown', (payload, problem) => {
    const { message, cause } = incoming(() => decode(json, payload))
    // The parser of Bun does not say where.
    const expected = 'bun' in process.versions ? problem.replace(/, at .*/, '') : problem
    expect(message).toContain(expected)
    expect(message).not.toContain('hunter')
    expect(cause).toBeUndefined()
  })

  test.each([
    '{"__proto__":{"admin":true},"a":1}',
    '{"__pr\\u006fto__":{"admin":true},"a":1}',
    '{"\\u005F_proto__":{"admin":true},"a":1}',
  ])('__proto__ is removed, at any depth: %s', (payload) => {
    const deep = decode(json, `{"x":[${payload}]}`) as { x: Record<string, unknown>[] }
    const found = deep.x[0]!
    expect(Object.keys(found)).toEqual(['a'])
    const copy: Record<string, unknown> = {}
    for (const key of Reflect.ownKeys(found) as string[]) copy[key] = found[key]
    expect([copy['admin'], Object.getPrototypeOf(copy)]).toEqual([undefined, Object.prototype])
    expect(decode(json, '{"a":"__proto__","b":"\\u0041"}')).toEqual({ a: '__proto__', b: 'A' })
  })

  const cyclic: Record<string, unknown> = { a: 1 }
  cyclic['list'] = [cyclic]
  const deep = (depth: number): unknown =>
    Array.from({ length: depth }).reduce<unknown>((inner) => [inner], 1)
  test.each([
    ['undefined', undefined, 'holds undefined', []],
    ['a function', () => 1, 'holds a function', []],
    ['a symbol', Symbol('a'), 'holds a symbol', []],
    ['BigInt', 1n, 'holds a bigint', []],
    [
      'a BigInt inside',
      { a: [0, { 'b c': 1n }] },
      'holds a bigint at a[1]["b c"], which JSON does not have; convert',
      ['a', 1, 'b c'],
    ],
    ['a function inside', { a: { b() {} } }, 'holds a function', ['a', 'b']],
    ['undefined in an array', [1, undefined], 'holds undefined', [1]],
    ['a hole', new Array(1), 'holds undefined', [0]],
    ['NaN', { t: Number.NaN }, 'holds NaN', ['t']],
    ['Infinity', [-Infinity], 'holds -Infinity', [0]],
    ['a Map', { m: new Map() }, 'holds a Map', ['m']],
    ['a Set', new Set(), 'holds a Set', []],
    ['bytes', { b: new Uint8Array(1) }, 'holds binary data', ['b']],
    ['a promise', { p: Promise.resolve() }, 'await it', ['p']],
    ['a cycle', cyclic, 'refers to itself at list[0], which JSON does not have', ['list', 0]],
    ['513 levels', deep(513), 'deeper than 512', []],
  ])('refuses to send %s', (_, value, problem, path) => {
    const { message, issues } = outgoing(() => json.encode(value))
    expect(message).toContain(problem)
    expect(issues).toEqual([{ path, message: expect.any(String) }])
  })

  test('sends 512 levels, a value in two places, and what toJSON says', () => {
    expect(decode(json, json.encode(deep(512)))).toEqual(deep(512))
    const shared = { a: 1 }
    expect(json.encode([shared, shared, { toJSON: () => 7 }])).toBe('[{"a":1},{"a":1},7]')
  })

  test.each([
    [
      'a getter',
      {
        get a() {
          throw new Error('hunter2')
        },
      },
    ],
    [
      'toJSON',
      {
        toJSON() {
          throw null
        },
      },
    ],
    ['a toJSON that returns a BigInt', { toJSON: () => 1n }],
    ['a toJSON that returns nothing', { toJSON() {} }],
  ])('%s that fails is an error of the caller', (_, value) => {
    expect(outgoing(() => json.encode(value)).message).not.toContain('hunter2')
  })
})

/** A schema that answers with what a function returns. */
function schemaOf<Output>(
  validate: StandardSchema<unknown, Output>['~standard']['validate'],
): StandardSchema<unknown, Output> {
  return { '~standard': { version: 1, vendor: 'test', validate } }
}

describe('schemas', () => {
  const upper = schemaOf((value) => ({ value: String(value).toUpperCase() }))

  test('the receiver gets what the schema makes of it, and the value is sent as it was given', () => {
    const conversion = { codec: json, schema: upper }
    expect(encodePayload(conversion, 'a')).toBe('"a"')
    expect(decodePayload(conversion, utf8('"a"'), MESSAGE)).toBe('A')
    expect(decodePayload({ codec: json, schema: undefined }, utf8('"a"'), MESSAGE)).toBe('a')
  })

  test('a refusal has paths, and neither message nor issues have values', () => {
    const secret = { user: 'bob', password: 'hunter2', pin: 7, list: [{ key: 'k"\n1' }] }
    const schema = schemaOf<never>((value) => ({
      issues: [
        { message: 'Expected number but received "hunter2"', path: ['password'] },
        { message: `Got ${JSON.stringify(value)}` },
        { message: 'Expected 17, received 7', path: [{ key: 'pin' }] },
        { message: 'Bad: "k\\"\\n1"', path: ['list', 0, { key: 'key' }] },
        { message: 'Unknown', path: [Symbol('s'), 'toString', '__proto__'] },
      ],
    }))
    for (const { message, issues } of [
      outgoing(() => encodePayload({ codec: json, schema }, secret)),
      incoming(() => decodePayload({ codec: json, schema }, utf8(JSON.stringify(secret)), MESSAGE)),
    ]) {
      expect(message).toContain(
        'does not fit its schema at password, (top), pin, list[0].key, ' +
          '["Symbol(s)"].toString.__proto__; see `issues`',
      )
      expect(issues.map(({ path }) => path)).toEqual([
        ['password'],
        [],
        ['pin'],
        ['list', 0, 'key'],
        ['Symbol(s)', 'toString', '__proto__'],
      ])
      expect(issues[0]!.message).toBe('Expected number but received "…"')
      expect(issues[2]!.message).toBe('Expected 17, received …')
      expect(inspect({ message, issues }, { depth: 9 })).not.toMatch(/hunter2|bob|k\\"|received 7/)
    }
  })

  test('at most 100 issues of 200 characters are kept, and 5 paths are shown', () => {
    const issues = Array.from({ length: 1_000 }, (_, i) => ({
      message: 'x'.repeat(1_000),
      path: [`p${i}`.padEnd(1_000, 'y')],
    }))
    const schema = schemaOf<never>(() => ({ issues }))
    const refusal = outgoing(() => encodePayload({ codec: json, schema }, 1))
    expect(refusal.issues).toHaveLength(100)
    expect(refusal.issues[0]!.message).toHaveLength(200)
    expect(refusal.issues[0]!.path[0]).toHaveLength(200)
    expect(refusal.message).toContain('and 95 more')
    expect(refusal.message.length).toBeLessThan(700)
  })

  test('an asynchronous schema is refused as a mistake of the program, and its promise is caught', () => {
    const schema = schemaOf<never>(() => Promise.reject(new Error('late')))
    for (const call of [
      () => encodePayload({ codec: json, schema }, 1),
      () => decodePayload({ codec: json, schema }, utf8('1'), MESSAGE),
    ]) {
      expect(call).toThrow(expect.objectContaining({ name: 'UsageError', code: 'USAGE' }))
      expect(call).toThrow('the schema (test) validates asynchronously')
    }
  })

  test('whatever codecs and schemas throw becomes one error, with its cause', () => {
    const thrown = new Error('hunter2')
    const fail = (): never => {
      throw thrown
    }
    const codec: Codec<unknown> = { encode: fail, decode: fail }
    const schema = schemaOf<never>(fail)
    for (const { message, cause } of [
      outgoing(() => encodePayload({ codec, schema: undefined }, 1)),
      outgoing(() => encodePayload({ codec: json, schema }, 1)),
      incoming(() => decodePayload({ codec, schema: undefined }, utf8('1'), MESSAGE)),
      incoming(() => decodePayload({ codec: json, schema }, utf8('1'), MESSAGE)),
    ]) {
      expect(message).not.toContain('hunter2')
      expect(cause).toBe(thrown)
    }
  })
})
