/**
 * Goal: a fake bus is a real bus, with mocks for others (B17). Method: a small application at a fake
 * bus, whose events come again, whose link is lost and which is killed; all that is refused; what is
 * left after the end.
 */
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  type Bus,
  type BusEvent,
  defineApi,
  type LifeContext,
  type ListenerOptions,
} from '../../../src/bus/index.ts'
import { type FakeBusOptions, fakeBus } from '../../../src/bus/testing/index.ts'
import { createBroker, virtualClock } from '../../../src/testing/index.ts'
import { answers, auth } from '../bus-world.ts'

const ada = { name: 'Ada', age: '36' }

/** What a promise rejects with. */
async function errorOf(promise: Promise<unknown>) {
  const outcome = await promise.then(
    () => null,
    (error: unknown) => error as Error & { code?: string },
  )
  if (outcome === null) throw new Error('no error')
  return outcome
}

/** An application that welcomes who registers. */
function welcoming(
  bus: Bus,
  options: ListenerOptions<{ name: string; age: number }> = {},
  handler: (event: BusEvent<{ name: string; age: number }>) => unknown = () => {},
) {
  const names: string[] = []
  bus.api(auth).registered.listen('welcome', options, (event) => {
    names.push(event.value.name)
    return handler(event)
  })
  bus.run().catch(() => {})
  return names
}

describe('a call', () => {
  test('is answered by a value, a function or an error, and the latest mock counts', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const api = fake.bus.api(auth)
    fake.mock(auth, 'length', 3)
    expect(await api.length('abcd')).toBe(3)
    fake.mock(auth, 'length', (text) => text.length)
    expect(await api.length('abcd')).toBe(4)
    fake.mock(auth, 'reset', undefined)
    expect(await api.reset()).toBeUndefined()
    fake.mock(auth, 'length', new Error('the database is away'))
    expect(await errorOf(api.length('abcd'))).toMatchObject({ code: 'RESPONDER_FAILED' })
    expect(fake.warnings.at(-1)?.message).toContain('the database is away')
    fake.mock(auth, 'check', (_, call) => call.fail('LOCKED', { until: '7' }))
    const locked = await errorOf(api.check({ name: 'eve', at: '2026-11-30' }))
    expect(locked).toMatchObject({ code: 'LOCKED', remote: { data: { until: 7 } } })
  })

  test('is validated at both ends, as with a real service', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const api = fake.bus.api(auth)
    fake.mock(auth, 'length', 'three' as never)
    expect(await errorOf(api.length(4 as never))).toMatchObject({ code: 'INVALID_INPUT' })
    expect(await errorOf(api.length('four'))).toMatchObject({ code: 'RESPONDER_FAILED' })
    expect(fake.warnings.at(-1)?.message).toContain('the output does not fit its schema')
    fake.mock(auth, 'check', ({ at }) => ({ ok: true, since: String(at.getTime()) }))
    expect(await api.check({ name: 'ada', at: '1970-01-01' })).toEqual({ ok: true, since: 0 })
  })

  test('without a mock says how to mock it', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const error = await errorOf(fake.bus.api(auth).length('a'))
    expect(error).toMatchObject({ name: 'RefusedError', code: 'NOT_MOCKED' })
    expect(error.message).toContain(
      "auth length was called and has no mock; write `fake.mock(api, 'length', …)` before it, or " +
        "give fakeBus() `stubs: 'fromSchema'`",
    )
  })

  test('without a mock is not answered if mocks are not required', async () => {
    await using fake = fakeBus({ apis: [auth], requireMocks: false })
    const call = errorOf(fake.bus.api(auth).length('a', { timeout: 2000 }))
    await fake.advance(1999)
    expect(await Promise.race([call, 'pending'])).toBe('pending')
    await fake.advance(1)
    expect(await call).toMatchObject({ code: 'TIMEOUT' })
  })

  test('of an API that nobody serves is told so', async () => {
    await using fake = fakeBus()
    expect(await errorOf(fake.bus.api(auth).length('a'))).toMatchObject({ code: 'NO_RESPONDERS' })
  })

  test('waits for the mocks, however long they need to connect', async () => {
    await using fake = fakeBus({ apis: [auth] })
    fake.mock(auth, 'length', 3)
    fake.broker.faults.delay('connect', 50)
    const call = fake.bus.api(auth).length('a')
    await fake.advance(49)
    expect(fake.broker.packets('connect')).toHaveLength(1)
    await fake.advance(1)
    expect(await call).toBe(3)
  })

  test('is recorded once, as it was sent, also if it was sent again', async () => {
    await using fake = fakeBus({ apis: [auth] })
    fake.mock(auth, 'length', (text) => text.length)
    fake.mock(auth, 'check', ({ at }) => ({ ok: true, since: String(at.getTime()) }))
    const api = fake.bus.api(auth)
    await api.check({ name: 'ada', at: '2026-11-30' }, { headers: { tenant: 't' } })
    const [record, ...others] = fake.called(auth, 'check')
    expect(others).toEqual([])
    expect(record).toMatchObject({
      ...{ api: 'auth', rpc: 'check', by: 'app/p0', at: fake.clock.startedAt },
      ...{ input: { name: 'ada', at: '2026-11-30' }, headers: { tenant: 't' } },
    })
    expectTypeOf(record!.input).toEqualTypeOf<{ name: string; at: string }>()
    // The answer is lost, and an idempotent call is sent again.
    const toClient = { cmd: 'publish', direction: 'toClient', clientId: 'bus.app@p0' } as const
    fake.broker.faults.kill(toClient)
    const again = api.length('word')
    await fake.advance(500)
    expect(await again).toBe(4)
    expect(
      fake.broker.packets({ topic: 'bus/auth/v1/rpc/length', direction: 'toBroker' }).length,
    ).toBeGreaterThan(1)
    expect(fake.called(auth, 'length')).toHaveLength(1)
  })
})

