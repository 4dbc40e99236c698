/**
 * Goal: a served API has its schema at the server, and nothing about schemas keeps an API from
 * being served. Method: buses at a broker in memory that has, forbids or forgets retained messages.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  type Api,
  type Bus,
  type BusOptions,
  defineApi,
  dumpSchema,
  type PublishSchemaContext,
  schemaText,
} from '../../src/bus/index.ts'
import { BusWorld } from './bus-world.ts'

const TOPIC = 'bus/shop/v1/schema/web'
const shop = (version: string, input: z.ZodType = z.string()) =>
  defineApi({ name: 'shop', version, rpcs: { buy: { input, output: z.boolean() } } })
const first = shop('1.0.0')
const wider = shop('1.1.0', z.union([z.string(), z.number()]))
const text = schemaText(dumpSchema(first, { service: 'web' }))

let w: BusWorld
beforeEach(() => {
  w = new BusWorld()
})
afterEach(() => w.end())

function serving(api = first, schema: BusOptions['schema'] = {}, world = w): Bus {
  const bus = world.bus('web', { schema })
  bus.serve(api, { buy: () => true })
  return bus
}

async function run(bus: Bus, ms = 1000): Promise<Bus> {
  await w.run(bus)
  await w.clock.advance(ms)
  return bus
}

const lying = (topic = TOPIC) => {
  const payload = w.broker.retained.get(topic)?.payload
  return payload === undefined ? undefined : new TextDecoder().decode(payload)
}
const published = () =>
  w.broker.received.filter(({ packet }) => packet.cmd === 'publish' && packet.topic === TOPIC)
const call = async (): Promise<unknown> =>
  w.value(w.bus('other').api(first).buy('tea', { timeout: 500 }), 1000)

describe('[B12] the schema of a served API', () => {
  test('lies at the server, retained, as JSON of MQTT 5', async () => {
    await run(serving())
    expect(lying()).toBe(text)
    expect(w.broker.retained.get(TOPIC)).toMatchObject({
      qos: 1,
      properties: { contentType: 'application/json', payloadFormatIndicator: true },
    })
    expect(w.broker.retained.get(TOPIC)!.expiresAt).toBe(Number.POSITIVE_INFINITY)
    expect(w.codes()).toEqual([])
    expect(await call()).toBe(true)
  })

  test('is published again only if something else lies there', async () => {
    const bus = await run(serving())
    w.broker.kill()
    await w.clock.advance(2000)
    expect(published()).toHaveLength(1)
    w.broker.publish(TOPIC, '', { retain: true })
    w.broker.kill()
    await w.clock.advance(2000)
    expect(published()).toHaveLength(2)
    expect(lying()).toBe(text)
    await w.value(bus.close(), 1000)
    expect(lying()).toBe(text)
    await run(serving())
    expect(published()).toHaveLength(2)
  })

  test('of a process that does not run is not published', async () => {
    const bus = serving()
    await w.value(bus.serve(shop('2.0.0'), { buy: () => true }).granted, 1000)
    await w.clock.advance(5000)
    expect([...w.broker.retained.keys()]).toEqual([])
  })

  test('is not published with schema: false, of the bus or of the API', async () => {
    await run(serving(first, false))
    const bus = w.bus('web', { schema: {} })
    bus.serve(first, { buy: () => true }, { schema: false })
    bus.serve(shop('2.0.0'), { buy: () => true })
    await run(bus)
    expect([...w.broker.retained.keys()]).toEqual(['bus/shop/v2/schema/web'])
  })

  test('is published too if it is served while the bus runs', async () => {
    const bus = await run(w.bus('web', { schema: {} }))
    bus.serve(first, { buy: () => true })
    await w.clock.advance(1000)
    expect(lying()).toBe(text)
  })

  test('with a lease expires when nobody runs, and is refreshed before that', async () => {
    const bus = await run(serving(first, { lifetime: 'lease' }))
    expect(published()).toHaveLength(1)
    await w.clock.advance(46_500)
    expect(published()).toHaveLength(1)
    await w.clock.advance(2000)
    expect(published()).toHaveLength(2)
    await w.clock.advance(96_000)
    expect(published()).toHaveLength(4)
    expect(lying()).toBe(text)
    await w.value(bus.close(), 1000)
    await w.clock.advance(61_000)
    expect(published()).toHaveLength(4)
    expect(lying()).toBeUndefined()
  })

  test('leaves no timer when run() ends', async () => {
    const end = new AbortController()
    const bus = serving(first, { lifetime: 'lease' })
    const running = bus.run({ signal: end.signal })
    await w.clock.advance(1000)
    end.abort()
    await w.value(running, 10)
    expect(published()).toHaveLength(1)
    // The end of the test finds a timer of 48 s that is left.
  })

  test('run() ends also while it is being looked for', async () => {
    const end = new AbortController()
    const running = serving(first, { onBreaking: 'refuse' }).run({ signal: end.signal })
    await w.clock.advance(1)
    end.abort()
    await w.value(running, 10)
  })
})

describe('[B13] what is not proved is served with onBreaking refuse:', () => {
  const object = (shape: z.ZodRawShape) => z.object({ id: z.string(), ...shape })
  const [narrow, wide] = [object({ a: z.int().max(5) }), object({ a: z.int().max(6) })]
  const rows: readonly (readonly [string, z.ZodType, z.ZodType, readonly string[]])[] = [
    ['a new optional property', object({}), object({ note: z.string().optional() }), []],
    ['one beside a wider one', narrow, wide.extend({ b: z.int().optional() }), []],
    ['another pattern', z.string().regex(/^a/), z.string().regex(/^[ab]/), ['SCHEMA_UNPROVEN']],
  ]
  test.each(rows)('%s', async (_, before, after, codes) => {
    const lies = schemaText(dumpSchema(shop('1.0.0', before), { service: 'web' }))
    w.broker.publish(TOPIC, lies, { retain: true, qos: 1 })
    const comparisons: unknown[] = []
    const bus = serving(shop('1.1.0', after), { onBreaking: 'refuse' })
    bus.hook({
      publishSchema: (context, next) => {
        comparisons.push((context as PublishSchemaContext).comparison?.result)
        return next()
      },
    })
    await run(bus)
    expect(w.failures).toEqual([])
    expect(w.codes()).toEqual(codes)
    for (const { message } of w.warnings) expect(message).toContain('/rpcs/buy/input')
    // What is no proof is none for who looks, either.
    expect(comparisons).toEqual(['unknown'])
    expect(lying()).toContain('1.1.0')
  })

  test('onBreaking warn says nothing of it', async () => {
    const lies = schemaText(dumpSchema(shop('1.0.0', z.string().regex(/^a/)), { service: 'web' }))
    w.broker.publish(TOPIC, lies, { retain: true, qos: 1 })
    await run(serving(shop('1.1.0', z.string().regex(/^[ab]/))))
    expect(w.codes()).toEqual([])
  })
})

describe('[B12] an API is served also where its schema cannot be published:', () => {
  const worlds: [string, () => BusWorld, BusOptions['schema'], string][] = [
    ['no retained messages', () => new BusWorld(5, { retainAvailable: false }), {}, 'keeps no'],
    ['a lease without MQTT 5', () => new BusWorld(4), { lifetime: 'lease' }, 'needs MQTT 5'],
  ]
  test.each(worlds)('%s', async (_, make, schema, message) => {
    await w.end()
    w = make()
    await run(serving(first, schema))
    w.broker.kill()
    await w.clock.advance(60_000)
    expect(w.warnings.map(({ message }) => message)).toEqual([expect.stringContaining(message)])
    expect(w.codes()).toEqual(['SCHEMA_UNPUBLISHED'])
    expect(published()).toEqual([])
    expect(await call()).toBe(true)
  })

  test('MQTT 3.1.1 has it without properties', async () => {
    await w.end()
    w = new BusWorld(4)
    await run(serving())
    expect(lying()).toBe(text)
    expect(await call()).toBe(true)
  })

  test('the server refuses the PUBLISH', async () => {
    w.broker.faults.refuse({ cmd: 'publish', topic: TOPIC }, 0x87, {
      times: Number.POSITIVE_INFINITY,
    })
    await run(serving())
    w.broker.kill()
    await w.clock.advance(2000)
    expect(w.codes()).toEqual(['SCHEMA_UNPUBLISHED'])
    expect(published()).toHaveLength(1)
    expect(await call()).toBe(true)
  })

  test('the server refuses the SUBSCRIBE: it is published without a comparison', async () => {
    w.broker.faults.refuse({ cmd: 'subscribe', topic: TOPIC }, 0x87, {
      times: Number.POSITIVE_INFINITY,
    })
    await run(serving(first, { onBreaking: 'refuse' }))
    w.broker.kill()
    await w.clock.advance(2000)
    expect(w.codes()).toEqual(['SCHEMA_UNREADABLE'])
    expect(lying()).toBe(text)
    expect(await call()).toBe(true)
  })

  test('the server cuts the connection at the PUBLISH', async () => {
    w.broker.faults.kill({ cmd: 'publish', topic: TOPIC }, { times: Number.POSITIVE_INFINITY })
    await run(serving(), 60_000)
    expect(w.codes()).toContain('SCHEMA_UNPUBLISHED')
    const { length } = published()
    await w.clock.advance(600_000)
    expect(published()).toHaveLength(length)
    expect(await call()).toBe(true)
  })

  test('a schema that is too long', async () => {
    await run(serving(shop('1.0.0', z.literal('x'.repeat(300_000)).or(z.string()))))
    expect(w.codes()).toEqual(['SCHEMA_UNPUBLISHED'])
    expect(await call()).toBe(true)
  })
})

describe('[B14] what lies there and is no document is replaced, and never run:', () => {
  test.each<[string, string | Uint8Array]>([
    ['1 MB', new Uint8Array(1_000_000).fill(0x20)],
    ['no JSON', 'hello'],
    ['no UTF-8', Uint8Array.of(0xff, 0xfe)],
    [
      'the schema of another API',
      schemaText(dumpSchema(defineApi({ name: 'b', version: '1.0.0' }), { service: 'web' })),
    ],
  ])('%s', async (_, payload) => {
    w.broker.publish(TOPIC, payload, { retain: true, qos: 1 })
    await run(serving(first, { onBreaking: 'refuse' }))
    expect(lying()).toBe(text)
    expect(w.codes()).toEqual(['SCHEMA_UNREADABLE'])
    expect(await call()).toBe(true)
  })
})

describe('[B13] a schema that breaks what lies there', () => {
  beforeEach(() => {
    const before = schemaText(dumpSchema(wider, { service: 'web' }))
    w.broker.publish(TOPIC, before, { retain: true, qos: 1 })
  })

  test('replaces it with a warning that says where', async () => {
    await run(serving())
    expect(w.codes()).toEqual(['SCHEMA_REPLACED'])
    expect(w.warnings[0]!.message).toContain('/rpcs/buy/input')
    expect(lying()).toBe(text)
  })

  test('is refused before anything is served', async () => {
    const bus = serving(first, { onBreaking: 'refuse' })
    const hooked: string[] = []
    bus.hook({
      start: (_, next) => {
        hooked.push('start')
        return next()
      },
    })
    const error = await w.error(bus.run(), 2000)
    expect(error).toMatchObject({ name: 'UsageError', code: 'SCHEMA_BREAKING' })
    expect(error.message).toContain('shop 1.0.0 breaks 1.1.0')
    expect(hooked).toEqual([])
    const subscribed = w.broker.received.flatMap(({ packet }) =>
      packet.cmd === 'subscribe' ? packet.subscriptions.map(({ topic }) => topic) : [],
    )
    expect(subscribed.filter((filter) => filter.includes('/rpc/'))).toEqual([])
    expect(lying()).not.toBe(text)
  })

  test('is refused too if it is served while the bus runs', async () => {
    const bus = await run(w.bus('web', { schema: {} }))
    bus.serve(first, { buy: () => true }, { schema: { onBreaking: 'refuse' } })
    await w.clock.advance(2000)
    expect(w.failures).toMatchObject([{ code: 'SCHEMA_BREAKING' }])
  })

  test('and one that is served by a hook of the start is compared, and holds up nobody', async () => {
    const bus = w.bus('web', { schema: {} })
    bus.serve(shop('2.0.0'), { buy: () => true })
    bus.hook({
      start: (_, next) => {
        bus.serve(wider, { buy: () => true }, { schema: { onBreaking: 'refuse' } })
        return next()
      },
    })
    await run(bus, 5000)
    expect(w.failures).toEqual([])
    expect(await call()).toBe(true)
    expect(w.codes()).toEqual([])
  })

  test('and one that does not is served, when it was compared', async () => {
    const api = shop('1.2.0', z.union([z.string(), z.number(), z.null()]))
    const bus = w.bus('web', { schema: { onBreaking: 'refuse' } })
    const served = bus.serve(api, { buy: () => true })
    const granted = w.after(0, served.granted)
    expect(await granted).toBe('pending')
    await run(bus)
    await w.value(served.granted)
    expect(served.stats.received).toBe(0)
    expect(await call()).toBe(true)
    expect(served.stats.received).toBe(1)
    expect(w.codes()).toEqual([])
    expect(lying()).toContain('"1.2.0"')
  })
})

test('[B15] a schema without a JSON Schema form is told once, and validates', async () => {
  await run(serving(shop('1.0.0', z.string().or(z.date()))))
  w.broker.kill()
  await w.clock.advance(2000)
  expect(w.codes()).toEqual(['SCHEMA_INCOMPLETE'])
  expect(w.warnings[0]!.message).toContain('buy input')
  expect(JSON.parse(lying()!).rpcs.buy).toMatchObject({ input: null, output: { type: 'boolean' } })
  const error = await w.error(
    w
      .bus('other')
      .api(shop('1.0.0'))
      .buy(5 as never),
    1000,
  )
  expect(error).toMatchObject({ code: 'INVALID_INPUT' })
})

describe('the hook publishSchema', () => {
  test('surrounds what is published, and knows the comparison', async () => {
    const seen: PublishSchemaContext[] = []
    const before = schemaText(dumpSchema(shop('1.0.0', z.literal('a')), { service: 'web' }))
    w.broker.publish(TOPIC, before, { retain: true, qos: 1 })
    const bus = serving()
    bus.hook({
      publishSchema: (context, next) => {
        seen.push(context)
        return next()
      },
    })
    await run(bus)
    expect(seen).toMatchObject([
      { kind: 'publishSchema', api: 'shop', service: 'web', version: '1.0.0', topic: TOPIC },
    ])
    expect(seen[0]!.comparison!.result).toBe('compatible')
    expect(seen[0]!.document.api).toBe('shop')
  })

  test.each<[string, () => unknown, string[]]>([
    ['does not go on', () => undefined, []],
    ['throws', () => Promise.reject(new Error('no')), ['SCHEMA_UNPUBLISHED']],
  ])('that %s publishes nothing', async (_, publishSchema, codes) => {
    const bus = serving()
    bus.hook({ publishSchema })
    await run(bus)
    expect(lying()).toBeUndefined()
    expect(w.codes()).toEqual(codes)
    expect(await call()).toBe(true)
  })
})

describe('[B14] bus.schema()', () => {
  const put = (topic: string, payload: string) =>
    w.broker.publish(topic, payload, { retain: true, qos: 1 })
  const textOf = (api: Api, service: string) => schemaText(dumpSchema(api, { service }))

  test('gives the documents of all services and major versions, as data', async () => {
    put('bus/shop/v1/schema/b', textOf(first, 'b'))
    put('bus/shop/v2/schema/a', textOf(shop('2.3.4'), 'a'))
    put('bus/shop/v1/schema/a', textOf(wider, 'a'))
    put('bus/other/v1/schema/a', textOf(first, 'a'))
    const found = await w.value(w.bus('me').schema('shop'), 2000)
    expect(found.map(({ service, version }) => [service, version])).toEqual([
      ['a', '1.1.0'],
      ['b', '1.0.0'],
      ['a', '2.3.4'],
    ])
    expect(Object.isFrozen(found)).toBe(true)
    expect(w.codes()).toEqual([])
    expect(await w.value(w.bus('me').schema('nobody'), 2000)).toEqual([])
  })

  test('gives those of all APIs without a name, and nothing else that is retained', async () => {
    put('bus/shop/v1/schema/b', textOf(first, 'b'))
    const deep = defineApi({ name: 'a/b/c/d/e/f/g/h', version: '3.0.0' })
    put('bus/a/b/c/d/e/f/g/h/v3/schema/a', textOf(deep, 'a'))
    put('bus/shop/v1/event/schema/b', 'an event that somebody has retained')
    put('bus/_dead/web/schema/x', 'a dead letter')
    const found = await w.value(w.bus('me').schema(), 2000)
    expect(found.map(({ api }) => api)).toEqual(['a/b/c/d/e/f/g/h', 'shop'])
    expect(w.codes()).toEqual([])
  })

  test('leaves out what is no document, or lies in the place of another', async () => {
    put('bus/shop/v1/schema/b', textOf(first, 'b'))
    put('bus/shop/v1/schema/c', textOf(first, 'b'))
    put('bus/shop/v2/schema/b', textOf(first, 'b'))
    put('bus/shop/v1/schema/d', '{"itm":1}')
    put('bus/shop/v1/schema/e', 'x'.repeat(1_000_000))
    // What is below no major version is no schema.
    put('bus/shop/x/schema/y', textOf(first, 'y'))
    const found = await w.value(w.bus('me').schema('shop'), 2000)
    expect(found.map(({ service }) => service)).toEqual(['b'])
    expect(w.codes()).toEqual(Array(4).fill('SCHEMA_UNREADABLE'))
  })

  test('an API named like a schema topic has a schema of its own', async () => {
    const api = defineApi({ name: 'shop/x/schema/web', version: '1.0.0' })
    const bus = serving()
    bus.serve(api, {})
    await run(bus)
    expect(lying('bus/shop/x/schema/web/v1/schema/web')).toContain('"shop/x/schema/web"')
    expect(await w.value(w.bus('me').schema('shop'), 2000)).toHaveLength(1)
    expect(await w.value(w.bus('me').schema('shop/x/schema/web'), 2000)).toHaveLength(1)
    expect(w.codes()).toEqual([])
  })

  test('reads at most 256 documents', async () => {
    for (let i = 0; i < 300; i++) put(`bus/shop/v1/schema/s${i}`, textOf(first, `s${i}`))
    expect(await w.value(w.bus('me').schema('shop'), 3000)).toHaveLength(256)
  })

  test('is refused for other names and options, and after the end', async () => {
    const bus = w.bus('me')
    expect((await w.error(bus.schema('a/+'))).message).toContain('no name of an API')
    expect((await w.error(bus.schema('a', { to: 1 } as never))).message).toContain('"to"')
    expect(await w.error(bus.schema('a', { timeout: 0 }))).toMatchObject({ code: 'USAGE' })
    w.broker.close()
    expect(await w.error(bus.schema('a', { timeout: 50 }), 100)).toMatchObject({ code: 'TIMEOUT' })
    await w.value(bus.close({ timeout: 10 }), 1000)
    expect(await w.error(bus.schema('a'))).toMatchObject({ code: 'ENDED' })
  })
})

test.each<[BusOptions['schema'], string]>([
  [true as never, 'an object is needed'],
  [{ lifetime: 'ever' as never }, 'one of lease, retained'],
  [{ onBreaking: 'stop' as never }, 'one of warn, refuse'],
  [{ ttl: 5 } as never, 'no field "ttl"'],
])('the option schema: %j is refused', (schema, message) => {
  expect(() => w.bus('web', { schema })).toThrow(message)
  expect(() => w.bus('web').serve(first, { buy: () => true }, { schema })).toThrow(message)
})
