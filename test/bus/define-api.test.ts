/**
 * Goal: what can be an API, and what cannot. Method: tables of good and bad definitions; types are
 * compared by the compiler (`npm run check`), for three libraries of schemas.
 */
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  type CallArguments,
  type CallResult,
  type DeclaredOf,
  defineApi,
  type ErrorInput,
  type FiredPayload,
  type HandlerInput,
  type HandlerResult,
  type HeardPayload,
} from '../../src/bus/index.ts'

const number = z.object({ a: z.number() })
const valid = { name: 'auth', version: '1.2.0' }

describe('defineApi', () => {
  test('gives frozen data', () => {
    const rpcs = { check: { input: number, errors: { LOCKED: number } } }
    const api = defineApi({ ...valid, rpcs, events: { done: { payload: number } } })
    expect(api).toMatchObject({ name: 'auth', version: '1.2.0', major: 1, description: '' })
    const parts = [api, api.rpcs, api.rpcs.check, api.rpcs.check.errors, api.events]
    for (const part of [...parts, api.events.done]) expect(Object.isFrozen(part)).toBe(true)
    expect(api.rpcs.check.input).toBe(number)
    expect(Object.isFrozen(rpcs.check)).toBe(false)
  })

  test.each([
    ['1.2.0', 1],
    ['0.0.1', 0],
    ['12.0.0-rc.1+b5', 12],
  ])('the major of %s is %d', (version, major) => {
    expect(defineApi({ name: 'a', version }).major).toBe(major)
  })

  test.each([
    ['no version', { name: 'a' }, 'semantic version'],
    ['a version of two numbers', { name: 'a', version: '1.2' }, '"1.2"'],
    ['a version in words', { name: 'a', version: 'zzz' }, '"zzz"'],
    ['no name', { version: '1.0.0' }, 'must be a text'],
    ['an empty name', { ...valid, name: '' }, 'each level'],
    ['an empty level', { ...valid, name: 'a//b' }, 'each level'],
    ['a wildcard +', { ...valid, name: 'a/+' }, 'each level'],
    ['a wildcard #', { ...valid, name: '#' }, 'each level'],
    ['a name of the server', { ...valid, name: '$SYS' }, 'each level'],
    ['a name that is too long', { ...valid, name: 'a/'.repeat(150) }, 'at most 200'],
    ['a level that is a version', { ...valid, name: 'auth/v1' }, 'stand for versions'],
    ['a name of the bus', { ...valid, name: '_dead' }, 'for the bus itself'],
    ['a field of another name', { ...valid, rpc: {} }, '"rpc"; allowed: name'],
    ['rpcs that are an array', { ...valid, rpcs: [] }, 'must be an object'],
    ['an rpc with a slash', { ...valid, rpcs: { 'a/b': {} } }, '"a/b"'],
    ['an rpc with a wildcard', { ...valid, rpcs: { '+': {} } }, '"+"'],
    ['an rpc of the server', { ...valid, rpcs: { $a: {} } }, '"$a"'],
    ['an rpc without a name', { ...valid, rpcs: { '': {} } }, '""'],
    ['an rpc called then', { ...valid, rpcs: { ['then']: {} } }, 'taken for a promise'],
    ['an event called then', { ...valid, events: { ['then']: {} } }, 'taken for a promise'],
    ['a prototype', { ...valid, rpcs: JSON.parse('{"__proto__": {}}') }, 'another meaning'],
    ['a schema that is none', { ...valid, rpcs: { a: { input: 'string' } } }, 'Standard Schema'],
    ['an array as schema', { ...valid, events: { a: { payload: [] } } }, 'Standard Schema'],
    ['an error without a schema', { ...valid, rpcs: { a: { errors: { X: undefined } } } }, 'X has'],
    ['a code of the bus', { ...valid, rpcs: { a: { errors: { BUSY: {} } } } }, 'is taken'],
    ['a code with a space', { ...valid, rpcs: { a: { errors: { 'A B': {} } } } }, '"A B"'],
    ['a field that no rpc has', { ...valid, rpcs: { a: { in: {} } } }, 'no field "in"'],
    ['idempotent in words', { ...valid, rpcs: { a: { idempotent: 'yes' } } }, 'true or false'],
    ['an rpc and an event', { ...valid, rpcs: { a: {} }, events: { a: {} } }, 'both an rpc and'],
    ['no definition', null, 'an object is needed'],
  ])('refuses %s', (_, definition, message) => {
    expect(() => defineApi(definition as never)).toThrow(
      expect.objectContaining({
        name: 'UsageError',
        code: 'USAGE',
        message: expect.stringContaining(message),
      }),
    )
  })

  test('constructor and toString are names like others', () => {
    const api = defineApi({ ...valid, rpcs: { constructor: {} }, events: { toString: {} } })
    expect(Object.keys(api.rpcs)).toEqual(['constructor'])
    expect('valueOf' in api.rpcs).toBe(false)
  })

  test('an API of 1,000 rpcs is defined in little time', () => {
    const rpcs = Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => [`rpc${i}`, { input: number, output: number }]),
    )
    defineApi({ ...valid, rpcs })
    const startedAt = performance.now()
    defineApi({ ...valid, rpcs })
    // 20 ms on an idle machine; other tests run beside this one.
    expect(performance.now() - startedAt).toBeLessThan(100)
  })
})

