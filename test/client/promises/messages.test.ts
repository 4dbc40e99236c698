/** Whose is a message, when is it acknowledged, and what is told if nobody takes it? */
import { describe, expect, test } from 'vitest'
import { collect, text, VERSIONS, World } from '../world.ts'

describe.each(VERSIONS)('MQTT %d', (version) => {
  const acks = (world: World) =>
    world.broker.packets({ cmd: 'puback', direction: 'toBroker' }).length

  test('[M5] a message is acknowledged at the next pull, on receipt, or by ack()', async () => {
    for (const [mode, expected] of [
      ['pull', 1],
      ['receipt', 2],
      ['manual', 0],
    ] as const) {
      const world = new World(version)
      const client = world.client()
      const subscription = client.subscribe('a', { acks: mode })
      await world.value(subscription.granted)
      for (const payload of ['1', '2']) world.broker.publish('a', payload, { qos: 1 })
      await world.value(subscription.next())
      const { value } = await world.value(subscription.next())
      await world.value(client.ping())
      expect(acks(world), mode).toBe(expected)
      value!.ack()
      await world.value(client.ping())
      expect(acks(world), mode).toBe(mode === 'manual' ? 0 : 2)
    }
  })

  test('[M5] what break leaves with keep goes to the next subscription, in order', async () => {
    const world = new World(version)
    const client = world.keeping()
    const first = client.subscribe('a', { onLeave: 'keep' })
    await world.value(first.granted)
    for (const payload of ['1', '2', '3']) world.broker.publish('a', payload, { qos: 1 })
    await world.value(client.ping())
    for await (const message of first) {
      expect(text(message)).toBe('1')
      break
    }
    await world.value(client.ping())
    expect(acks(world)).toBe(0)
    const second = collect(client.subscribe('a'))
    await world.clock.advance(0)
    expect(second.texts).toEqual(['1', '2', '3'])
    expect(second.messages.map(({ redelivered }) => redelivered)).toEqual([true, true, true])
  })

  test('[M5] what break leaves with keep comes to a later client of the session', async () => {
    const world = new World(version)
    const client = world.keeping({ clientId: 'same' })
    const first = client.subscribe('a')
    await world.value(first.granted)
    for (const payload of ['1', '2']) world.broker.publish('a', payload, { qos: 1 })
    await world.value(first.next())
    await first.return?.()
    const { session } = await world.value(client.close(), 2000)
    const later = world.keeping({ clientId: 'same', session })
    const seen = collect(later.subscribe('a'))
    await world.clock.advance(100)
    expect(seen.texts).toEqual(['1', '2'])
    expect(seen.messages[0]!.redelivered).toBe(true)
  })

  test('[M5] release acknowledges what is left, and first() acknowledges all', async () => {
    const world = new World(version)
    const client = world.client()
    const left = client.subscribe('a')
    await world.value(left.granted)
    for (const payload of ['1', '2']) world.broker.publish('a', payload, { qos: 1 })
    await world.value(client.ping())
    await left.return?.()
    await world.clock.advance(10)
    expect([acks(world), left.state.released]).toEqual([2, 2])
    const first = client.subscribe('b').first()
    await world.clock.advance(0)
    for (const payload of ['1', '2']) world.broker.publish('b', payload, { qos: 1 })
    expect(text(await world.value(first))).toBe('1')
    await world.value(client.ping())
    expect(acks(world)).toBe(4)
    const unsubscribed = world.broker.packets('unsubscribe')
    expect(unsubscribed).toHaveLength(2)
  })

  test.each(['break', 'throw', 'return', 'throw()', 'dispose'])(
    '[M5] %s ends one subscription',
    async (how) => {
      const world = new World(version)
      const client = world.client()
      const subscription = client.subscribe('a')
      const other = collect(client.subscribe('b'))
      await world.value(subscription.granted)
      world.broker.publish('a', '1', { qos: 1 })
      const pull = subscription.next()
      await world.value(pull)
      if (how === 'break') for await (const _ of stepOnce(subscription)) break
      if (how === 'throw') expect(await world.error(throwing(subscription))).toBe('wrong')
      if (how === 'return') await subscription.return?.()
      if (how === 'throw()') expect(await world.error(subscription.throw!('wrong'))).toBe('wrong')
      if (how === 'dispose') await subscription[Symbol.asyncDispose]()
      await world.clock.advance(10)
      expect(await world.value(subscription.next())).toEqual({ done: true, value: undefined })
      expect(world.broker.sessions.get('c0')!.subscriptions).toEqual({ b: 1 })
      world.broker.publish('b', '2', { qos: 1 })
      await world.clock.advance(0)
      expect(other.texts).toEqual(['2'])

      function stepOnce(one: typeof subscription) {
        world.broker.publish('a', '2', { qos: 1 })
        return one
      }
      async function throwing(one: typeof subscription) {
        for await (const _ of stepOnce(one)) throw 'wrong'
      }
    },
  )

  test('[M5] the signal of a subscription ends it with its reason, at any time', async () => {
    const world = new World(version)
    const client = world.client()
    for (const when of ['before', 'while it waits', 'while it holds']) {
      const controller = new AbortController()
      if (when === 'before') controller.abort('enough')
      const subscription = client.subscribe('a', { signal: controller.signal })
      if (when === 'while it holds') {
        await world.value(subscription.granted)
        world.broker.publish('a', '1', { qos: 1 })
        await world.value(subscription.next())
      }
      const next = world.error(subscription.next())
      controller.abort('enough')
      expect(await next, when).toBe('enough')
      expect(await world.value(subscription.next())).toEqual({ done: true, value: undefined })
      expect(client.state.subscriptions).toEqual([])
    }
    await world.clock.advance(10)
    expect(world.broker.sessions.get('c0')!.subscriptions).toEqual({})
  })

  test('[M13] a flood while overlap is measured is not held without bound', async () => {
    const world = new World(version)
    const client = world.client()
    const seen = collect(client.subscribe('a/+', { overflow: { max: 10_000 } }))
    const all = collect(client.subscribe('a/#', { overflow: { max: 10_000 } }))
    // The measurement never ends by itself.
    world.broker.faults.drop({ cmd: 'publish', direction: 'toBroker' }, { times: 9 })
    await world.clock.advance(10)
    for (let i = 0; i < 1000; i++) world.broker.publish('a/b', `${i}`)
    await world.clock.advance(10)
    expect(seen.texts).toHaveLength(0)
    for (let i = 0; i < 1000; i++) world.broker.publish('a/b', `${i}`)
    await world.clock.advance(10)
    expect(new Set(seen.texts).size).toBe(1000)
    expect(all.texts.length).toBe(seen.texts.length)
  })

  test.each(['merged', 'separate', 'one-id', 'separate-no-id'] as const)(
    '[M6] filters that overlap, at a server that is %s',
    async (overlap) => {
      const world = new World(version, { overlap })
      const client = world.client()
      const filters = [['a/b'], ['a/+'], ['a/#', 'a/b', '+/b'], ['a/b']]
      const all = filters.map((some) => collect(client.subscribe(some)))
      await world.clock.advance(1000)
      for (const payload of ['1', '2']) world.broker.publish('a/b', payload, { qos: 1 })
      world.broker.publish('a/c', '3', { qos: 1 })
      await world.clock.advance(1000)
      const isBlurred = overlap === 'separate-no-id' || (version === 4 && overlap === 'separate')
      expect(world.codes()).toEqual(isBlurred ? ['OVERLAP'] : [])
      const expected = [
        ['1', '2'],
        ['1', '2', '3'],
        ['1', '2', '3'],
        ['1', '2'],
      ]
      for (const [i, { texts }] of all.entries()) {
        const once = isBlurred ? [...new Set(texts)] : texts
        expect(once, `${filters[i]}`).toEqual(expected[i])
      }
    },
  )

  test('[M6] ten thousand filters', async () => {
    const world = new World(version)
    const client = world.client({ maximumPacketSize: undefined })
    const all = Array.from({ length: 10_000 }, (_, i) => `a/${i}`)
    const seen = collect(client.subscribe(all))
    await world.clock.advance(1000)
    for (const i of [0, 5000, 9999]) world.broker.publish(`a/${i}`, `${i}`, { qos: 1 })
    await world.clock.advance(10)
    expect(seen.texts).toEqual(['0', '5000', '9999'])
  })

  test('[M7] who holds back the others is named, once', async () => {
    const world = new World(version)
    const client = world.client()
    const slow = client.subscribe('slow/x')
    const fast = collect(client.subscribe('fast'))
    await world.value(slow.granted)
    const pull = slow.next()
    await world.clock.advance(0)
    world.broker.publish('slow/x', '1', { qos: 1 })
    await world.value(pull)
    for (let i = 0; i < 3; i++) world.broker.publish('fast', '', { qos: 1 })
    await world.clock.advance(100)
    expect(slow.state.holding).toBe(3)
    expect(fast.texts).toHaveLength(3)
    await world.clock.advance(100_000)
    expect(world.codes()).toEqual(['HOLDS_BACK'])
    expect(world.warnings[0]!.message).toMatch(/slow\/x.*3000\d ms/s)
  })

  test('[M7] who moves and is stuck again is named again', async () => {
    const world = new World(version)
    const client = world.client()
    const slow = client.subscribe('slow/x')
    const fast = collect(client.subscribe('fast'))
    await world.value(slow.granted)
    for (const round of [1, 2]) {
      const pull = slow.next()
      await world.clock.advance(0)
      world.broker.publish('slow/x', '1', { qos: 1 })
      const message = await world.value(pull)
      world.broker.publish('fast', '', { qos: 1 })
      await world.clock.advance(100_000)
      expect(world.codes()).toEqual(Array(round).fill('HOLDS_BACK'))
      message.value!.ack()
      world.broker.publish('fast', '', { qos: 1 })
      await world.clock.advance(100_000)
    }
    expect(fast.texts).toHaveLength(4)
  })

  test('[M8] a subscription that nobody pulls is told of', async () => {
    const world = new World(version)
    const client = world.running(world.client())
    client.subscribe('a')
    await world.clock.advance(0)
    world.broker.publish('a', '')
    await world.clock.advance(100_000)
    expect(world.codes()).toEqual(['NOT_ITERATED'])
  })

  test('[M9] synced counts retained messages, and says how sure it is', async () => {
    const other = version === 5 ? 4 : 5
    for (const [profile, certainty] of [
      [{}, 'quiet'],
      [{ retainedBeforeFence: true }, 'ordered'],
      [{ retainedBeforeFence: true, protocolVersion: version }, 'ordered'],
      // What was measured with another version says nothing here.
      [{ retainedBeforeFence: true, protocolVersion: other }, 'quiet'],
    ] as const) {
      const world = new World(version)
      for (const i of [1, 2, 3]) world.broker.publish(`a/${i}`, `${i}`, { retain: true, qos: 1 })
      const client = world.client({ profile })
      const subscription = client.subscribe('a/+')
      expect(await world.value(subscription.synced, 300)).toEqual({ certainty, count: 3 })
      expect(subscription.state.waiting).toBe(3)
    }
  })

  test('[M9] synced waits longer while others come before, but not for ever', async () => {
    for (const [others, delayMs, settledMs, outcome] of [
      [0, 4000, 4500, { certainty: 'quiet', count: 0 }],
      [0, 12_000, 5000, { code: 'TIMEOUT' }],
      [11, 12_000, 13_000, { certainty: 'quiet', count: 0 }],
      [70, 90_000, 60_000, { code: 'TIMEOUT' }],
    ] as const) {
      const world = new World(version)
      // The message of the client's own is the only one that comes from a client.
      world.broker.faults.delay({ cmd: 'publish', direction: 'toBroker' }, delayMs)
      const subscription = world.running(world.client()).subscribe('a/+')
      const settled = subscription.synced.catch((error: unknown) => error)
      void collect(subscription)
      let over: unknown = 'pending'
      void settled.then((value) => {
        over = value
      })
      for (let ms = 0; ms < settledMs; ms += 1000) {
        expect(over, `after ${ms} ms`).toBe('pending')
        if (ms / 1000 < others) world.broker.publish('a/x', '')
        await world.clock.advance(Math.min(1000, settledMs - ms))
      }
      expect(over).toMatchObject(outcome)
    }
  })

  test('[M10] retained messages go to the newcomer only, and the last one unsubscribes', async () => {
    const world = new World(version)
    world.broker.publish('a', 'kept', { retain: true, qos: 1 })
    const client = world.running(world.client())
    const one = client.subscribe('a')
    const first = collect(one)
    await world.clock.advance(10)
    const two = client.subscribe('a', { qos: 0 })
    const second = collect(two)
    await world.clock.advance(10)
    expect([first.texts, second.texts]).toEqual([['kept'], ['kept']])
    expect(second.messages[0]).toMatchObject({ retain: true, qos: 0 })
    world.broker.publish('a', 'live', { qos: 1 })
    await world.clock.advance(10)
    expect([first.messages[1]!.qos, second.messages[1]!.qos]).toEqual([1, 0])
    await one.return?.()
    await world.clock.advance(10)
    expect(world.broker.packets('unsubscribe')).toEqual([])
    await two.return?.()
    await world.clock.advance(10)
    expect(world.broker.packets('unsubscribe')).toHaveLength(1)
  })

  test('[M11] a refusal ends its own subscription only', async () => {
    const world = new World(version)
    const client = world.running(world.client())
    world.broker.faults.refuse({ cmd: 'subscribe', topic: 'secret' })
    const secret = client.subscribe(['open', 'secret'])
    const other = collect(client.subscribe('b'))
    const error = await world.error(secret.granted)
    expect(error).toMatchObject({ code: 'SUBSCRIBE_REFUSED', name: 'RefusedError' })
    expect(error.message).toMatch(/secret.*0x8/)
    expect(await world.error(secret.next())).toBe(error)
    expect(await world.value(secret.next())).toEqual({ done: true, value: undefined })
    world.broker.publish('b', '1', { qos: 1 })
    await world.clock.advance(10)
    expect(other.texts).toEqual(['1'])
    expect(world.broker.sessions.get('c0')!.subscriptions).toEqual({ b: 1 })
  })

  test('[M13] of QoS 0 that nobody takes, overflow.max wait', async () => {
    for (const [then, expected] of [
      ['dropOldest', '7'],
      ['dropNewest', '0'],
    ] as const) {
      const world = new World(version)
      const client = world.running(world.client())
      const subscription = client.subscribe('a', { overflow: { max: 3, then } })
      await world.clock.advance(0)
      for (let i = 0; i < 10; i++) world.broker.publish('a', `${i}`)
      await world.clock.advance(10)
      expect(subscription.state).toMatchObject({ waiting: 3, dropped: 7 })
      expect(text((await world.value(subscription.next())).value)).toBe(expected)
    }
  })

  test('[M13] overflow wait stops the reader while only run() needs it', async () => {
    const world = new World(version)
    const client = world.running(world.client())
    const subscription = client.subscribe('a', { overflow: { max: 3, then: 'wait' } })
    await world.clock.advance(0)
    for (let i = 0; i < 30; i++) world.broker.publish('a', `${i}`)
    await world.clock.advance(10)
    expect(subscription.state.waiting).toBeLessThanOrEqual(5)
    const seen = collect(subscription)
    await world.clock.advance(10)
    expect(seen.texts).toEqual(Array.from({ length: 30 }, (_, i) => `${i}`))
  })

  test('R1: pulls from two places get one message each, in order', async () => {
    const world = new World(version)
    const subscription = world.client().subscribe('a')
    const pulls = [1, 2, 3].map(() => subscription.next())
    await world.clock.advance(0)
    for (const payload of ['1', '2', '3']) world.broker.publish('a', payload, { qos: 1 })
    const results = await world.value(Promise.all(pulls))
    expect(results.map(({ value }) => text(value))).toEqual(['1', '2', '3'])
  })
})
