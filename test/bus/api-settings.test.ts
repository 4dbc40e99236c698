/**
 * Goal: what is set for one API holds for it, and for no other (B15, B16, B19). Method: a bus with
 * two APIs, made of a configuration where that can say it.
 */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  type BusLogger,
  type BusOptions,
  createBus,
  defineApi,
  loadConfig,
} from '../../src/bus/index.ts'
import { fakeBus } from '../../src/bus/testing/index.ts'
import { bytes, json, text } from '../../src/client/index.ts'
import type { PublishProperties } from '../../src/index.ts'
import { BusWorld } from './bus-world.ts'

const definition = {
  version: '1.0.0',
  rpcs: { say: { input: z.string(), output: z.string() }, fail: {} },
  events: { said: { payload: z.string() } },
} as const
const one = defineApi({ name: 'one', ...definition })
const two = defineApi({ name: 'shop/two', ...definition })
const say = {
  say: (value: string) => `${value}!`,
  fail: () => {
    throw new Error('broken')
  },
}

/** @returns options as a configuration has them. */
const configured = async (settings: object): Promise<Partial<BusOptions>> => {
  const source = { service: 'web', client: { url: 'mqtt://localhost' }, ...settings }
  const { service, client, ...options } = await loadConfig(source, { env: {} })
  return options
}

/** A bus that serves both APIs, and calls and fires each of them once. */
async function used(options: Partial<BusOptions>) {
  const w = new BusWorld()
  const bus = w.bus('web', options)
  const heard: unknown[] = []
  for (const api of [one, two]) {
    bus.serve(api, say)
    bus.api(api).said.listen(`log-${api.name.length}`, {}, ({ value }) => heard.push(value))
  }
  await w.run(bus)
  for (const api of [one, two]) {
    expect(await w.value(bus.api(api).say('hi'), 50)).toBe('hi!')
    await w.error(bus.api(api).fail(), 50)
    await w.value(bus.fire(api, 'said', 'yes'), 50)
  }
  expect(heard).toEqual(['yes', 'yes'])
  const sent = w.broker.received.flatMap(({ packet, direction }) => {
    if (packet.cmd !== 'publish' || direction !== 'toBroker') return []
    const { contentType } = (packet.properties ?? {}) as PublishProperties
    return [{ topic: packet.topic, payload: String(packet.payload), qos: packet.qos, contentType }]
  })
  return { w, bus, sent: (topic: string) => sent.find((packet) => packet.topic === topic) }
}

describe('log', () => {
  /** @returns the levels of the lines about each API, and of the others. */
  async function linesWith(settings: object) {
    const lines: Record<string, Set<string>> = { one: new Set(), two: new Set(), bus: new Set() }
    const at = (level: string) => (_: object, message: string) => {
      const [, name] = /\b(one|two)\b/.exec(message) ?? []
      lines[name ?? 'bus']!.add(level)
    }
    const logger: BusLogger = {
      ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    }
    const options = await configured(settings)
    const schema = { lifetime: 'retained' } as const
    await used({ ...options, logger, schema })
    return Object.fromEntries(Object.entries(lines).map(([name, of]) => [name, [...of].sort()]))
  }

  const all = ['debug', 'error', 'info', 'warn']

  test.each<[string, object, object]>([
    ['nothing', {}, { one: all, two: all }],
    [
      'info for one API',
      { apis: { one: { log: 'info' } } },
      { one: ['error', 'info', 'warn'], two: all },
    ],
    ['warn for one API', { apis: { one: { log: 'warn' } } }, { one: ['error', 'warn'], two: all }],
    [
      'error for all but one API',
      { apis: { default: { log: 'error' }, 'shop/two': { log: 'silent' } } },
      { one: ['error'], two: [] },
    ],
  ])('[B16] [B19] %s: lines below the level are not written', async (_, settings, expected) => {
    expect(await linesWith(settings)).toEqual({ ...expected, bus: ['info'] })
  })

  test('a warning about an API that is silent still comes to `onWarning`', async () => {
    const options = await configured({ apis: { default: { log: 'silent' } } })
    const none = () => {}
    const logger = { debug: none, info: none, warn: none, error: none }
    const { w } = await used({ ...options, logger })
    expect(w.codes()).toEqual(['HANDLER_FAILED', 'HANDLER_FAILED'])
  })
})

