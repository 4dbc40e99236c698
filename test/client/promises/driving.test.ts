/** Awaiting is driving: who makes the client read, what settles, how it ends. */
import { describe, expect, test } from 'vitest'
import { collect, text, VERSIONS, World } from '../world.ts'

describe('[M1] ', () => {
  test('[M1] without demand nothing is dialled, read or timed', async () => {
    const world = new World()
    const client = world.client()
    const subscription = client.subscribe('a')
    await world.clock.advance(60_000)
    expect(world.broker.log).toEqual([])
    expect(world.clock.pendingTimers).toBe(0)
    const { texts } = collect(subscription)
    await world.clock.advance(0)
    expect(world.broker.clients.size).toBe(1)
    world.broker.publish('a', '1', { qos: 1 })
    await world.clock.advance(0)
    expect(texts).toEqual(['1'])
  })

  test('[M1] what nobody awaits stays with the server and the loop', async () => {
    const world = new World(5, { maxInflight: 3 })
    const client = world.client()
    const subscription = client.subscribe('a')
    await world.value(subscription.granted)
    for (let i = 0; i < 50; i++) world.broker.publish('a', `${i}`, { qos: 1 })
    await world.clock.advance(10)
    // The one packet for which a next() was outstanding.
    expect(subscription.state.waiting).toBeLessThanOrEqual(1)
    expect(world.broker.sessions.get('c0')!.queued).toBe(47)
  })
})

