/**
 * Goal: an API as AsyncAPI 3 is valid for the reference parser, says what is on the wire, and is
 * the same API when it is read. Method: the parser; documents of APIs before and after.
 */
import { Parser } from '@asyncapi/parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  type Api,
  type AsyncApiOptions,
  defineApi,
  dumpSchema,
  fromAsyncApi,
  type JsonSchema,
  toAsyncApi,
} from '../../src/bus/index.ts'
import { fakeBus } from '../../src/bus/testing/index.ts'

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
      input: z.object({ sum: z.string().transform(Number) }),
      output: { type: 'boolean', examples: [true] },
      errors: { POOR: z.object({ missing: z.number() }), GONE: { type: 'null' } },
      idempotent: true,
      description: 'Pays.',
    },
    constructor: { input: node, output: z.tuple([z.string(), z.number()]) },
    old: {
      input: {
        $schema: 'http://json-schema.org/draft-07/schema#',
        definitions: { 'a/b': { type: 'string' } },
        properties: { a: { $ref: '#/definitions/a~1b' } },
      },
    },
    beside: { input: { $ref: '#/$defs/n', minimum: 1, $defs: { n: { type: 'integer' } } } },
    bare: {},
  },
  events: {
    paid: { payload: z.object({ sum: z.number() }), description: 'Somebody paid.' },
    closed: {},
  },
})
const users = defineApi({ name: 'users', version: '0.3.0', events: { gone: { payload: {} } } })
const next = defineApi({ name: 'users', version: '1.0.0', rpcs: { gone: { output: z.string() } } })
const apis: readonly Api[] = [shop, users, next]
const servers = {
  main: 'mqtts://ada:secret@example.com:8883/?key=hidden',
  web: new URL('wss://example.com/mqtt'),
}

async function problemsOf(document: unknown) {
  const { document: read, diagnostics } = await new Parser().parse(JSON.stringify(document))
  const problems = diagnostics.map(({ path, message }) => `${path.join('/')} ${message}`)
  return { read, problems }
}

const documents = (all: readonly Api[]) => dumpSchema(all, { service: 's' })

test('the parser of AsyncAPI finds nothing wrong, and finds the operations', async () => {
  const { read, problems } = await problemsOf(toAsyncApi(apis, { servers }))
  expect(problems).toEqual([])
  const cloud = toAsyncApi([shop], { envelope: 'cloudevents' })
  expect((await problemsOf(cloud)).problems).toEqual([])
  expect(read!.version()).toBe('3.1.0')
  const operations = read!.operations().all()
  expect(operations.filter((one) => one.isReceive())).toHaveLength(6)
  expect(operations.filter((one) => one.isSend())).toHaveLength(3)
  const pay = read!.operations().get('shop.cart.v2.rpc.pay')!
  expect(pay.channels().all()[0]!.address()).toBe('bus/shop/cart/v2/rpc/pay')
  expect(pay.reply()!.address()!.location()).toBe('$message.header#/responseTopic')
  expect(pay.reply()!.messages().all()).toHaveLength(3)
  expect(pay.bindings().get('mqtt')!.value()).toMatchObject({ qos: 1, retain: false })
  const found = read!.servers().all()
  expect(found.map((server) => [server.protocol(), server.host()])).toEqual([
    ['secure-mqtt', 'example.com:8883'],
    ['wss', 'example.com'],
  ])
}, 30_000)

test('the headers of events are those of their envelope', async () => {
  const headersWith = (options: AsyncApiOptions) => {
    const { components } = toAsyncApi([shop], options) as never as {
      components: { messages: Record<string, { headers: { properties: object } }> }
    }
    return components.messages['shop.cart.v2.event.paid.payload']!.headers
  }
  expect(Object.keys(headersWith({}).properties)).toEqual([
    ...['itm-key', 'itm-version', 'itm-by', 'itm-at'],
  ])
  expect(headersWith({ envelope: 'cloudevents' })).toMatchObject({
    properties: { specversion: { const: '1.0' }, type: { const: 'shop.cart.v2.paid' } },
    required: ['specversion', 'id', 'source', 'type'],
  })
  // What is sent has these headers and no others.
  const fake = fakeBus({ bus: { envelope: 'cloudevents', schema: false } })
  fake.bus.serve(users, {})
  const fired = fake.bus.fire(users, 'gone', 1 as never)
  await fake.settle()
  await fired
  const [seen] = fake.fired(users, 'gone')
  await fake.close()
  const { properties } = headersWith({ envelope: 'cloudevents' })
  expect(Object.keys(seen!.headers).sort()).toEqual(Object.keys(properties).sort())
  expect(() => toAsyncApi([shop], { envelope: 'xml' as never })).toThrow('must be one of itm')
})

test('a document holds no credentials', () => {
  expect(JSON.stringify(toAsyncApi(apis, { servers }))).not.toMatch(/ada|secret|hidden/)
  expect(() => toAsyncApi(apis, { servers: { a: 'secret' } })).toThrow('the server a is no URL')
})

test('read back it is the same APIs', () => {
  const document: unknown = JSON.parse(JSON.stringify(toAsyncApi(apis, { prefix: 'x/y' })))
  expect(documents(fromAsyncApi(document))).toEqual(documents(apis))
  expect(JSON.stringify(document)).toContain('"x/y/shop/cart/v2/event/paid"')
})