describe('types', () => {
  const text = { type: 'string' } as const
  const api = defineApi({
    name: 'all',
    version: '1.0.0',
    rpcs: {
      zod: {
        input: z.object({ at: z.string().transform((at) => at.length) }),
        output: z.boolean(),
        errors: { LOCKED: z.object({ until: z.string() }), GONE: z.null() },
      },
      valibot: { input: v.pipe(v.string(), v.transform(Number)), output: v.number() },
      arktype: { input: type({ name: 'string' }), output: type('string.numeric.parse') },
      json: { input: text, output: text },
      bare: {},
    },
    events: { heard: { payload: v.object({ n: v.number() }) }, told: {} },
  })
  type Rpcs = typeof api.rpcs

  test('come from the schemas of zod, valibot and arktype', () => {
    expectTypeOf<CallArguments<Rpcs['zod']>>().toEqualTypeOf<[input: { at: string }]>()
    expectTypeOf<HandlerInput<Rpcs['zod']>>().toEqualTypeOf<{ at: number }>()
    expectTypeOf<CallResult<Rpcs['zod']>>().toEqualTypeOf<boolean>()
    expectTypeOf<HandlerInput<Rpcs['valibot']>>().toEqualTypeOf<number>()
    expectTypeOf<CallArguments<Rpcs['valibot']>>().toEqualTypeOf<[input: string]>()
    expectTypeOf<HandlerInput<Rpcs['arktype']>>().toEqualTypeOf<{ name: string }>()
    expectTypeOf<HandlerResult<Rpcs['arktype']>>().toEqualTypeOf<string>()
    expectTypeOf<CallResult<Rpcs['arktype']>>().toEqualTypeOf<number>()
    expect(Object.keys(api.rpcs)).toHaveLength(5)
  })

  test('are unknown for a JSON Schema, and nothing where there is none', () => {
    expectTypeOf<CallArguments<Rpcs['json']>>().toEqualTypeOf<[input: unknown]>()
    expectTypeOf<CallArguments<Rpcs['bare']>>().toEqualTypeOf<[input?: undefined]>()
    expectTypeOf<CallResult<Rpcs['bare']>>().toEqualTypeOf<undefined>()
    expectTypeOf<FiredPayload<typeof api.events.told>>().toEqualTypeOf<undefined>()
    expectTypeOf<HeardPayload<typeof api.events.heard>>().toEqualTypeOf<{ n: number }>()
    expect(Object.keys(api.events)).toHaveLength(2)
  })

  test('have declared errors as a union', () => {
    expectTypeOf<DeclaredOf<Rpcs['zod']>['code']>().toEqualTypeOf<'LOCKED' | 'GONE'>()
    expectTypeOf<ErrorInput<Rpcs['zod'], 'LOCKED'>>().toEqualTypeOf<{ until: string }>()
    expectTypeOf<DeclaredOf<Rpcs['bare']>>().toEqualTypeOf<never>()
    expect(Object.keys(api.rpcs.zod.errors)).toEqual(['LOCKED', 'GONE'])
  })
})
