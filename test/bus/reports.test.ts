/**
 * Goal: what a bus does is reported with names, ids, sizes, durations and codes, and never with a
 * payload; while nobody listens nothing is reported (B19). Method: a subscriber of the diagnostics
 * channels and a logger at two buses, and a stranger who answers with a code of its own.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { BusReports } from '../../src/bus/bus-reports.ts'
import {
  type BusLogger,
  type BusOptions,
  defineApi,
  dumpSchema,
  type EventReport,
  type RpcReport,
  type SchemaReport,
  schemaText,
} from '../../src/bus/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const SECRET = 'hunter2'
const ada = { name: SECRET, age: '36' }

/** @returns what a channel reports until the test ends. */
function heard<T>(name: string): T[] {
  const reports: T[] = []
  const listener = (message: unknown) => void reports.push(message as T)
  subscribe(name, listener)
  onTestFinished(() => void unsubscribe(name, listener))
  return reports
}

type Line = readonly [level: string, fields: Readonly<Record<string, unknown>>, message: string]

/** @returns a logger, and what it was given. */
function logging(): { lines: Line[]; logger: BusLogger } {
  const lines: Line[] = []
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push([level, fields as Line[1], message])
  const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return { lines, logger }
}

const caller = { service: 'client', process: 'p1', api: 'auth', version: '1.2.0' }
const responder = { ...caller, service: 'server', process: 'p0' }

describe.each([5, 4] as const)('calls, MQTT %i', (version) => {
  test('[B19] both sides report a call with the same key, and sizes without values', async () => {
    const reports = heard<RpcReport>('it-mqtt:rpc')
    const w = new BusWorld(version)
    const { client } = await w.pair({
      length: (() => new Promise((resolve) => w.clock.setTimer(() => resolve(7), 30))) as never,
    })
    expect(await w.value(client.api(auth).length(SECRET), 200)).toBe(7)
    const [executed, called] = reports
    const both = { rpc: 'length', code: null, key: expect.stringMatching(/^[\da-f]{32}$/) }
    // A text of seven letters, in quotes.
    expect(executed).toEqual({
      ...{ ...responder, ...both, kind: 'execute', by: 'client/p1', ms: 30, inputBytes: 9 },
      answerBytes: null,
    })
    expect(called).toEqual({
      ...{ ...caller, ...both, kind: 'call', by: 'client/p1', ms: expect.any(Number) },
      ...{ inputBytes: 9, answerBytes: 1 },
    })
    expect(called!.ms).toBeGreaterThanOrEqual(30)
    expect(called!.key).toBe(executed!.key)
  })

  test('[B19] the code says why a call failed at each side', async () => {
    const reports = heard<RpcReport>('it-mqtt:rpc')
    const w = new BusWorld(version)
    const { client } = await w.pair({
      check: ((_: unknown, call: { fail(code: string, data: unknown): never }) =>
        call.fail('LOCKED', { until: '1' })) as never,
      length: () => {
        throw new TypeError('broken')
      },
      reset: () => 'too much' as never,
    })
    const api = client.api(auth)
    const raw = w.bus('raw', { validate: { outgoing: false } }).api(auth)
    await w.error(api.check({ name: 'a', at: '2026' }), 200)
    await w.error(api.length('a'), 200)
    await w.error(api.length(1 as never), 200)
    await w.error(raw.length(1 as never), 200)
    const controller = new AbortController()
    const given = api.echo(1, { signal: controller.signal })
    controller.abort()
    await w.error(given, 200)
    expect(reports.map(({ kind, rpc, code }) => `${kind} ${rpc} ${code}`)).toEqual([
      ...['execute check LOCKED', 'call check LOCKED'],
      ...['execute length thrown', 'call length RESPONDER_FAILED'],
      'call length INVALID_INPUT',
      ...['execute length BAD_REQUEST', 'call length BAD_REQUEST'],
      'call echo aborted',
    ])
  })
})

test('[B19] what a stranger calls things is in no report', async () => {
  const reports = heard<RpcReport>('it-mqtt:rpc')
  const w = new BusWorld()
  const { server } = await w.pair()
  const stranger = w.client()
  await w.error(stranger.request('bus/auth/v1/rpc/made-up', '1'), 200)
  expect(reports.splice(0)).toMatchObject([{ kind: 'execute', rpc: null, code: 'UNKNOWN' }])
  await w.value(server.close(), 3000)
  const responder = stranger.respond('bus/auth/v1/rpc/+', (call) => call.fail('MADE_UP'))
  w.running(stranger)
  await w.value(responder.granted, 100)
  const error = await w.error(w.bus('client').api(auth).length('a'), 200)
  expect(error.code).toBe('MADE_UP')
  expect(reports).toMatchObject([{ kind: 'call', rpc: 'length', code: 'REFUSED_BY_RESPONDER' }])
})

