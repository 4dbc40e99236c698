/**
 * Goal: events and their listeners (B6 to B11). Method: buses at a broker in memory; handlers that
 * throw, processes that die and come back, events that come again.
 */
import { describe, expect, test } from 'vitest'
import type { Bus, BusEvent, EventDedupe, ListenerOptions } from '../../src/bus/index.ts'
import { fakeBus } from '../../src/bus/testing/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const ada = { name: 'Ada', age: '36' }
const FILTER = '$share/mail.welcome/bus/auth/v1/event/registered/#'

/** A bus that fires, and one that listens. */
async function pair(w: BusWorld): Promise<{ server: Bus; mail: Bus }> {
  const server = w.bus('server')
  server.serve(auth, answers)
  await w.run(server)
  return { server, mail: w.bus('mail') }
}

/** A listener with a handler, whose events are kept. */
function hear(
  bus: Bus,
  options: ListenerOptions<{ name: string; age: number }> = {},
  handler: (event: BusEvent<{ name: string; age: number }>) => unknown = () => {},
) {
  const events: BusEvent<{ name: string; age: number }>[] = []
  const listener = bus.api(auth).registered.listen('welcome', options, (event) => {
    events.push(event)
    return handler(event)
  })
  return { events, listener, names: () => events.map(({ value }) => value.name) }
}

const fire = (bus: Bus, name: string, options = {}) =>
  bus.fire(auth, 'registered', { ...ada, name }, options)

/** A handler that throws for the first `count` times. */
function failing(count: number) {
  let left = count
  return () => {
    if (left-- > 0) throw new Error('no mail today')
  }
}

describe('an event', () => {
  test('[B6] reaches each listener name once, and one process of each', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const first = hear(mail)
    await w.run(mail)
    const other = w.bus('mail')
    const second = hear(other)
    await w.run(other)
    const audit = w.bus('audit')
    const third = hear(audit)
    await w.run(audit)
    for (let i = 0; i < 10; i++) await w.value(fire(server, `n${i}`), 20)
    const both = [...first.names(), ...second.names()].sort()
    expect(both).toEqual(Array.from({ length: 10 }, (_, i) => `n${i}`))
    expect(first.names().length).toBeGreaterThan(0)
    expect(second.names().length).toBeGreaterThan(0)
    expect(third.names()).toEqual(Array.from({ length: 10 }, (_, i) => `n${i}`))
  })

  test('says what it is, whence it comes and what it has', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { events } = hear(mail)
    await w.run(mail)
    const options = { key: 'de/berlin', id: 'e1', headers: { tenant: 't' } }
    const fired = await w.value(server.api(auth).registered.fire(ada, options), 50)
    expect(fired).toEqual({ id: 'e1', unheard: false })
    expect(events[0]).toMatchObject({
      ...{ api: 'auth', event: 'registered', version: '1.2.0', id: 'e1', key: 'de/berlin' },
      ...{ value: { name: 'Ada', age: 36 }, attempt: 1, redelivered: false, by: 'server/p0' },
      dedupeId: 'mail.welcome/e1',
    })
    expect(events[0]!.headers['tenant']).toBe('t')
    expect(events[0]!.firedAt).toBeGreaterThan(0)
    const { id } = await w.value(server.api(auth).cleared.fire(), 50)
    expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  })

  test('[B9] is fired only by who serves its API, and nobody hears what nobody listens to', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const error = await w.error(fire(mail, 'Ada'), 50)
    expect(error).toMatchObject({
      name: 'UsageError',
      message: expect.stringContaining('does not serve'),
    })
    expect(await w.value(fire(server, 'Ada'), 50)).toMatchObject({ unheard: true })
  })

  test('[B2] that does not fit is not sent', async () => {
    const w = new BusWorld()
    const { server } = await pair(w)
    const error = await w.error(server.fire(auth, 'registered', { name: 1 } as never), 50)
    expect(error).toMatchObject({ name: 'UsageError', code: 'INVALID_PAYLOAD' })
    expect(error.issues.map(({ path }: { path: unknown }) => path)).toEqual([['name'], ['age']])
    const none = await w.error(server.fire(auth, 'cleared', 'x' as never), 50)
    expect(none).toMatchObject({ code: 'INVALID_PAYLOAD' })
  })
})