describe.each(VERSIONS)('MQTT %d', (version) => {
  test('[M2] every promise settles when the client closes', async () => {
    const world = new World(version)
    const client = world.client()
    world.broker.hang()
    const subscription = client.subscribe('a')
    const other = client.subscribe('b')
    const promises = {
      ready: client.ready(),
      publish: client.publish('x', '', { qos: 1 }),
      publish0: client.publish('x', '', { qos: 0 }),
      ping: client.ping(),
      granted: subscription.granted,
      synced: subscription.synced,
      next: subscription.next(),
      first: other.first(),
      forEach: client.subscribe('c').forEach(() => {}),
      run: client.run(),
      publishAll: client.publishAll([{ topic: 'x', payload: '' }]).next(),
    }
    const ends = Promise.allSettled(Object.values(promises))
    await world.clock.advance(100)
    void client.close({ timeout: 100 })
    const outcomes = await world.value(ends, 20_000)
    const words = outcomes.map((one) =>
      one.status === 'fulfilled' ? 'ok' : (one.reason as { code: string }).code,
    )
    const ended = 'ENDED'
    expect(Object.fromEntries(Object.keys(promises).map((name, i) => [name, words[i]]))).toEqual({
      ...{ ready: ended, publish: ended, publish0: ended, ping: ended, granted: ended },
      ...{ synced: ended, next: 'ok', first: ended, forEach: 'ok', run: 'ok', publishAll: 'ok' },
    })
  })

  test('[M1] ping() and reauthenticate() of a new client connect first', async () => {
    const world = new World(version)
    expect(await world.value(world.client().ping())).toEqual({ roundTripMs: 0 })
    const { code } = await world.error(world.client().reauthenticate())
    expect(code).not.toBe('NOT_CONNECTED')
    expect(world.broker.clients.size).toBe(2)
  })

  test('[M14] publishAll() of an endless source ends with the client', async () => {
    const world = new World(version)
    const client = world.client()
    const endless = (function* () {
      for (;;) yield { topic: 'x', payload: '' }
    })()
    let accepted = 0
    const reading = (async () => {
      for await (const { outcome } of client.publishAll(endless, { concurrency: 3 })) {
        if (outcome.ok) accepted++
        if (accepted === 10) void client.close()
      }
    })()
    await world.value(reading, 100)
    expect(accepted).toBeGreaterThanOrEqual(10)
    expect(accepted).toBeLessThan(20)
    expect(endless.next().done).toBe(true)
  })

  test('[M2] ENDED says whether the session still has the request', async () => {
    const world = new World(version)
    const client = world.keeping({ maxQueued: 1 })
    await world.value(client.ready())
    world.broker.faults.drop({ cmd: 'publish', direction: 'toBroker' }, { times: 9 })
    const left = client.publish('a', '1')
    const waits = client.publish('a', '2')
    await world.clock.advance(10)
    expect(client.state.publishes).toMatchObject({ open: 2, waiting: 1 })
    void client.close({ timeout: 10 })
    const [one, two] = await world.errors([left, waits], 1000)
    expect([one.code, one.held]).toEqual(['ENDED', true])
    expect([two.code, two.held]).toEqual(['ENDED', false])
    expect(client.session.held).toHaveLength(1)
  })

  test('[M2] a fatal error settles everything, each with what it is', async () => {
    const world = new World(version)
    const client = world.client({ reconnect: { when: 'never' } })
    const subscription = client.subscribe('a')
    world.broker.refuseConnections()
    const next = subscription.next()
    const publish = client.publish('x', '')
    const [fatal, error] = await world.errors([next, publish], 10_000)
    expect(error.cause).toBe(fatal)
    expect(await world.error(client.publish('x', ''))).toMatchObject({ code: 'ENDED' })
    expect(() => client.subscribe('b')).toThrow(/has ended/)
    expect(await world.value(subscription.next())).toEqual({ done: true, value: undefined })
  })

  test('[M3] publishes keep the order of the calls, also those that wait for room', async () => {
    const world = new World(version)
    const client = world.client({ maxQueued: 3 })
    const seen = collect(client.subscribe('a', { qos: 2 }))
    const texts = Array.from({ length: 40 }, (_, i) => `${i}`)
    const outcomes = texts.map((one, i) =>
      client.publish('a', one, { qos: ((i % 2) + 1) as 1 | 2 }),
    )
    await world.value(Promise.all(outcomes), 100)
    await world.clock.advance(100)
    for (const parity of [0, 1]) {
      const mine = (one: string) => Number(one) % 2 === parity
      expect(seen.texts.filter(mine)).toEqual(texts.filter(mine))
    }
  })

  test('[M3] a publish that is given up leaves the others in order', async () => {
    const world = new World(version)
    const client = world.client({ maxQueued: 1 })
    const seen = collect(client.subscribe('a'))
    const controller = new AbortController()
    const options = { signal: controller.signal }
    const [one, two, three] = [
      client.publish('a', '1'),
      client.publish('a', '2', options),
      client.publish('a', '3'),
    ]
    controller.abort('enough')
    expect(await world.error(two!)).toBe('enough')
    await world.value(Promise.all([one, three]))
    expect(seen.texts).toEqual(['1', '3'])
    const before = client.publish('a', '4', { signal: AbortSignal.abort('before') })
    expect(await world.error(before)).toBe('before')
    await world.clock.advance(10)
    expect(seen.texts).toEqual(['1', '3'])
  })

  test('[M4] awaiting a publish in the body of a subscription never deadlocks', async () => {
    const world = new World(version, { maxInflight: 2 })
    const client = world.client()
    const seen: string[] = []
    const echo = async () => {
      for await (const message of client.subscribe('a')) {
        seen.push(text(message))
        await client.publish('b', text(message), { qos: 2 })
        await client.ping()
        await client.subscribe(`x/${text(message)}`).granted
      }
    }
    void echo()
    await world.clock.advance(0)
    for (let i = 0; i < 20; i++) world.broker.publish('a', `${i}`, { qos: 1 })
    await world.clock.advance(1000)
    expect(seen).toHaveLength(20)
  })

  test.each(['body', 'handler'])('[M4] close() may be awaited in a %s', async (where) => {
    const world = new World(version)
    const client = world.client()
    const subscription = client.subscribe('a')
    let closed = false
    const close = async () => {
      await client.close()
      closed = true
    }
    const body = async () => {
      for await (const _ of subscription) await close()
    }
    const done = where === 'body' ? body() : subscription.forEach(close)
    await world.clock.advance(0)
    world.broker.publish('a', '1', { qos: 1 })
    await world.value(done, 20_000)
    expect(closed).toBe(true)
  })

  test('[M12] a reconnection is seen in transitions only', async () => {
    const world = new World(version)
    const client = world.keeping()
    const subscription = client.subscribe('a')
    const changes: string[] = []
    const watch = async () => {
      for await (const { status, gap } of subscription.transitions())
        changes.push(`${status} ${gap}`)
    }
    void watch()
    const seen = collect(subscription)
    await world.clock.advance(0)
    world.broker.publish('a', '1', { qos: 1 })
    await world.clock.advance(0)
    world.broker.kill()
    world.broker.publish('a', '2', { qos: 1 })
    await world.clock.advance(1000)
    expect([seen.texts[0], seen.texts.at(-1), seen.state.ended]).toEqual(['1', '2', false])
    expect(changes.slice(0, 2)).toEqual(['granted false', 'resumed false'])
    changes.length = 0
    world.broker.restart({ keepSessions: false })
    await world.clock.advance(1000)
    expect(changes).toEqual(['renewing true', 'granted false'])
    world.broker.publish('a', '3', { qos: 1 })
    await world.clock.advance(0)
    expect(seen.texts.at(-1)).toBe('3')
  })

  test('[M12] messages that wait at a loss keep their order when the session goes on', async () => {
    const world = new World(version)
    const client = world.keeping()
    const subscription = client.subscribe('a')
    await world.value(subscription.granted)
    for (const payload of ['1', '2', '3']) world.broker.publish('a', payload, { qos: 1 })
    await world.clock.advance(10)
    world.broker.kill()
    await world.clock.advance(1000)
    const { texts } = collect(subscription)
    await world.clock.advance(1000)
    expect([...new Set(texts)]).toEqual(['1', '2', '3'])
  })

  test('[M12] messages that wait are given also if the server has lost the session', async () => {
    const world = new World(version)
    const client = world.running(world.keeping())
    const subscription = client.subscribe('a')
    await world.value(subscription.granted)
    for (const payload of ['1', '2']) world.broker.publish('a', payload, { qos: 1 })
    await world.clock.advance(10)
    world.broker.restart({ keepSessions: false })
    await world.clock.advance(1000)
    world.broker.publish('a', '3', { qos: 1 })
    const { texts } = collect(subscription)
    await world.clock.advance(10)
    expect(texts).toEqual(['1', '2', '3'])
  })

  test('[M14] closing twice is closing once, and then every call rejects', async () => {
    const world = new World(version)
    const client = world.client()
    const seen = collect(client.subscribe('a'))
    await world.value(client.ready())
    const [one, two] = await world.value(Promise.all([client.close(), client.close()]), 2000)
    expect(one).toEqual(two)
    expect(seen.state).toEqual({ ended: true, error: undefined })
    const calls = [client.ready(), client.publish('a', ''), client.ping(), client.run()]
    for (const error of await world.errors(calls)) {
      expect(error).toMatchObject({ code: 'ENDED', name: 'UsageError' })
    }
    expect(() => client.subscribe('a')).toThrow(/has ended/)
    expect(world.clock.pendingTimers).toBe(0)
  })

  test.each(['before any demand', 'offline', 'while it dials'])(
    '[M14] close() %s',
    async (when) => {
      const world = new World(version)
      const client = world.client()
      const subscription = client.subscribe('a')
      if (when === 'offline') world.broker.refuseConnections()
      if (when === 'while it dials') world.broker.hang()
      const next = when === 'before any demand' ? null : subscription.next()
      await world.clock.advance(50)
      await world.value(client.close(), 15_000)
      if (next !== null) expect(await world.value(next)).toEqual({ done: true, value: undefined })
      expect(await world.value(subscription.next())).toEqual({ done: true, value: undefined })
      expect(world.clock.pendingTimers).toBe(0)
    },
  )
})

