/**
 * Goal: hooks surround what they are for, in their order. Method: hooks that note when they run,
 * change what they surround, throw, do not go on, and go on twice.
 */
import { describe, expect, test } from 'vitest'
import type { BusHooks } from '../../src/bus/index.ts'
import { fakeBus } from '../../src/bus/testing/index.ts'
import type { Platform } from '../../src/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

/** Hooks that note their begin and their end. */
function noting(name: string, notes: string[], api?: string): BusHooks {
  const note = (kind: string) => async (_: unknown, next: () => Promise<unknown>) => {
    notes.push(`${name} ${kind}`)
    try {
      return await next()
    } finally {
      notes.push(`${name} /${kind}`)
    }
  }
  const [call, execute, fire, handle] = ['call', 'execute', 'fire', 'handle'].map(note)
  const ofApi = { call, execute, fire, handle } as BusHooks
  if (api !== undefined) return { ...ofApi, api }
  return { ...ofApi, start: note('start'), stop: note('stop') }
}

describe('hooks', () => {
  test('are an onion: those for all APIs outside, then those for one, in their order', async () => {
    const w = new BusWorld()
    const notes: string[] = []
    const server = w.bus('server', {
      hooks: [noting('one', notes, 'auth'), noting('all', notes), noting('no', notes, 'other')],
    })
    server.hook(noting('late', notes))
    server.serve(auth, { ...answers, length: () => notes.push('handler') })
    server.api(auth).cleared.listen('self', {}, () => notes.push('heard'))
    await w.run(server)
    expect(notes.splice(0)).toEqual(['all start', 'late start', 'late /start', 'all /start'])
    await w.value(w.bus('client').api(auth).length('a'), 50)
    const around = (kind: string, inner: string[]) => [
      ...[`all ${kind}`, `late ${kind}`, `one ${kind}`, ...inner],
      ...[`one /${kind}`, `late /${kind}`, `all /${kind}`],
    ]
    expect(notes.splice(0)).toEqual(around('execute', ['handler']))
    await w.value(server.api(auth).length('a'), 50)
    expect(notes.splice(0)).toEqual(around('call', around('execute', ['handler'])))
    await w.value(server.fire(auth, 'cleared'), 50)
    expect(notes.filter((note) => /fire/.test(note))).toEqual(around('fire', []))
    expect(notes.splice(0).filter((note) => !/fire/.test(note))).toEqual(
      around('handle', ['heard']),
    )
    await w.value(server.close(), 3000)
    expect(notes).toEqual(['all stop', 'late stop', 'late /stop', 'all /stop'])
  })

  test('may change what is given, before it is validated, and the headers', async () => {
    const w = new BusWorld()
    const seen: unknown[] = []
    const server = w.bus('server', {
      hooks: [
        {
          execute: (context, next) => {
            context.input = { name: `${(context.input as { name: string }).name}!`, at: '2026' }
            return next()
          },
        },
      ],
    })
    server.serve(auth, {
      ...answers,
      check: (input, call) => {
        seen.push(input, call.headers['tenant'])
        return { ok: true, since: '1' }
      },
    })
    await w.run(server)
    const client = w.bus('client', {
      hooks: [
        {
          call: async (context, next) => {
            context.headers = { ...context.headers, tenant: 't' }
            context.input = { name: 'ada', at: 'x' }
            return { ...((await next()) as object), hooked: true }
          },
        },
      ],
    })
    const result = await w.value(client.api(auth).check({ name: 1, at: 1 } as never), 100)
    expect(result).toEqual({ ok: true, since: 1, hooked: true })
    expect(seen).toEqual([{ name: 'ada!', at: new Date('2026') }, 't'])
  })

  test('see the error of what they surround, and may answer in its place', async () => {
    await using fake = fakeBus({ apis: [auth] })
    fake.mock(auth, 'check', (_, call) => call.fail('LOCKED', { until: '3' }))
    const seen: unknown[] = []
    fake.bus.hook({
      call: async (_, next) => {
        try {
          return await next()
        } catch (error) {
          seen.push(error)
          return 'instead'
        }
      },
    })
    expect(await fake.bus.api(auth).check({ name: 'ada', at: '2026' })).toBe('instead')
    expect(seen).toMatchObject([{ code: 'LOCKED', remote: { data: { until: 3 } } }])
  })

  test.each([
    ['throws', async () => Promise.reject(new Error('hooked')), { message: 'hooked' }],
    ['never ends', () => new Promise(() => {}), { code: 'TIMEOUT' }],
    [
      'goes on twice',
      (_: unknown, next: () => Promise<unknown>) => next().then(next),
      { name: 'UsageError', message: expect.stringContaining('second time') },
    ],
  ])('one that %s is the result of a call', async (_, call, error) => {
    const w = new BusWorld()
    await w.pair()
    const client = w.bus('client', { hooks: [{ call }] })
    const calling = client.api(auth).length('a', { timeout: 500 })
    expect(await w.error(calling, 1000)).toMatchObject(error)
  })

  test('[B1] a call has what is left of its time, on a clock with fractions of a ms', async () => {
    const w = new BusWorld()
    await w.pair()
    let fraction = 0
    const platform: Platform = {
      now: () => w.clock.now() + (fraction += 0.0001),
      setTimer: (callback, ms) => w.clock.setTimer(callback, ms),
      clearTimer: (timer) => w.clock.clearTimer(timer),
      random: () => w.clock.random(),
    }
    const hooks = [{ call: (_: unknown, next: () => Promise<unknown>) => next() }]
    const client = w.bus('client', { hooks }, { platform })
    expect(await w.value(client.api(auth).length('abc'), 200)).toBe(3)
  })

  test('one that does not go on answers instead; a handler of events is then not called', async () => {
    const w = new BusWorld()
    let calls = 0
    const server = w.bus('server', { hooks: [{ execute: () => 7, handle: () => {} }] })
    server.serve(auth, { ...answers, length: () => calls++ })
    const listener = server.api(auth).cleared.listen('self', {}, () => calls++)
    await w.run(server)
    expect(await w.value(w.bus('client').api(auth).length('a'), 100)).toBe(7)
    await w.value(server.fire(auth, 'cleared'), 100)
    expect(calls).toBe(0)
    expect(listener.stats.handled).toBe(1)
  })

  test('an execute hook that never ends is over at the deadline', async () => {
    const w = new BusWorld()
    const server = w.bus('server', { hooks: [{ execute: () => new Promise(() => {}) }] })
    server.serve(auth, answers)
    await w.run(server)
    const calling = w.bus('client').api(auth).length('a', { timeout: 2000 })
    expect(await w.error(calling, 3000)).toMatchObject({ code: expect.stringMatching(/TIMEOUT/) })
  })

  test('stop is called for a start that has gone on when the bus was closed', async () => {
    const w = new BusWorld()
    const notes: string[] = []
    let opened = () => {}
    const start: BusHooks['start'] = async (_, next) => {
      notes.push('opens')
      await new Promise<void>((resolve) => {
        opened = resolve
      })
      notes.push('opened')
      await next()
    }
    const stop: BusHooks['stop'] = async (_, next) => {
      await next()
      notes.push('stopped')
    }
    const server = w.bus('server', { hooks: [{ start, stop }] })
    server.serve(auth, answers)
    const running = server.run()
    await w.clock.advance(10)
    const closing = server.close({ timeout: 1000 })
    await w.clock.advance(100)
    expect(notes).toEqual(['opens'])
    opened()
    expect(await w.after(100, closing)).toEqual({ value: undefined })
    expect(await w.after(0, running)).toEqual({ value: undefined })
    expect(notes).toEqual(['opens', 'opened', 'stopped'])
    expect(w.broker.clients.size).toBe(0)
  })

  test('start that throws ends run() before anything is answered', async () => {
    const w = new BusWorld()
    const hooks = [{ start: () => Promise.reject(new Error('no database')) }]
    const server = w.bus('server', { hooks })
    server.serve(auth, answers)
    expect(await w.error(server.run(), 100)).toMatchObject({ message: 'no database' })
    expect(w.broker.clients.size).toBe(0)
  })

  test.each([
    ['no object', null],
    ['a kind that does not exist', { before: () => {} }],
    ['no function', { call: 'log' }],
    ['start of one API', { api: 'auth', start: () => {} }],
    ['an API with a wildcard', { api: '+', call: () => {} }],
  ])('%s is refused', (_, hooks) => {
    const w = new BusWorld()
    expect(() => w.bus('server', { hooks: [hooks as never] })).toThrow(
      expect.objectContaining({ name: 'UsageError' }),
    )
  })
})