describe('a listener', () => {
  test('[B10] is subscribed when it is granted, and has what comes from then on', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    await w.value(fire(server, 'before'), 50)
    const iterator = mail.api(auth).registered.listen('welcome')
    await w.value(iterator.granted, 50)
    await w.value(fire(server, 'after'), 50)
    const next = await w.value(iterator.next(), 50)
    expect(next.value?.value).toEqual({ name: 'after', age: 36 })
    await w.value(iterator.return(), 3000)
  })

  test('[B7] that is iterated has handled an event when it asks for the next', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const iterator = mail.api(auth).registered.listen('welcome')
    await w.value(iterator.granted, 50)
    for (const name of ['a', 'b']) await w.value(fire(server, name), 50)
    const session = () => w.broker.sessions.get('bus.mail.welcome@p1')
    expect((await w.value(iterator.next(), 50)).value?.value.name).toBe('a')
    expect(session()?.inflight).toBe(2)
    expect((await w.value(iterator.next(), 50)).value?.value.name).toBe('b')
    expect(session()?.inflight).toBe(1)
    await w.value(iterator.return(), 3000)
    expect(iterator.stats).toMatchObject({ received: 2, handled: 1 })
    // The one that was not handled comes again.
    const again = mail.api(auth).registered.listen('welcome')
    const { value } = await w.value(again.next(), 200)
    expect(value).toMatchObject({ redelivered: true, value: { name: 'b' } })
    await w.value(again.return(), 3000)
  })

  test('[B7] acknowledges an event when its handler has ended, in order', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const ends: (() => void)[] = []
    const wait = () => new Promise<void>((resolve) => ends.push(resolve))
    const { names } = hear(mail, { concurrency: 2 }, wait)
    await w.run(mail)
    for (const name of ['a', 'b', 'c']) await w.value(fire(server, name), 50)
    expect(names()).toEqual(['a', 'b'])
    const acks = () =>
      w.broker.received.filter(
        ({ packet, clientId }) => packet.cmd === 'puback' && clientId === 'bus.mail.welcome@p1',
      ).length
    ends[1]!()
    await w.clock.advance(50)
    expect(names()).toEqual(['a', 'b', 'c'])
    expect(acks()).toBe(0)
    ends[0]!()
    await w.clock.advance(50)
    expect(acks()).toBe(2)
    ends[2]!()
    await w.clock.advance(50)
    expect(acks()).toBe(3)
  })

  test('[B18] that is iterated gives no event after close(), and leaves it at the server', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    let answer = (_: boolean) => {}
    const seen = () =>
      new Promise<boolean>((resolve) => {
        answer = resolve
      })
    const store = { seen, done: () => {} }
    const iterator = mail.api(auth).registered.listen('welcome', { dedupe: { store } })
    await w.value(iterator.granted, 50)
    await w.value(fire(server, 'a'), 50)
    const next = iterator.next()
    await w.clock.advance(50)
    const closing = mail.close()
    answer(false)
    expect(await w.value(next, 50)).toEqual({ done: true, value: undefined })
    await w.value(closing, 3000)
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(1)
  })

  test('[B18] that is iterated acknowledges what its store is about to remember', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const done = () => new Promise<void>((resolve) => w.clock.setTimer(resolve, 50))
    const store = { seen: () => false, done }
    const iterator = mail.api(auth).registered.listen('welcome', { dedupe: { store } })
    await w.value(iterator.granted, 50)
    await w.value(fire(server, 'a'), 50)
    await w.value(iterator.next(), 50)
    const next = iterator.next()
    await w.clock.advance(10)
    await w.value(mail.close(), 3000)
    expect(await w.value(next, 50)).toEqual({ done: true, value: undefined })
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(0)
  })

  test('[B18] acknowledges a copy of what its handler has handled while it ends', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { events } = hear(
      mail,
      {},
      () => new Promise<void>((resolve) => w.clock.setTimer(resolve, 3000)),
    )
    await w.run(mail)
    await w.value(fire(server, 'a'), 50)
    w.broker.kill()
    await w.clock.advance(1500)
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(1)
    await w.value(mail.close(), 5000)
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(0)
    expect(events).toHaveLength(1)
  })

  test('[B6] [B7] whose process is killed gets what it had not handled', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const { events } = hear(fake.bus, {}, () => new Promise(() => {}))
    void fake.bus.run()
    await fake.fireFrom(auth, 'registered', { ...ada, name: 'a' })
    await fake.fireFrom(auth, 'registered', { ...ada, name: 'b' })
    expect(events).toHaveLength(1)
    // The session stays, and with it what was not acknowledged and what comes.
    await fake.kill()
    await fake.fireFrom(auth, 'registered', { ...ada, name: 'c' })
    const { names } = hear(fake.bus)
    void fake.bus.run()
    await fake.settle()
    expect(names()).toEqual(['a', 'b', 'c'])
  })

  test('[B8] that waits for its next attempt is named when others wait', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const retry = { max: 100, minMs: 60_000, maxMs: 60_000 }
    hear(mail, { onError: 'retry', retry }, failing(100))
    await w.run(mail)
    for (let i = 0; i < 25; i++) await w.value(fire(server, `n${i}`), 10)
    await w.clock.advance(80_000)
    expect(w.codes()).toContain('HOLDS_BACK')
    const refusals = w.broker.received.filter(
      ({ packet }) => packet.cmd === 'puback' && (packet.reasonCode ?? 0) >= 0x80,
    )
    expect(refusals).toEqual([])
  })

  const ORDERS: readonly [string, (event: BusEvent<{ readonly name: string }>) => string][] = [
    ['key', ({ key }) => key!],
    ['value', ({ value }) => value.name.slice(0, 1)],
  ]

  test.each(ORDERS)('[B7] with orderBy a %s keeps the order of each', async (_, orderBy) => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const ends: (() => void)[] = []
    const options = { concurrency: 3, orderBy }
    const { names } = hear(mail, options, () => new Promise<void>((resolve) => ends.push(resolve)))
    await w.run(mail)
    for (const [name, key] of [
      ['a1', 'a'],
      ['a2', 'a'],
      ['b1', 'b'],
    ] as const) {
      await w.value(fire(server, name, { key }), 50)
    }
    expect(names()).toEqual(['a1', 'b1'])
    ends[0]!()
    await w.clock.advance(50)
    expect(names()).toEqual(['a1', 'b1', 'a2'])
    for (const end of ends) end()
    await w.clock.advance(50)
  })

  test('[B7] with orderBy keeps the order if its store is slow about the first', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    let first = true
    const seen = () => {
      const isSlow = first
      first = false
      return new Promise<boolean>((resolve) =>
        w.clock.setTimer(() => resolve(false), isSlow ? 500 : 1),
      )
    }
    const dedupe = { store: { seen, done: () => {} } }
    const { names } = hear(mail, { concurrency: 3, dedupe, orderBy: () => 'all' })
    await w.run(mail)
    for (const name of ['a', 'b', 'c']) await w.value(fire(server, name), 50)
    expect(names()).toEqual([])
    await w.clock.advance(1000)
    expect(names()).toEqual(['a', 'b', 'c'])
  })

  test('[B11] with orderBy skips an event that does not fit its schema', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const orderBy = ({ value }: BusEvent<{ readonly name: string }>) => value.name.slice(0, 1)
    const { names, listener } = hear(mail, { concurrency: 3, onError: 'skip', orderBy })
    await w.run(mail)
    w.broker.publish('bus/auth/v1/event/registered', '7', { qos: 1 })
    await w.value(fire(server, 'Ada'), 50)
    expect(names()).toEqual(['Ada'])
    expect(listener.stats).toMatchObject({ skipped: 1, handled: 1 })
  })

  test('of a whole API has one order, and passes over events of later versions', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const seen: string[] = []
    const api = mail.api(auth)
    const listener = mail.listen(
      'all',
      [api.registered, api.cleared],
      { stream: 'api' },
      (event) => {
        seen.push(event.event)
      },
    )
    await w.run(mail)
    await w.value(server.fire(auth, 'cleared'), 50)
    await w.value(fire(server, 'Ada'), 50)
    w.broker.publish('bus/auth/v1/event/later', '1', { qos: 1 })
    w.broker.publish('bus/auth/v1/event/cleared/a/b', '', { qos: 1 })
    await w.clock.advance(50)
    expect(seen).toEqual(['cleared', 'registered'])
    expect(listener.stats).toMatchObject({ received: 4, handled: 2, passed: 2 })
  })

  test('[B6] whose renewal the server answers with a close ends with an error, and is not deaf', async () => {
    const w = new BusWorld()
    const { mail } = await pair(w)
    const { listener } = hear(mail)
    await w.run(mail)
    const match = { cmd: 'subscribe', topic: FILTER } as const
    w.broker.faults.kill(match, { times: Number.POSITIVE_INFINITY })
    w.broker.restart({ keepSessions: false })
    const error = await w.error(listener.done, 120_000)
    expect(error).toMatchObject({ name: 'RefusedError', refused: [{ topic: FILTER }] })
    expect(w.failures).toEqual([error])
  })

  test('that does not share has an ordinary filter', async () => {
    const w = new BusWorld(5, { sharedAvailable: false })
    const { server, mail } = await pair2(w)
    const shared = mail.api(auth).registered.listen('shared', {}, () => {})
    const refused = await w.error(shared.granted, 200)
    expect(refused).toMatchObject({ code: 'SUBSCRIBE_REFUSED' })
    const { names } = hear(mail, { share: false })
    mail.run().catch(() => {})
    await w.clock.advance(200)
    await w.value(fire(server, 'Ada'), 50)
    expect(names()).toEqual([])
    await w.value(shared.close(), 3000)
    mail.run().catch(() => {})
    await w.clock.advance(200)
    expect(names()).toEqual(['Ada'])
  })

  test('has a session that the server keeps for seven days, and calls have none', async () => {
    const w = new BusWorld()
    const { mail } = await pair(w)
    hear(mail)
    await w.run(mail)
    const connect = w.broker.clients.get('bus.mail.welcome@p1')!.connect
    expect(connect.clean).toBe(false)
    expect(connect.properties?.sessionExpiryInterval).toBe(604_800)
    expect(Object.keys(w.broker.sessions.get('bus.mail.welcome@p1')!.subscriptions)).toEqual([
      ...[FILTER, '$share/mail.welcome/bus/_redrive/mail/welcome/#'],
    ])
    const calling = w.broker.clients.get('bus.mail@p1')!.connect
    expect(calling.properties?.sessionExpiryInterval ?? 0).toBe(0)
  })

  test.each([
    ['its session expires', { sessionExpiryInterval: 30 }, 30],
    ['nothing is said', { sessionExpiryInterval: undefined }, 0],
    ['a session is asked for', { cleanStart: false }, 86_400],
  ])('[B3] calls have a session where %s by option', async (_, client, seconds) => {
    const w = new BusWorld()
    await w.run(w.bus('mail', {}, client))
    const [connected] = w.broker.clients.values()
    expect(connected?.connect.properties?.sessionExpiryInterval).toBe(seconds)
  })
})

