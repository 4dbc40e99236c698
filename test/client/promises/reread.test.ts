/** What was found by reading: ends that left something, and code of users that is called meanwhile. */
import { describe, expect, test } from 'vitest'
import { json } from '../../../src/client/index.ts'
import { collect, text, VERSIONS, World } from '../world.ts'

describe.each(VERSIONS)('MQTT %d', (version) => {
  test('[M10] a filter that is asked for again between two UNSUBACKs stays one', async () => {
    const world = new World(version)
    const client = world.running(world.client())
    await world.value(client.ready())
    const answered = new Set<number>()
    world.broker.faults.delay(({ packet }) => {
      if (packet.cmd !== 'unsuback') return false
      return answered.add(packet.messageId!).size === 2
    }, 50)
    for (let i = 0; i < 2; i++) await client.subscribe('f', { onLeave: 'release' }).return?.()
    await world.clock.advance(10)
    const last = client.subscribe('f', { onLeave: 'release' })
    const seen = collect(last)
    await world.clock.advance(100)
    world.broker.publish('f', '1', { qos: 1 })
    await world.clock.advance(10)
    expect(seen.texts).toEqual(['1'])
    await last.return?.()
    await world.clock.advance(10)
    expect(Object.keys(world.broker.sessions.get('c0')!.subscriptions)).toEqual([])
  })

  test('[M6] code of the user that pulls another subscription meanwhile disturbs nobody', async () => {
    const world = new World(version)
    const client = world.client()
    const other = client.subscribe('b', { qos: 0 })
    const pulled: string[] = []
    // A codec is called while its message is being distributed, and the next one is there.
    const codec = {
      ...json,
      decode: (bytes: Uint8Array) => {
        if (text({ payload: bytes }) === '1') {
          void other.next().then(({ value }) => pulled.push(text(value)))
        }
        return bytes
      },
    }
    const first = collect(client.subscribe('a/1', { qos: 0, codec: codec as never }))
    const second = collect(client.subscribe('a/#', { qos: 0 }))
    await world.clock.advance(1000)
    for (const [i, topic] of ['a/1', 'b', 'a/1'].entries()) {
      world.broker.publish(topic, `${i + 1}`)
    }
    await world.clock.advance(10)
    expect([first.texts, second.texts, pulled]).toEqual([['1', '3'], ['1', '3'], ['2']])
  })

  test('[M5] what an earlier process asked for itself holds nobody back', async () => {
    const world = new World(version)
    const options = { clientId: 'c0' }
    const earlier = world.keeping(options)
    // As its measurements and its answers do.
    await world.value(earlier.subscribe(['clients/c0/r/dead/s1/+', 'kept']).granted)
    await world.value(earlier.close())
    for (const topic of ['clients/c0/r/dead/s1/both', 'kept']) {
      world.broker.publish(topic, topic, { qos: 1 })
    }
    const client = world.running(world.keeping(options))
    await world.clock.advance(100)
    expect(client.state.unmatched).toBe(1)
    expect(world.broker.sessions.get('c0')!.inflight).toBe(1)
    const { value } = await world.value(client.subscribe('kept').next())
    expect(text(value)).toBe('kept')
  })

  test('[M14] a message that comes while the client closes is not given', async () => {
    const world = new World(version)
    const client = world.client()
    const seen: string[] = []
    const errors: unknown[] = []
    world.broker.faults.delay({ cmd: 'publish', topic: 'slow', direction: 'toBroker' }, 500)
    const reading = (async () => {
      try {
        for await (const message of client.subscribe('a')) {
          seen.push(text(message))
          await client.publish('slow', '')
        }
      } catch (error) {
        errors.push(error)
      }
    })()
    await world.clock.advance(10)
    world.broker.publish('a', '1', { qos: 1 })
    await world.clock.advance(10)
    const closed = client.close()
    await world.clock.advance(10)
    world.broker.publish('a', '2', { qos: 1 })
    await world.value(Promise.all([closed, reading]), 2000)
    expect([seen, errors]).toEqual([['1'], []])
  })

  test('[M2] code of the user that ends the wait in which it is called ends nothing else', async () => {
    const world = new World(version)
    const client = world.client()
    const ending = new AbortController()
    const subscription = client.subscribe('a', {
      codec: json,
      signal: ending.signal,
      onInvalid: (error) => {
        ending.abort('enough')
        throw error
      },
    })
    await world.value(subscription.granted)
    const pull = world.error(subscription.next(), 10)
    world.broker.publish('a', '{', { qos: 1 })
    expect(await pull).toBe('enough')
    const others = collect(client.subscribe('b'))
    await world.clock.advance(10)
    for (const payload of ['1', '2']) {
      world.broker.publish('b', payload, { qos: 1 })
      await world.clock.advance(10)
    }
    expect(others.texts).toEqual(['1', '2'])
  })

  test('[M8] who never pulls is told of beside one that is busy', async () => {
    const world = new World(version)
    const client = world.client()
    client.subscribe('never')
    const busy = collect(client.subscribe('busy'))
    await world.clock.advance(10)
    world.broker.publish('never', '', { qos: 1 })
    for (let i = 0; i < 70; i++) {
      world.broker.publish('busy', '', { qos: 1 })
      await world.clock.advance(1000)
    }
    expect(busy.texts).toHaveLength(70)
    expect(world.codes()).toContain('NOT_ITERATED')
  })

  test('[M2] publishAll() of a source that says nothing ends with the client', async () => {
    const world = new World(version)
    const client = world.client()
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }
    const next = client.publishAll(silent).next()
    await world.value(client.close())
    expect(await world.value(next)).toEqual({ done: true, value: undefined })
  })

  test('[M2] publishAll() that is left publishes nothing that comes later', async () => {
    const world = new World(version)
    const client = world.client()
    let give = (_: IteratorResult<{ topic: string; payload: string }>) => {}
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise<IteratorResult<{ topic: string; payload: string }>>((r) => (give = r)),
      }),
    }
    const all = client.publishAll(source)
    const first = all.next()
    await world.clock.advance(10)
    give({ done: false, value: { topic: 'x', payload: '1' } })
    await world.value(first, 10)
    await world.value(all.return!(), 10)
    give({ done: false, value: { topic: 'x', payload: '2' } })
    await world.clock.advance(10)
    const sent = world.broker.log.filter(({ packet }) => packet.cmd === 'publish')
    expect(sent).toHaveLength(1)
  })

  test('[M7] a refused subscription leaves no connection of its own', async () => {
    const world = new World(version)
    world.broker.faults.refuse({ cmd: 'subscribe', topic: 'a' })
    const client = world.running(world.client())
    const refused = client.subscribe('a', { connection: 'own' })
    expect(await world.error(refused.next(), 100)).toMatchObject({ code: 'SUBSCRIBE_REFUSED' })
    await world.clock.advance(100)
    expect([...world.broker.clients.keys()]).toEqual(['c0'])
  })

  test('[M9] synced rejects if the client ends in its quiet time', async () => {
    const world = new World(version)
    const client = world.client()
    const { synced } = client.subscribe('a')
    const seen = synced.catch((error: unknown) => error)
    await world.clock.advance(100)
    await world.value(client.close(), 1000)
    expect(await world.value(seen)).toMatchObject({ code: 'ENDED' })
  })

  test('[M2] ready() that reads the CONNACK of a lost connection waits for the next one', async () => {
    const world = new World(version)
    const client = world.client()
    const limits = await world.value(client.ready())
    // The first CONNACK is read by the next() that is outstanding, the second one waits.
    for (let i = 0; i < 2; i++) {
      world.broker.kill()
      await world.clock.advance(500)
    }
    world.broker.refuseConnections()
    world.broker.kill()
    await world.clock.advance(10)
    const ready = client.ready()
    expect(await world.after(1000, ready)).toBe('pending')
    world.broker.acceptConnections()
    expect(await world.value(ready, 1000)).toEqual(limits)
  })

  test('[M6] [M12] what is held while overlaps are measured is given once over a lost connection', async () => {
    const world = new World(version)
    const client = world.running(world.keeping())
    // The measurement waits for its messages, until it is made again on the next connection.
    world.broker.faults.drop({ cmd: 'publish', direction: 'toBroker' }, { times: 2 })
    const one = collect(client.subscribe('a/+', { qos: 2 }))
    const two = collect(client.subscribe('a/b', { qos: 2 }))
    await world.clock.advance(100)
    for (const qos of [0, 1, 2] as const) world.broker.publish('a/b', `${qos}`, { qos })
    await world.clock.advance(100)
    expect([one.texts, two.texts]).toEqual([[], []])
    world.broker.kill()
    await world.clock.advance(2000)
    for (const { texts } of [one, two]) expect(texts.toSorted()).toEqual(['0', '1', '2'])
    expect(world.broker.sessions.get('c0')!.inflight).toBe(0)
    expect(client.state.subscriptions.map(({ inHand, waiting }) => inHand + waiting)).toEqual([
      0, 0,
    ])
  })
})