describe('events', () => {
  test('[B19] who fires and who handles report the event, each attempt of its own', async () => {
    const reports = heard<EventReport>('it-mqtt:event')
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, answers)
    let attempts = 0
    server
      .api(auth)
      .registered.listen('mail', { onError: 'retry', retry: { max: 1, then: 'skip' } }, () => {
        if (++attempts < 4) throw new Error('not now')
      })
    await w.run(server)
    for (let id = 1; id <= 2; id++) {
      await w.value(server.fire(auth, 'registered', ada, { id: `e${id}` }), 1000)
    }
    const event = { ...responder, event: 'registered', by: 'server/p0', payloadBytes: 29 }
    const fired = { ...event, kind: 'fire', listener: null, attempt: 1, action: null, code: null }
    const handled = { ...event, kind: 'handle', listener: 'mail' }
    const thrown = { ...handled, code: 'thrown' }
    const id = 'e1'
    const sorted = [...reports].sort((a, b) => (a.kind < b.kind ? -1 : 1))
    expect(sorted).toMatchObject([
      { ...fired, id },
      { ...fired, id: 'e2' },
      { ...thrown, id, attempt: 1, action: 'retry' },
      { ...thrown, id, attempt: 2, action: 'skip' },
      { ...thrown, id: 'e2', attempt: 1, action: 'retry' },
      { ...handled, id: 'e2', attempt: 2, action: null, code: null },
    ])
  })

  test('[B19] an iterated event is reported when the next one is asked for', async () => {
    const reports = heard<EventReport>('it-mqtt:event')
    const w = new BusWorld()
    const server = await w.run(w.bus('server'))
    server.serve(auth, answers)
    const events = server.api(auth).registered.listen('audit', { onError: 'skip' })
    const first = events.next()
    await w.clock.advance(100)
    await w.value(server.fire(auth, 'registered', ada), 100)
    await w.value(first)
    const raw = w.client()
    await w.value(raw.publish('bus/auth/v1/event/registered', '{}', { qos: 1 }), 100)
    expect(reports.filter(({ kind }) => kind === 'handle')).toEqual([])
    const second = events.next()
    await w.clock.advance(100)
    const handled = reports.filter(({ kind }) => kind === 'handle')
    expect(handled).toMatchObject([
      { listener: 'audit', code: null, action: null },
      { listener: 'audit', id: null, code: 'INVALID_PAYLOAD', action: 'skip', payloadBytes: 2 },
    ])
    expect(handled[0]!.ms).toBeGreaterThanOrEqual(100)
    await w.value(events.return(), 1000)
    await w.value(second)
  })
})

describe('schemas', () => {
  const shop = (version: string, input: z.ZodType) =>
    defineApi({ name: 'shop', version, rpcs: { buy: { input } } })
  const buy = () => {}
  const topic = 'bus/shop/v1/schema/web'
  const facts = { service: 'web', process: 'p1', api: 'shop', topic, ms: expect.any(Number) }
  const first = shop('1.0.0', z.string())
  const wider = shop('1.1.0', z.union([z.string(), z.number()]))
  const narrower = shop('1.2.0', z.null())

  test('[B19] what becomes of the schema of a served API is reported', async () => {
    const reports = heard<SchemaReport>('it-mqtt:schema')
    const { lines, logger } = logging()
    const w = new BusWorld()
    const serving = async (api: typeof first, schema: BusOptions['schema']) => {
      const bus = w.bus('web', { schema, process: 'p1', logger })
      bus.serve(api, { buy })
      await w.run(bus)
      await w.clock.advance(1000)
      await w.value(bus.close(), 5000)
    }
    for (const api of [first, first, wider]) await serving(api, {})
    await serving(narrower, { onBreaking: 'refuse' })
    await serving(narrower, {})
    const done = { ...facts, kind: 'publish', code: null }
    const size = (api: typeof first) => schemaText(dumpSchema(api, { service: 'web' })).length
    const hashOf = (api: typeof first) => dumpSchema(api, { service: 'web' }).hash
    const [of1, of2, of3] = [first, wider, narrower].map((api) => ({
      ...{ version: api.version, hash: hashOf(api) },
    }))
    expect(reports).toEqual([
      { ...done, ...of1, bytes: size(first), result: null },
      { ...done, ...of1, kind: 'keep', bytes: 0, result: 'same' },
      { ...done, ...of2, bytes: size(wider), result: 'compatible' },
      { ...done, ...of3, bytes: 0, result: 'breaking', code: 'SCHEMA_BREAKING' },
      { ...done, ...of3, bytes: size(narrower), result: 'breaking' },
    ])
    const ofSchemas = lines.filter(([, , message]) => / schema shop/.test(message))
    expect(ofSchemas.map(([level, , message]) => `${level}: ${message}`)).toEqual([
      ...['info: publish schema shop 1.0.0', 'debug: keep schema shop 1.0.0'],
      ...['info: publish schema shop 1.1.0', 'info: publish schema shop 1.2.0'],
    ])
  })

  test('[B19] a lease that is made longer is reported, and what cannot be published', async () => {
    const reports = heard<SchemaReport>('it-mqtt:schema')
    const w = new BusWorld()
    const lease = w.bus('web', { schema: { lifetime: 'lease' }, process: 'p1' })
    lease.serve(first, { buy })
    await w.run(lease)
    await w.clock.advance(50_000)
    expect(reports.splice(0).map(({ kind, code }) => [kind, code])).toEqual([
      ...[
        ['publish', null],
        ['refresh', null],
      ],
    ])
    const old = new BusWorld(4)
    const bus = old.bus('web', { schema: { lifetime: 'lease' }, process: 'p1' })
    bus.serve(first, { buy })
    await old.run(bus)
    await old.clock.advance(1000)
    expect(reports).toMatchObject([{ kind: 'publish', code: 'SCHEMA_UNPUBLISHED', bytes: 0 }])
  })
})