/** As `pair`, for a server of services without shared subscriptions. */
async function pair2(w: BusWorld): Promise<{ server: Bus; mail: Bus }> {
  const server = w.bus('server')
  server.serve(auth, answers)
  return { server, mail: w.bus('mail') }
}

describe('what fails', () => {
  test('[B11] stop: ends the listener and run(), and the event comes again', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { listener } = hear(mail, {}, failing(1))
    await w.run(mail)
    await w.value(fire(server, 'Ada'), 50)
    expect(w.failures).toMatchObject([{ message: 'no mail today' }])
    expect(await w.error(listener.done, 50)).toMatchObject({ message: 'no mail today' })
    await w.value(listener.close(), 3000)
    const again = hear(mail)
    await w.run(mail)
    await w.clock.advance(200)
    expect(again.names()).toEqual(['Ada'])
    expect(again.events[0]!.redelivered).toBe(true)
  })

  test('skip: is reported, and the next one comes', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { names, listener } = hear(mail, { onError: 'skip' }, failing(1))
    await w.run(mail)
    for (const name of ['a', 'b']) await w.value(fire(server, name), 50)
    expect(names()).toEqual(['a', 'b'])
    expect(listener.stats).toMatchObject({ received: 2, handled: 1, skipped: 1 })
    expect(w.codes()).toEqual(['EVENT_FAILED'])
    expect(w.warnings[0]!.message).toContain('no mail today')
  })

  test('retry: again after delays that double, within bounds', async () => {
    await using fake = fakeBus({ apis: [auth] })
    const at: number[] = []
    const fail = failing(3)
    const { events, listener } = hear(fake.bus, { onError: 'retry' }, () => {
      at.push(fake.clock.now())
      fail()
    })
    void fake.bus.run()
    await fake.fireFrom(auth, 'registered', ada)
    await fake.advance(5000)
    expect(events).toHaveLength(4)
    const delays = at.slice(1).map((now, index) => now - at[index]!)
    for (const [index, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(50 * 2 ** index)
      expect(delay).toBeLessThanOrEqual(150 * 2 ** index + 1)
    }
    expect(events[0]!.attempt).toBe(4)
    expect(listener.stats).toMatchObject({ handled: 1, retried: 3 })
  })

  test.each(['stop', 'skip', 'deadLetter'] as const)('retry, then %s', async (then) => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { listener, events } = hear(
      mail,
      { onError: 'retry', retry: { max: 2, then } },
      failing(9),
    )
    await w.run(mail)
    await w.value(fire(server, 'a'), 50)
    await w.clock.advance(2000)
    expect(events).toHaveLength(3)
    const { skipped, dead } = listener.stats
    expect({ skipped, dead, failed: w.failures.length }).toEqual({
      skipped: then === 'skip' ? 1 : 0,
      dead: then === 'deadLetter' ? 1 : 0,
      failed: then === 'stop' ? 1 : 0,
    })
  })

  test.each([false, true])(
    '[B11] deadLetter: is published with the reason, retained: %s',
    async (retainDead) => {
      const w = new BusWorld()
      const { server, mail } = await pair(w)
      const dead = w.running(w.client()).subscribe('bus/_dead/#')
      await w.value(dead.granted as Promise<unknown>, 100)
      const { names, listener } = hear(mail, { onError: 'deadLetter', retainDead }, failing(1))
      await w.run(mail)
      for (const name of ['a', 'b']) await w.value(fire(server, name, { key: 'k', id: name }), 50)
      expect(names()).toEqual(['a', 'b'])
      const { value } = await w.value(dead.next(), 50)
      expect(value!.topic).toBe('bus/_dead/mail/welcome/auth/registered')
      expect(JSON.parse(new TextDecoder().decode(value!.payload))).toEqual({ ...ada, name: 'a' })
      expect(value!.properties).toMatchObject({
        contentType: 'application/json',
        userProperties: {
          ...{ 'itm-key': 'a', 'itm-by': 'server/p0', 'itm-version': '1.2.0', 'itm-code': 'Error' },
          ...{ 'itm-topic': 'bus/auth/v1/event/registered/k', 'itm-message': 'no mail today' },
        },
      })
      expect(w.broker.retained.size).toBe(retainDead ? 1 : 0)
      expect(listener.stats).toMatchObject({ handled: 1, dead: 1 })
    },
  )

  test('a function decides; what it returns by mistake, or throws, loses nothing', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const asked: unknown[] = []
    const onError = (event: BusEvent<{ name: string }>, error: unknown, attempt: number) => {
      asked.push([event.value.name, (error as Error).message, attempt])
      return event.value.name === 'bad' ? ('nonsense' as never) : ('skip' as const)
    }
    const { listener } = hear(mail, { onError }, failing(9))
    await w.run(mail)
    for (const name of ['a', 'bad']) await w.value(fire(server, name), 50)
    expect(asked).toEqual([
      ['a', 'no mail today', 1],
      ['bad', 'no mail today', 1],
    ])
    expect(w.failures).toHaveLength(1)
    expect(listener.stats).toMatchObject({ skipped: 1, handled: 0 })
  })

  test.each([
    ['not JSON', '{'],
    ['null', 'null'],
    ['empty', ''],
    ['of another shape', '{"name": 4711}'],
    ['no UTF-8', new Uint8Array([0x22, 0xff, 0x22])],
  ])('a payload that is %s is no reason to try again', async (_, payload) => {
    const w = new BusWorld()
    const { mail } = await pair(w)
    const options = { onError: 'retry', retry: { then: 'deadLetter' } } as const
    const { events, listener } = hear(mail, options)
    await w.run(mail)
    w.broker.publish('bus/auth/v1/event/registered', payload, { qos: 1 })
    await w.clock.advance(100)
    expect(events).toEqual([])
    expect(listener.stats).toMatchObject({ received: 1, dead: 1, retried: 0 })
    expect(w.warnings[0]!.message).not.toContain('4711')
  })
})