test('[M12] what was granted before the CONNACK is read has no gap', async () => {
  const world = new World()
  const client = world.client()
  await world.value(client.ready())
  // The first one is read by the next() that is outstanding, the second one waits.
  for (let i = 0; i < 2; i++) {
    world.broker.kill()
    await world.clock.advance(500)
  }
  const subscription = client.subscribe('x')
  const gaps: boolean[] = []
  void (async () => {
    for await (const { gap } of subscription.transitions()) gaps.push(gap)
  })()
  await world.clock.advance(100)
  const seen = collect(subscription)
  await world.clock.advance(100)
  expect([subscription.state.status, gaps]).toEqual(['granted', [false]])
  world.broker.publish('x', '1', { qos: 1 })
  await world.clock.advance(10)
  expect(seen.texts).toEqual(['1'])
})

test('[M10] ten subscriptions of one filter get each retained message once', async () => {
  const world = new World()
  for (const i of [1, 2, 3]) world.broker.publish(`a/${i}`, `${i}`, { retain: true, qos: 1 })
  const client = world.client()
  const all = Array.from({ length: 10 }, () => collect(client.subscribe('a/#')))
  await world.clock.advance(1000)
  for (const { texts } of all) expect(texts.toSorted()).toEqual(['1', '2', '3'])
})

test('[M8] a subscription whose only message was dropped needs no watching', async () => {
  const world = new World()
  const client = world.running(world.client())
  const subscription = client.subscribe('a', { qos: 0, overflow: { max: 1 } })
  await world.clock.advance(10)
  for (const payload of ['1', '2', '3']) world.broker.publish('a', payload)
  await world.clock.advance(10)
  expect(text((await world.value(subscription.next())).value)).toBe('3')
  await world.clock.advance(100)
  const timers = world.clock.pendingTimers
  await world.clock.advance(200_000)
  expect(world.codes()).toEqual([])
  expect(world.clock.pendingTimers).toBeLessThan(Math.max(1, timers))
})