describe('Errors', () => {
  test('Errors: TIMEOUT of a publish, of a pull and of ready', async () => {
    const world = new World()
    const client = world.client({ publishTimeout: 50 })
    world.broker.hang()
    const subscription = client.subscribe('a')
    const timeout = { code: 'TIMEOUT', name: 'ConnectionError', retryable: true }
    const calls = [
      client.publish('a', ''),
      client.publish('a', '', { timeout: 60 }),
      subscription.next({ timeout: 40 }),
      client.ready({ timeout: 30 }),
    ]
    for (const error of await world.errors(calls, 100)) {
      expect(error).toMatchObject(timeout)
    }
  })

  test('Errors: a key that is used twice has one outcome for both', async () => {
    const world = new World()
    const client = world.client()
    const both = [1, 2].map(() => client.publish('a', 'x', { key: 'k' }))
    expect(await world.value(Promise.all(both))).toHaveLength(2)
    expect(world.broker.packets({ cmd: 'publish', direction: 'toBroker' })).toHaveLength(1)
  })
})

describe('Bad input', () => {
  test.each([
    [[], /no filter/],
    ['a/#/b', /#/],
    ['{a}/{a}', /a/],
    ['{a+}/b', /a/],
    ['x{a}y', /a/],
    [7, /filter/],
  ] as const)('Bad input: subscribe(%j)', (filter, message) => {
    expect(() => new World().client().subscribe(filter as unknown as string)).toThrow(message)
  })

  test('Bad input: $share by hand is understood, and not with share too', async () => {
    const world = new World()
    const client = world.client()
    expect(() => client.subscribe('$share/g/a', { share: 'g' })).toThrow(/share/)
    const seen = collect(client.subscribe('$share/g/a'))
    await world.clock.advance(0)
    world.broker.publish('a', '1', { qos: 1 })
    await world.clock.advance(0)
    expect(seen.texts).toEqual(['1'])
  })

  test.each([[undefined], [{ a: 1 }], [7], [null]])('Bad input: publish %j', async (payload) => {
    const world = new World()
    const call = world.client().publish('a', payload as unknown as string)
    expect(await world.error(call)).toMatchObject({ name: 'UsageError' })
    expect(world.broker.log).toEqual([])
  })
})