describe('an event that comes again', () => {
  test('is handled once by what is known in memory', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { names, listener } = hear(mail)
    await w.run(mail)
    for (const name of ['a', 'b', 'a']) await w.value(fire(server, name, { id: name }), 50)
    expect(names()).toEqual(['a', 'b'])
    expect(listener.stats).toMatchObject({ received: 3, handled: 2, repeated: 1 })
  })

  test('is handled again without dedupe, beyond its memory, and without an id', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { names } = hear(mail, { dedupe: { memory: 1 } })
    await w.run(mail)
    for (const name of ['a', 'b', 'a']) await w.value(fire(server, name, { id: name }), 50)
    expect(names()).toEqual(['a', 'b', 'a'])
    for (let i = 0; i < 2; i++) {
      w.broker.publish('bus/auth/v1/event/registered', JSON.stringify(ada), { qos: 1 })
      await w.clock.advance(50)
    }
    expect(names()).toEqual(['a', 'b', 'a', 'Ada', 'Ada'])
  })

  test('while its handler runs, is handled when that is', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    let end = () => {}
    const wait = () =>
      new Promise<void>((resolve) => {
        end = resolve
      })
    const { events, listener } = hear(mail, { concurrency: 2 }, wait)
    await w.run(mail)
    for (let i = 0; i < 2; i++) await w.value(fire(server, 'a', { id: 'a' }), 50)
    expect(events).toHaveLength(1)
    end()
    await w.clock.advance(50)
    expect(listener.stats).toMatchObject({ handled: 1, repeated: 1, running: 0 })
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(0)
  })

  test('[B7] is not handled again when its store answers late', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const answers: ((isSeen: boolean) => void)[] = []
    const seen = () => new Promise<boolean>((resolve) => answers.push(resolve))
    let end = () => {}
    const wait = () =>
      new Promise<void>((resolve) => {
        end = resolve
      })
    const store = { seen, done: () => {} }
    const { events } = hear(mail, { concurrency: 2, dedupe: { store } }, wait)
    await w.run(mail)
    await w.value(fire(server, 'a', { id: 'a' }), 50)
    answers[0]!(false)
    await w.clock.advance(10)
    await w.value(fire(server, 'a', { id: 'a' }), 50)
    end()
    await w.clock.advance(50)
    // Had the second one been asked for before the end, this were the answer.
    answers[1]?.(false)
    await w.clock.advance(50)
    expect(events).toHaveLength(1)
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(0)
  })

  /** A store that outlives its processes. */
  function store(): EventDedupe & {
    readonly ids: Set<string>
    readonly begun: Map<string, number>
  } {
    const ids = new Set<string>()
    const begun = new Map<string, number>()
    return {
      ...{ ids, begun },
      seen: async (id) => ids.has(id),
      done: async (id) => ids.add(id),
      begin: async (id) => {
        const count = (begun.get(id) ?? 0) + 1
        begun.set(id, count)
        return count
      },
    }
  }

  test('[B7] after a kill between handler and acknowledgement, a store knows it', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const kept = store()
    const { names } = hear(mail, { dedupe: { store: kept } })
    await w.run(mail)
    w.broker.faults.kill({ cmd: 'puback', clientId: 'bus.mail.welcome@p1' })
    await w.value(fire(server, 'a', { id: 'a' }), 50)
    expect(kept.ids).toEqual(new Set(['mail.welcome/a']))
    const reborn = w.bus('mail', { process: 'p1' })
    const later = hear(reborn, { dedupe: { store: kept } })
    void w.run(reborn)
    await w.clock.advance(500)
    expect(names()).toEqual(['a'])
    expect(later.names()).toEqual([])
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(0)
  })

  test('[B7] what is acknowledged early is in hand until a slow store knows it', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const { ids, seen } = store()
    const done = async (id: string) => {
      await new Promise<void>((resolve) => w.clock.setTimer(resolve, 500))
      ids.add(id)
    }
    const names: string[] = []
    mail.api(auth).registered.listen('welcome', { dedupe: { store: { seen, done } } }, (event) => {
      names.push(event.value.name)
      event.ack()
    })
    await w.run(mail)
    for (let copy = 0; copy < 2; copy++) await w.value(fire(server, 'a', { id: 'a' }), 50)
    await w.clock.advance(2000)
    expect(names).toEqual(['a'])
  })

  test('a store that fails ends the listener, and the event is not acknowledged', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const failure = new Error('the disk is full')
    const broken = { seen: () => false, done: () => Promise.reject(failure) }
    hear(mail, { dedupe: { store: broken } })
    await w.run(mail)
    await w.value(fire(server, 'a'), 50)
    expect(w.failures).toEqual([failure])
    await w.clock.advance(2000)
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(1)
  })

  test('a store that fails ends a listener that is iterated, and its name is free again', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const failure = new Error('the disk is full')
    const broken = { seen: () => Promise.reject(failure), done: () => {} }
    const iterator = mail.api(auth).registered.listen('welcome', { dedupe: { store: broken } })
    await w.value(iterator.granted, 50)
    await w.value(fire(server, 'a'), 50)
    expect(await w.error(iterator.next(), 50)).toBe(failure)
    await w.clock.advance(2000)
    expect(w.broker.sessions.get('bus.mail.welcome@p1')).toMatchObject({
      ...{ connected: false, inflight: 1 },
    })
    const again = mail.api(auth).registered.listen('welcome')
    expect((await w.value(again.next(), 200)).value).toMatchObject({ redelivered: true })
    await w.value(again.return(), 3000)
  })

  test('[B11] too often becomes a dead letter', async () => {
    const w = new BusWorld()
    const { server, mail } = await pair(w)
    const kept = store()
    const options = { dedupe: { store: kept }, maxRedeliveries: 2 }
    for (let life = 0; life < 3; life++) {
      const { listener } = hear(mail, options, failing(1))
      await w.run(mail)
      if (life === 0) await w.value(fire(server, 'a', { id: 'a' }), 50)
      await w.clock.advance(200)
      expect(listener.stats.dead).toBe(life === 2 ? 1 : 0)
      await w.value(listener.close(), 3000)
      await w.clock.advance(200)
    }
    expect(w.failures).toHaveLength(2)
    expect(kept.ids.has('mail.welcome/a')).toBe(true)
  })
})