describe('a logger', () => {
  test('[B19] gets the begin, the end, what was done and what failed, each at its level', async () => {
    const { lines, logger } = logging()
    const w = new BusWorld()
    const server = w.bus('server', { logger }, { onWarning: undefined })
    server.serve(auth, { ...answers, length: () => [].at(0)! })
    server.api(auth).cleared.listen('mail', { onError: 'skip' }, () => {
      throw new Error('not now')
    })
    await w.run(server)
    const api = server.api(auth)
    await w.value(api.echo('a'), 100)
    await w.error(api.length('a'), 100)
    await w.value(server.fire(auth, 'cleared'), 100)
    await w.value(server.close(), 3000)
    expect(lines.map(([level, , message]) => `${level}: ${message}`)).toEqual([
      'info: the bus runs',
      'debug: execute auth echo',
      'debug: call auth echo',
      'error: execute auth length failed: INVALID_PAYLOAD',
      expect.stringMatching(/^warn: auth: the handler of "bus\/auth\/v1\/rpc\/length" failed/),
      'warn: call auth length failed: RESPONDER_FAILED',
      'debug: fire auth cleared',
      'error: handle auth cleared failed: thrown, skip',
      expect.stringMatching(/^warn: listen: server\.mail: the event auth cleared/),
      'info: the bus has ended',
    ])
    expect(lines[4]![1]).toEqual({ code: 'HANDLER_FAILED' })
    expect(lines[0]![1]).toEqual({ service: 'server', process: 'p0' })
  })

  test('[B19] gets no payload, nor does a channel', async () => {
    const { lines, logger } = logging()
    const heardOf = [heard('it-mqtt:rpc'), heard('it-mqtt:event')]
    const w = new BusWorld()
    const server = w.bus('server', { logger })
    server.serve(auth, {
      ...answers,
      check: (_, call) => call.fail('LOCKED', { until: SECRET }, SECRET),
    })
    server.api(auth).registered.listen('mail', {}, () => {})
    await w.run(server)
    const client = w.bus('client', { logger })
    const api = client.api(auth)
    await w.error(api.check({ name: SECRET, at: SECRET }, { headers: { SECRET } }), 100)
    await w.value(api.echo(SECRET), 100)
    await w.error(api.length({ SECRET } as never), 100)
    await w.value(server.fire(auth, 'registered', ada, { headers: { SECRET } }), 100)
    await w.error(server.fire(auth, 'registered', { age: SECRET } as never), 100)
    expect(lines.length).toBeGreaterThan(8)
    expect(heardOf.map(({ length }) => length > 2)).toEqual([true, true])
    expect(JSON.stringify([lines, heardOf])).not.toMatch(/hunter2|SECRET/)
  })

  test('[B19] that throws fails no call', async () => {
    const before = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    const unhandled: unknown[] = []
    process.on('unhandledRejection', (error) => unhandled.push(error))
    onTestFinished(() => {
      process.removeAllListeners('unhandledRejection')
      for (const listener of before) process.on('unhandledRejection', listener)
    })
    const fails = () => {
      throw new Error('no disk')
    }
    const w = new BusWorld()
    await w.pair()
    const logger = { debug: fails, info: fails, warn: fails, error: fails }
    expect(await w.value(w.bus('logged', { logger }).api(auth).length('abc'), 200)).toBe(3)
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([new Error('no disk')])
  })

  test.each([[null], [{}], [{ debug() {}, info() {}, warn() {} }], [console.log]])(
    '[B19] has all four functions: %j is refused',
    (logger) => {
      const w = new BusWorld()
      expect(() => w.bus('a', { logger: logger as never })).toThrow(
        /logger must have the functions debug, info, warn and error.*is missing/,
      )
    },
  )
})

test('[B19] while nobody listens, nothing is asked of the clock for reports', () => {
  const reports = new BusReports('a', 'b', null as never)
  expect([reports.hasRpcListeners, reports.hasEventListeners]).toEqual([false, false])
  reports.schema(null, () => {
    throw new Error('nobody asks for facts')
  })
  const end = reports.add({ rpc() {}, event() {} })
  expect([reports.hasRpcListeners, reports.hasEventListeners]).toEqual([true, true])
  end()
  expect([reports.hasRpcListeners, reports.hasEventListeners]).toEqual([false, false])
})
