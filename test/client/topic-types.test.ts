/**
 * Goal: the compiler knows the parameters of a template and the type of its values. Method:
 * assignments and `expectTypeOf`, which `npm run check` compiles; the tests only run what has to.
 */
import { expect, expectTypeOf, test } from 'vitest'
import {
  type Codec,
  json,
  type ParamsOf,
  type StandardSchema,
  type Topic,
  type TopicParams,
  text,
  topic,
} from '../../src/client/index.ts'

type Params<Template extends string> = { -readonly [Key in keyof ParamsOf<Template>]: string }

test('parameters are named in the type', () => {
  expectTypeOf<Params<'plant/{line}/temp'>>().toEqualTypeOf<{ line: string }>()
  expectTypeOf<Params<'a/{x}/{rest+}'>>().toEqualTypeOf<{ x: string; rest: string }>()
  expectTypeOf<Params<'a/+/#'>>().toEqualTypeOf<{ 0: string; 1: string }>()
  expectTypeOf<Params<'+/{a}/+'>>().toEqualTypeOf<{ 0: string; a: string; 1: string }>()
  expectTypeOf<keyof ParamsOf<'a/b'>>().toEqualTypeOf<never>()
  expectTypeOf<keyof ParamsOf<'{__a-1}'>>().toEqualTypeOf<'__a-1'>()
  expectTypeOf<Params<'$share/group/a/{x}'>>().toEqualTypeOf<{ x: string }>()
  expectTypeOf<ParamsOf<'a/{x}' | 'b/{y}'>>().toEqualTypeOf<ParamsOf<'a/{x}'> | ParamsOf<'b/{y}'>>()
  expectTypeOf<ParamsOf<string>>().toEqualTypeOf<TopicParams>()
})

test('fill asks for each parameter, and match gives each', () => {
  const made = topic('plant/{line}/{path+}')
  expectTypeOf(made.match('')).toEqualTypeOf<ParamsOf<'plant/{line}/{path+}'> | null>()
  expect(made.fill({ line: 1, path: 'a/b' })).toBe('plant/1/a/b')
  // @ts-expect-error `path` is missing.
  expect(() => made.fill({ line: 'a' })).toThrow('"path"')
  // @ts-expect-error There is no `lines`.
  expect(() => made.fill({ lines: 'a', line: 'a', path: 'b' })).toThrow('"lines"')
  // @ts-expect-error A boolean is no text.
  expect(() => made.fill({ line: true, path: 'b' })).toThrow('"line"')
  // @ts-expect-error Parameters are needed.
  expect(() => made.fill()).toThrow('"line"')
  expect(topic('a/b').fill()).toBe('a/b')
  expect(topic('a/b').fill({})).toBe('a/b')
  // @ts-expect-error There are no parameters.
  expect(() => topic('a/b').fill({ x: 'a' })).toThrow('"x"')
  expect(topic('a/+').fill({ 0: 'x' })).toBe('a/x')
  const known: string = 'a/{b}'
  expect(topic(known).fill({ b: 'x' })).toBe('a/x')
})

test('values have the type of the schema, of the codec, or bytes', () => {
  const schema = {
    '~standard': { version: 1, vendor: 'test', validate: () => ({ value: new Date(0) }) },
  } as const satisfies StandardSchema as unknown as StandardSchema<string, Date>
  type Plain = ParamsOf<'a/{b}'>
  expectTypeOf(topic('a/{b}')).toEqualTypeOf<Topic<Plain, Uint8Array, Uint8Array | string>>()
  expectTypeOf(topic('a/{b}', { codec: text })).toEqualTypeOf<Topic<Plain, string>>()
  expectTypeOf(topic('a/{b}', { codec: json })).toEqualTypeOf<Topic<Plain, unknown>>()
  expectTypeOf(topic('a/{b}', { schema, qos: 0 })).toEqualTypeOf<Topic<Plain, Date, string>>()
  const points: Codec<{ x: number }> = { encode: () => '', decode: () => ({ x: 1 }) }
  expectTypeOf(topic('a', { codec: points }).schema).toEqualTypeOf<
    StandardSchema<{ x: number }> | undefined
  >()
  // @ts-expect-error A QoS is 0, 1 or 2.
  expect(() => topic('a', { qos: 3 })).toThrow('qos')
  // @ts-expect-error Options are known by name.
  expect(() => topic('a', { schemas: schema })).toThrow('"schemas"')
})