test('with MQTT 3.1.1 events and dead letters have their payload and nothing else', async () => {
  const w = new BusWorld(4)
  const { server, mail } = await pair(w)
  const dead = w.running(w.client()).subscribe('bus/_dead/#')
  await w.value(dead.granted as Promise<unknown>, 100)
  const { events } = hear(mail, { onError: 'deadLetter' }, failing(1))
  await w.run(mail)
  for (const name of ['a', 'b']) await w.value(fire(server, name, { key: 'k' }), 50)
  const { value, key, id, by, version, firedAt } = events[1]!
  expect(value).toEqual({ name: 'b', age: 36 })
  expect({ key, id, by, version, firedAt }).toEqual({
    ...{ key: 'k', id: null, by: null, version: null, firedAt: null },
  })
  const { value: letter } = await w.value(dead.next(), 50)
  expect(JSON.parse(new TextDecoder().decode(letter!.payload))).toEqual({ ...ada, name: 'a' })
})

test('events keep the order of the calls, also those from before the first connection', async () => {
  const w = new BusWorld()
  const mail = w.bus('mail')
  const { names } = hear(mail)
  await w.run(mail)
  const server = w.bus('server')
  server.serve(auth, answers)
  const all = Promise.all(
    ['a', 'b', 'c'].map((name) => fire(server, name).then(() => fire(server, `${name}2`))),
  )
  await w.value(all, 200)
  expect(names()).toEqual(['a', 'b', 'c', 'a2', 'b2', 'c2'])
})