test('a schema that AsyncAPI would read otherwise has its format', () => {
  const { schemas } = toAsyncApi(apis)['components'] as { schemas: Record<string, object> }
  const formats = Object.entries(schemas).flatMap(([name, schema]) =>
    'schemaFormat' in schema ? [[name, String(schema.schemaFormat).split('=')[1]]] : [],
  )
  expect(formats).toEqual([
    ['shop.cart.v2.rpc.constructor.output', 'draft-2020-12'],
    ['shop.cart.v2.rpc.old.input', 'draft-07'],
    ['shop.cart.v2.rpc.beside.input', 'draft-2020-12'],
  ])
})

test('[B15] a value without a JSON Schema is any value when it is read back', () => {
  const api = defineApi({ name: 'a', version: '1.0.0', rpcs: { r: { input: z.date() } } })
  const [read] = fromAsyncApi(toAsyncApi([api]))
  expect(read!.rpcs).toEqual({ r: { input: {}, output: undefined } })
})

test('any names and JSON Schemas are read back', () => {
  const names = fc
    .stringMatching(/^[A-Za-z0-9-][A-Za-z0-9_-]{0,8}$/)
    .filter((one) => one !== 'then')
  const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>
  const schema = fc
    .dictionary(fc.constantFrom('const', 'title', 'x', '__proto__', 'items', 'a b'), json)
    .map((one) => JSON.parse(JSON.stringify(one)) as JsonSchema)
  const table = <T>(value: fc.Arbitrary<T>) =>
    fc.dictionary(names, value, { maxKeys: 3, noNullPrototype: true })
  const some = fc.record({
    rpcs: table(fc.record({ input: schema, output: schema }, { requiredKeys: [] })),
    events: table(fc.record({ payload: schema }, { requiredKeys: [] })),
  })
  fc.assert(
    fc.property(some, ({ rpcs, events }) => {
      const own = Object.keys(events).filter((name) => !Object.hasOwn(rpcs, name))
      const rest = Object.fromEntries(own.map((name) => [name, events[name]!]))
      const api = defineApi({ name: 'a/b', version: '1.2.3', rpcs, events: rest })
      const text = JSON.stringify(toAsyncApi([api]))
      expect(documents(fromAsyncApi(JSON.parse(text)))).toEqual(documents([api]))
    }),
    { numRuns: 200 },
  )
})

describe('refused is', () => {
  test.each<[string, readonly unknown[], AsyncApiOptions, string]>([
    ['no API', [], {}, 'at least one'],
    ['something else', [{}], {}, 'what defineApi() returned'],
    ['an API twice', [users, users], {}, 'twice'],
    ['a prefix with a wildcard', [users], { prefix: '+' }, 'prefix must be'],
    ['an option of another name', [users], { server: 'a' } as never, 'no field "server"'],
    ['a server of HTTP', [users], { servers: { a: 'http://b' } }, 'one of mqtt:'],
    ['a server with a strange name', [users], { servers: { 'a b': 'mqtt://b' } }, '"a b"'],
  ])('%s by toAsyncApi', (_, given, options, message) => {
    expect(() => toAsyncApi(given as never, options)).toThrow(message)
  })

  test('a reference that cannot be moved', () => {
    const payload = { $ref: '#here', $defs: { a: { $anchor: 'here' } } }
    const api = defineApi({ name: 'a', version: '1.0.0', events: { e: { payload } } })
    expect(() => toAsyncApi([api])).toThrow('cannot be moved')
  })

  const valid = () => JSON.parse(JSON.stringify(toAsyncApi([shop])))
  type Changed = ReturnType<typeof valid>
  const pay = 'shop.cart.v2.rpc.pay'
  const CHANGES: Readonly<Record<string, readonly [(document: Changed) => unknown, string]>> = {
    null: [() => null, 'the document is no object'],
    'AsyncAPI 2': [(one) => ({ ...one, asyncapi: '2.6.0' }), '"2.6.0"'],
    'another document': [({ 'x-it-mqtt': _, ...one }) => one, 'no x-it-mqtt'],
    'no APIs': [(one) => ({ ...one, 'x-it-mqtt': {} }), 'no array'],
    'an API twice': [
      ({ 'x-it-mqtt': { apis }, ...one }) => ({
        ...one,
        'x-it-mqtt': { apis: [...apis, ...apis] },
      }),
      'twice',
    ],
    'an API less': [(one) => ({ ...one, 'x-it-mqtt': { apis: [] } }), 'does not name'],
    'a wrong name': [
      (one) => JSON.parse(JSON.stringify(one).replaceAll('"shop/cart"', '"a/+"')),
      'each level',
    ],
    'a lost message': [
      ({ components: { schemas }, ...one }) => ({ ...one, components: { schemas } }),
      'leads nowhere',
    ],
    'a circle': [
      (one) => ({ ...one, operations: { [pay]: { $ref: `#/operations/${pay}` } } }),
      'too many',
    ],
    'a file': [(one) => ({ ...one, operations: { a: { $ref: 'a.json' } } }), 'out of the document'],
    'a schema of a file': [
      (one) => JSON.parse(JSON.stringify(one).replace(/"#[^"]*definitions[^"]*"/, '"file:///a"')),
      'leads out',
    ],
    'no messages': [
      ({ operations, ...one }) => {
        const { messages: _, ...rest } = operations[pay]
        return { ...one, operations: { [pay]: rest } }
      },
      'no array of messages',
    ],
  }
  test.each(Object.keys(CHANGES))('%s by fromAsyncApi', (title) => {
    const [change, message] = CHANGES[title]!
    expect(() => fromAsyncApi(change(valid()))).toThrow(message)
  })
})