describe('an event', () => {
  test('of others comes to the listeners of the application', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const names = welcoming(fake.bus)
    const fired = await fake.fireFrom(auth, 'registered', ada, { id: 'e1', key: 'de/berlin' })
    expect(fired).toEqual({ id: 'e1', unheard: false })
    expect(names).toEqual(['Ada'])
    expect(fake.fired(auth, 'registered')).toEqual([])
    const wrong = fake.fireFrom(auth, 'registered', { name: 1 } as never)
    expect(await errorOf(wrong)).toMatchObject({ code: 'INVALID_PAYLOAD' })
  })

  test('of the application is recorded, and nobody hears it', async () => {
    await using fake = fakeBus()
    fake.bus.serve(auth, answers)
    expect(await fake.bus.fire(auth, 'registered', ada)).toMatchObject({ unheard: true })
    expect(fake.fired(auth, 'registered')).toMatchObject([{ value: ada, by: 'app/p0' }])
  })

  test('that comes again is dropped', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const names = welcoming(fake.bus)
    await fake.fireFrom(auth, 'registered', ada)
    await fake.duplicate()
    expect(names).toEqual(['Ada'])
    await fake.advance(1000)
    expect(fake.broker.violations).toEqual([])
    const careless = fake.join('careless')
    const all = welcoming(careless, { dedupe: false })
    await fake.settle()
    await fake.duplicate()
    await fake.duplicate()
    expect(all).toEqual(['Ada', 'Ada'])
  })

  test('that fails is handled again when time has passed', async () => {
    await using fake = fakeBus({ apis: [auth] })
    let left = 2
    const fail = () => {
      if (left-- > 0) throw new Error('no mail today')
    }
    const names = welcoming(fake.bus, { onError: 'retry' }, fail)
    await fake.fireFrom(auth, 'registered', ada)
    expect(names).toHaveLength(1)
    await fake.advance(1000)
    expect(names).toHaveLength(3)
    expect(fake.warnings.map(({ code }) => code)).toEqual(['EVENT_FAILED'])
  })

  test('waits while the link is lost', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const names = welcoming(fake.bus)
    await fake.settle()
    await fake.drop()
    // The others are connected, and fire.
    expect([...fake.broker.clients.keys()]).toEqual(['bus.others@fake'])
    await fake.fireFrom(auth, 'registered', ada)
    expect(names).toEqual([])
    await fake.advance(200)
    expect(names).toEqual(['Ada'])
  })
})

