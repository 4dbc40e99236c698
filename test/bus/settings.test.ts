/**
 * Goal: settings hold for what they name, and a run does the part that is asked for. Method: a
 * broker in memory: what is subscribed, answered, handled and run under each setting.
 */
import { describe, expect, test } from 'vitest'
import type { Bus, BusFeatures, BusOptions } from '../../src/bus/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const USAGE = expect.objectContaining({ name: 'UsageError' })

describe('settings of an API', () => {
  test('replace the time-out of the bus, and a call replaces both', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, { ...answers, length: () => new Promise<number>(() => {}) })
    await w.run(server)
    const bus = (apis: BusOptions['apis']) => w.bus('client', { timeout: 3000, apis }).api(auth)
    const took = async (calling: Promise<unknown>) => {
      const from = w.clock.elapsed
      await w.clock.until(calling.catch(() => {}))
      return w.clock.elapsed - from
    }
    expect(await took(bus({ other: { timeout: 1 } }).length('a'))).toBe(3000)
    expect(await took(bus({ auth: { timeout: 1000 } }).length('a'))).toBe(1000)
    expect(await took(bus({ auth: { timeout: 1000 } }).length('a', { timeout: 200 }))).toBe(200)
  })

  test('replace what is validated as a whole', async () => {
    const w = new BusWorld()
    const apis = { auth: { validate: { incoming: false } } }
    const server = w.bus('server', { apis, validate: { outgoing: false } })
    server.serve(auth, { ...answers, length: (text) => String(text) as never })
    await w.run(server)
    // The input is taken as it came; the output is validated again.
    const lax = w.bus('client', { apis: { auth: { validate: { outgoing: false } } } }).api(auth)
    expect(await w.error(lax.length(7 as never), 100)).toMatchObject({ code: 'RESPONDER_FAILED' })
    const strict = w.bus('client').api(auth)
    expect(await w.error(strict.length(7 as never), 100)).toMatchObject({ code: 'INVALID_INPUT' })
  })

  test.each<[string, unknown]>([
    ['a name with a dot', { apis: { 'a.b': {} } }],
    ['a timeout in words', { apis: { a: { timeout: '5s' } } }],
    ['a timeout of NaN', { apis: { a: { timeout: Number.NaN } } }],
    ['an unknown setting', { apis: { a: { quality: 1 } } }],
    ['validate in words', { apis: { a: { validate: { incoming: 'yes' } } } }],
    ['no table of APIs', { apis: 'auth' }],
    ['no settings', { apis: { a: null } }],
    ['a listener with a dot', { listeners: { 'a.b': {} } }],
    ['a concurrency of 0', { listeners: { a: { concurrency: 0 } } }],
    ['another action', { listeners: { a: { onError: 'explode' } } }],
    ['no table of listeners', { listeners: 7 }],
    ['another feature', { features: { only: ['cron'] } }],
    ['features in words', { features: { skip: 'tasks' } }],
    ['an unknown choice', { features: { without: [] } }],
  ])('%s is refused', (_, options) => {
    const w = new BusWorld()
    expect(() => w.bus('server', options as Partial<BusOptions>)).toThrow(USAGE)
  })
})

describe('settings of a listener', () => {
  test('hold unless the code says something else', async () => {
    const w = new BusWorld()
    const listeners = { welcome: { onError: 'skip', concurrency: 2 } } as const
    const server = w.bus('server', { listeners })
    server.serve(auth, answers)
    const ends: (() => void)[] = []
    const wait = () => new Promise<void>((resolve) => ends.push(resolve))
    const options = { concurrency: undefined, onError: undefined }
    const listener = server.api(auth).cleared.listen('welcome', options, wait)
    await w.run(server)
    for (const _ of 'abc') await w.value(server.fire(auth, 'cleared'), 50)
    expect(ends).toHaveLength(2)
    for (const end of ends.splice(0)) end()
    await w.clock.advance(50)
    for (const end of ends.splice(0)) end()
    await w.value(listener.close(), 3000)
    let isFailed = false
    const again = server.api(auth).cleared.listen('welcome', { onError: () => 'stop' }, () => {
      isFailed = true
      throw new Error('no')
    })
    again.done.catch(() => {})
    await w.clock.advance(50)
    await w.value(server.fire(auth, 'cleared'), 50)
    expect([isFailed, w.failures.length]).toEqual([true, 1])
    const wrong = { concurrency: 0 }
    expect(() => server.api(auth).cleared.listen('welcome', wrong, wait)).toThrow(USAGE)
  })

  test('may have any name of a listener', () => {
    const w = new BusWorld()
    const listeners = Object.fromEntries([
      ['__proto__', { concurrency: 3 }],
      ['constructor', {}],
    ])
    const bus = w.bus('server', { listeners })
    expect(() => bus.api(auth).cleared.listen('toString', {}, () => {})).not.toThrow()
  })
})

describe('run()', () => {
  /** What a bus with everything does in a run. */
  async function doneIn(bus: (w: BusWorld) => Bus, features: BusFeatures): Promise<string[]> {
    const w = new BusWorld()
    const done = new Set<string>()
    const server = bus(w)
    server.serve(auth, {
      ...answers,
      length: (text) => [done.add('rpcs'), text.length][1] as number,
    })
    server.api(auth).cleared.listen('self', {}, () => done.add('events'))
    server.every({ seconds: 1 }, () => done.add('tasks'))
    server.run(features).catch((error: unknown) => w.failures.push(error))
    await w.clock.advance(100)
    await w.value(server.fire(auth, 'cleared'), 50)
    const calling = w.bus('client').api(auth).length('abc', { timeout: 500 })
    await w.clock.until(calling.catch(() => {}))
    await w.clock.advance(1000)
    expect(w.failures).toEqual([])
    return [...done].sort()
  }

  test.each<[BusFeatures, BusFeatures, string[]]>([
    [{}, {}, ['events', 'rpcs', 'tasks']],
    [{}, { only: ['rpcs'] }, ['rpcs']],
    [{}, { only: ['events', 'tasks'] }, ['events', 'tasks']],
    [{}, { skip: ['rpcs'] }, ['events', 'tasks']],
    [{}, { only: ['rpcs', 'tasks'], skip: ['rpcs'] }, ['tasks']],
    [{}, { only: [] }, []],
    [{ only: ['rpcs'] }, {}, ['rpcs']],
    [{ only: ['rpcs'] }, { only: ['tasks'] }, ['tasks']],
    [{ skip: ['rpcs'] }, { skip: [] }, ['events', 'rpcs', 'tasks']],
    [{ skip: ['rpcs'] }, { only: ['rpcs'] }, ['rpcs']],
  ])('of a bus with %o, with %o: %o', async (features, given, done) => {
    expect(await doneIn((w) => w.bus('server', { features }), given)).toEqual(done)
  })

  test('answers calls again after a run that did not', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, answers)
    const stop = new AbortController()
    void server.run({ skip: ['rpcs'], signal: stop.signal })
    await w.clock.advance(100)
    const client = w.bus('client').api(auth)
    expect(await w.error(client.length('abc', { timeout: 200 }), 500)).toMatchObject({})
    stop.abort()
    await w.clock.advance(0)
    await w.run(server)
    expect(await w.value(client.length('abc'), 100)).toBe(3)
  })

  test.each([{ only: ['rpc'] }, { skip: 'tasks' }, { without: [] }])(
    'refuses %o',
    async (given) => {
      const w = new BusWorld()
      const error = await w.error(w.bus('server').run(given as never))
      expect(error).toMatchObject({ name: 'UsageError' })
      expect(w.broker.clients.size).toBe(0)
    },
  )
})