test('[B16] codec: values of one API travel as text, and those of the other as JSON', async () => {
  const options = await configured({ apis: { 'shop/two': { codec: 'text' } } })
  const { sent } = await used(options)
  expect(sent('bus/one/v1/rpc/say')).toMatchObject({ payload: '"hi"' })
  expect(sent('bus/one/v1/event/said')).toMatchObject({
    ...{ payload: '"yes"', contentType: 'application/json' },
  })
  expect(sent('bus/shop/two/v1/rpc/say')).toMatchObject({ payload: 'hi' })
  expect(sent('bus/shop/two/v1/event/said')).toMatchObject({
    ...{ payload: 'yes', contentType: undefined },
  })
})

test('[B16] qos: calls and events of one API are not acknowledged, but for durable ones', async () => {
  const options = await configured({ apis: { one: { qos: 0 } } })
  const pushed: { qos?: number }[] = []
  const outbox = {
    push: async (request: never) => void pushed.push(request),
    settled: () => {},
    async *[Symbol.asyncIterator]() {},
  }
  const { w, bus, sent } = await used({ ...options, outbox: outbox as never })
  expect([sent('bus/one/v1/rpc/say'), sent('bus/one/v1/event/said')]).toMatchObject([
    ...[{ qos: 0 }, { qos: 0 }],
  ])
  expect([sent('bus/shop/two/v1/rpc/say'), sent('bus/shop/two/v1/event/said')]).toMatchObject([
    ...[{ qos: 1 }, { qos: 1 }],
  ])
  expect(await w.value(bus.fire(one, 'said', 'a'), 50)).toMatchObject({ unheard: false })
  await w.value(bus.fire(one, 'said', 'b', { durable: true }), 50)
  expect(pushed).toMatchObject([{ qos: 1 }])
})

test('[B15] strict: an API without a JSON Schema of each value is not served', async () => {
  const dated = (name: string) =>
    defineApi({ name, version: '1.0.0', rpcs: { at: { input: z.date(), output: z.date() } } })
  const options = await configured({ apis: { default: { strict: true }, lax: { strict: false } } })
  const bus = new BusWorld().bus('web', options)
  const at = (date: Date) => date
  expect(() => bus.serve(dated('late'), { at })).toThrow(
    'serve: late is strict, and has no JSON Schema of at input, at output; use schemas',
  )
  bus.serve(dated('lax'), { at })
  bus.serve(one, say)
})

test('a configuration has codecs by their names, and the envelope of events', async () => {
  const apis = {
    default: { codec: 'bytes' },
    a: { codec: 'json' },
    b: { codec: 'text', log: 'info' },
  }
  expect(await configured({ apis, envelope: 'cloudevents' })).toEqual({
    ...{ codec: bytes, envelope: 'cloudevents' },
    apis: { a: { codec: json }, b: { codec: text, log: 'info' } },
  })
})

test('a fake bus and its mocks use the codec of an API', async () => {
  await using fake = fakeBus({ apis: [two], bus: { apis: { 'shop/two': { codec: text } } } })
  fake.mock(two, 'say', (value) => `${value}?`)
  const asked = fake.bus.api(two).say('hi')
  await fake.settle()
  expect(await asked).toBe('hi?')
  expect(fake.called(two, 'say')).toMatchObject([{ input: 'hi' }])
})

test.each<[object, string]>([
  [{ log: 'loud' }, 'log must be one of debug, info, warn, error, silent'],
  [{ strict: 'yes' }, 'strict must be true or false'],
  [{ codec: 'json' }, 'codec must be an object with the functions encode and decode'],
  [{ codec: null }, 'codec must be an object with the functions encode and decode'],
  [{ qos: 2 }, 'qos must be 0 or 1'],
])('%j is refused, also for one API', (settings, message) => {
  const options = { service: 'web', client: 'mqtt://localhost' }
  expect(() => createBus({ ...options, ...settings } as never)).toThrow(`createBus: ${message}`)
  const apis = { 'shop/two': settings as never }
  expect(() => createBus({ ...options, apis })).toThrow(`createBus: apis: shop/two: ${message}`)
})