describe('a process that is killed', () => {
  test('[B7] [B17] gets in its next life what it had not acknowledged', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const first = fake.bus
    const before = welcoming(first, {}, () => new Promise(() => {}))
    await fake.fireFrom(auth, 'registered', { ...ada, name: 'a' })
    await fake.fireFrom(auth, 'registered', { ...ada, name: 'b' })
    expect(before).toEqual(['a'])
    expect(await fake.kill()).toBe(fake.bus)
    expect(fake.bus).not.toBe(first)
    const events: BusEvent[] = []
    const after = welcoming(fake.bus, {}, (event) => events.push(event))
    await fake.fireFrom(auth, 'registered', { ...ada, name: 'c' })
    expect(before).toEqual(['a'])
    expect(after).toEqual(['a', 'b', 'c'])
    expect(events[0]).toMatchObject({ redelivered: true, attempt: 1 })
    expect(await errorOf(fake.kill(first))).toMatchObject({ name: 'UsageError' })
  })

  test('does not connect again, however quick it is', async () => {
    const reconnect = { when: 'always', minMs: 1, maxMs: 1 } as const
    // The delay before another connection is shorter than the end of a bus.
    const clock = virtualClock()
    clock.random = () => 0
    await using fake = fakeBus({ apis: [auth], clock, bus: { client: { reconnect } } })
    welcoming(fake.bus, {}, () => new Promise(() => {}))
    await fake.fireFrom(auth, 'registered', ada)
    const connects = () => fake.broker.packets('connect').length
    const before = connects()
    await fake.kill()
    expect(connects()).toBe(before)
  })

  test('does nothing more: neither retries, nor hooks, nor answers', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const hooks: string[] = []
    const note = ({ kind }: LifeContext, next: () => unknown) => {
      hooks.push(kind)
      return next()
    }
    const bus = fake.join('mail', { hooks: [{ start: note, stop: note }] })
    const names = welcoming(bus, { onError: 'retry' }, () => {
      throw new Error('not now')
    })
    await fake.fireFrom(auth, 'registered', ada)
    const next = await fake.kill(bus)
    await fake.advance(60_000)
    expect(names).toHaveLength(1)
    expect(hooks).toEqual(['start'])
    expect(fake.broker.sessions.get('bus.mail.welcome@p0')).toMatchObject({ connected: false })
    expect(next.service).toBe('mail')
    await fake.close()
    expect(hooks).toEqual(['start'])
  })
})

describe('a fake bus', () => {
  test('[B18] leaves nothing behind: no timer, no connection, no handle', async () => {
    const handles = (name: string) =>
      process.getActiveResourcesInfo().filter((one) => one === name).length
    const timers = handles('Timeout')
    const fake = fakeBus({ apis: [auth] })
    fake.mock(auth, 'length', () => new Promise(() => {}))
    welcoming(fake.bus, { onError: 'retry' }, () => {
      throw new Error('not now')
    })
    welcoming(fake.join('mail'), {}, () => new Promise(() => {}))
    const call = errorOf(fake.bus.api(auth).length('abc'))
    await fake.fireFrom(auth, 'registered', ada)
    await fake.drop()
    await fake.close()
    expect(await call).toMatchObject({ code: 'ENDED' })
    expect(fake.clock.pendingTimers).toBe(0)
    expect(fake.broker.clients.size).toBe(0)
    expect(fake.broker.violations).toEqual([])
    expect(handles('Timeout')).toBeLessThanOrEqual(timers)
    expect(handles('TCPSocketWrap') + handles('TCPServerWrap')).toBe(0)
    expect(fake.close()).toBe(fake.close())
    expect(() => fake.join('late')).toThrow('was closed')
  })

  test('that was never used ends', async () => {
    const fake = fakeBus()
    await fake.close()
    expect(fake.clock.pendingTimers).toBe(0)
    expect(() => fake.bus).toThrow('was closed')
  })

  test('takes a clock and a broker of the test, and does not close them', async () => {
    const clock = virtualClock()
    const broker = createBroker({ clock })
    await using fake = fakeBus({ apis: [auth], clock, broker, bus: { prefix: 'x/y' } })
    fake.mock(auth, 'length', 1)
    expect(await fake.bus.api(auth).length('a')).toBe(1)
    fake.expectCalled(auth, 'length', { times: 1 })
    await fake.close()
    expect(broker.sessions.size).toBe(0)
    const stream = broker.transport(null as never, new AbortController().signal)
    expect(await stream).toHaveProperty('destroyed', false)
    broker.close()
  })

  test.each<[string, unknown, string]>([
    ['null', null, 'the options must be an object'],
    ['an unknown option', { api: [] }, 'fakeBus has no option "api"; allowed: apis, '],
    ['APIs that are no list', { apis: auth }, 'apis must be an array'],
    ['a wrong requireMocks', { requireMocks: 'yes' }, 'requireMocks must be true or false'],
    ['a wrong stubs', { stubs: true }, 'stubs must be "fromSchema"'],
    ['an unknown option of the broker', { broker: { x: 1 } }, 'createBroker has no option'],
  ])('refuses %s', (_, options, message) => {
    expect(() => fakeBus(options as FakeBusOptions)).toThrow(message)
  })

  test('refuses what is not there', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const other = defineApi({ name: 'other', version: '1.0.0', rpcs: { f: {} }, events: { e: {} } })
    expect(() => fake.mock(other, 'f', undefined)).toThrow('does not stand for other: give it')
    expect(() => fake.mock(auth, 'f' as never, 1 as never)).toThrow(
      'auth has no rpc "f"; it has: check, echo, length, reset',
    )
    expect(await errorOf(fake.fireFrom(other, 'e'))).toMatchObject({ name: 'UsageError' })
    expect(() => fake.called(auth, 'constructor' as never)).toThrow('auth has no "constructor"')
    expect(() => fake.fired(auth, 'f' as never)).toThrow('it has: registered, cleared')
    expect(await errorOf(fake.duplicate())).toMatchObject({ name: 'UsageError' })
    expect(() => fake.join('x', { client: 'mqtt://localhost' })).toThrow('leave out the URL')
    const old = fakeBus({ bus: { client: { protocolVersion: 4 } } })
    expect(() => old.called(auth, 'length')).toThrow('before MQTT 5')
    await old.close()
  })

  test('checks the types of mocks, records and expectations', async () => {
    await using fake = fakeBus({ apis: [auth] })
    // @ts-expect-error the output is a number
    fake.mock(auth, 'length', 'three')
    // @ts-expect-error there is no such rpc
    expect(() => fake.mock(auth, 'size', 3)).toThrow()
    // @ts-expect-error the payload has a name
    expect(await errorOf(fake.fireFrom(auth, 'registered', {}))).toBeDefined()
    const records = fake.fired(auth, 'registered')
    expectTypeOf(records).items.toHaveProperty('value').toEqualTypeOf<typeof ada>()
    // @ts-expect-error the input is a text
    expect(() => fake.expectCalled(auth, 'length', { with: 1 })).toThrow()
  })
})

describe('an expectation', () => {
  const shop = defineApi({
    name: 'shop',
    version: '1.0.0',
    rpcs: { order: { input: z.looseObject({ id: z.unknown() }) } },
    events: { ordered: { payload: z.unknown() } },
  })

  async function ordered(...ids: unknown[]) {
    const fake = fakeBus({ apis: [shop] })
    fake.mock(shop, 'order', undefined)
    for (const id of ids) await fake.bus.api(shop).order({ id })
    return fake
  }

  test.each<[string, unknown[], object | undefined, string | null]>([
    ['at least one', [1], undefined, null],
    ['none', [], { times: 0 }, null],
    ['one of several', [1, 2], { with: { id: 2 } }, null],
    ['two of three', [1, 2, 1], { times: 2, with: { id: 1 } }, null],
    ['a matcher', ['x'], { with: { id: expect.any(String) } }, null],
    ['nested', [{ a: [1, { b: null }] }], { with: { id: { a: [1, { b: null }] } } }, null],
    ['not one', [], undefined, 'shop order: expected at least one call, and there was none'],
    [
      'too many',
      [1, 2],
      { times: 1 },
      'shop order: expected 1 call, and there were 2\n  call 1: {"id":1}\n  call 2: {"id":2}',
    ],
    [
      'another value',
      [{ a: 1, b: [1, 2] }, 'x'],
      { with: { id: { a: 2, b: [1], c: 3 } } },
      'shop order: expected at least one call with {"id":{"a":2,"b":[1],"c":3}}, and there was ' +
        'none; 2 in all\n' +
        '  call 1: id.a: expected 2, there was 1; id.b.1: expected nothing, there was 2; ' +
        'id.c: expected 3, there was nothing\n' +
        '  call 2: id: expected {"a":2,"b":[1],"c":3}, there was "x"',
    ],
    [
      'a value too often',
      [1, 1, 2],
      { times: 1, with: { id: 1 } },
      'shop order: expected 1 call with {"id":1}, and there were 2; 3 in all\n' +
        '  call 1: as expected\n  call 2: as expected\n  call 3: id: expected 1, there was 2',
    ],
    ['a matcher that does not', [1], { with: { id: expect.any(String) } }, 'id: expected'],
    ['a wrong field', [1], { count: 1 }, 'has no field "count"; allowed: times, with'],
    ['a wrong number', [1], { times: 0.5 }, 'times must be a whole number from 0, not 0.5'],
  ])('of %s', async (_, ids, expectation, message) => {
    await using fake = await ordered(...ids)
    const check = () => fake.expectCalled(shop, 'order', expectation as never)
    if (message === null) expect(check).not.toThrow()
    else expect(check).toThrow(message)
  })

  test('of events reads as that of calls', async () => {
    await using fake = fakeBus()
    fake.bus.serve(shop, { order: () => {} })
    await fake.bus.fire(shop, 'ordered', { id: 1 }, { key: 'de/berlin', id: 'e1' })
    fake.expectFired(shop, 'ordered', { times: 1, with: { id: 1 } })
    expect(() => fake.expectFired(shop, 'ordered', { times: 2 })).toThrow(
      'shop ordered: expected 2 events, and there was one\n  event 1: {"id":1}',
    )
    expect(fake.fired(shop, 'ordered')).toMatchObject([
      { api: 'shop', event: 'ordered', id: 'e1', key: 'de/berlin', by: 'app/p0', value: { id: 1 } },
    ])
  })
})
