/** What was wrong once. */
import { describe, expect, test } from 'vitest'
import { json } from '../../../src/client/index.ts'
import { collect, text, VERSIONS, World } from '../world.ts'

test('[M2] a function onInvalid that throws rejects the pull, and the client goes on', async () => {
  const world = new World()
  const client = world.client()
  const wrong = new Error('wrong')
  const subscription = client.subscribe('a', {
    codec: json,
    onInvalid: () => {
      throw wrong
    },
  })
  await world.value(subscription.granted)
  const pull = subscription.next()
  world.broker.publish('a', '{', { qos: 1 })
  expect(await world.error(pull)).toBe(wrong)
  world.broker.publish('a', '1', { qos: 1 })
  expect((await world.value(subscription.next())).value?.value).toBe(1)
  expect(await world.value(client.publish('b', 'x'))).toMatchObject({ reasonCode: 0x10 })
})

test('[M2] two forEach of one subscription both end with the client', async () => {
  const world = new World()
  const client = world.client()
  const subscription = client.subscribe('a')
  const seen: string[] = []
  const work = async (message: { payload: Uint8Array }) => {
    await new Promise<void>((resolve) => world.clock.setTimer(resolve, 10))
    seen.push(text(message))
  }
  const both = Promise.all([subscription.forEach(work), subscription.forEach(work)])
  await world.value(subscription.granted)
  for (const payload of ['1', '2', '3', '4']) world.broker.publish('a', payload, { qos: 1 })
  await world.clock.advance(100)
  expect(seen).toEqual(['1', '2', '3', '4'])
  const closed = client.close()
  await world.clock.advance(0)
  expect(await world.value(both)).toEqual([undefined, undefined])
  await world.value(closed)
})

test('[M3] whenFull reject counts publishes, and no SUBSCRIBE that waits for a connection', async () => {
  const world = new World()
  const client = world.client({ whenFull: 'reject', maxQueued: 2 })
  const subscription = client.subscribe('a')
  const [one, two, three] = ['1', '2', '3'].map((payload) => client.publish('a', payload))
  expect(await world.error(three!)).toMatchObject({ code: 'QUEUE_FULL', retryable: true })
  await world.value(Promise.all([one, two]))
  expect(text((await world.value(subscription.next())).value)).toBe('1')
})

describe.each(VERSIONS)('MQTT %d', (version) => {
  test('[M5] what is read after the end of its filter is acknowledged, in a session too', async () => {
    const world = new World(version, { maxInflight: 2 })
    const client = world.keeping()
    const left = client.subscribe('a', { onLeave: 'release' })
    const other = client.subscribe('b')
    await world.value(Promise.all([left.granted, other.granted]))
    for (const payload of ['1', '2', '3']) world.broker.publish('a', payload, { qos: 1 })
    world.broker.publish('b', '4', { qos: 1 })
    await world.clock.settle()
    expect(text(await world.value(left.first()))).toBe('1')
    expect(text((await world.value(other.next(), 1000)).value)).toBe('4')
  })

  test('[M11] a subscription that is refused at its renewal holds nobody back', async () => {
    const world = new World(version, { maxInflight: 2 })
    const client = world.keeping({ renewSubscriptions: 'always' })
    const refused = client.subscribe('a')
    const other = client.subscribe('b')
    const others = collect(other)
    await world.value(refused.granted)
    for (const payload of ['in hand', 'waits']) world.broker.publish('a', payload, { qos: 1 })
    expect(text((await world.value(refused.next())).value)).toBe('in hand')
    world.broker.faults.refuse({ cmd: 'subscribe', topic: 'a' })
    world.broker.kill()
    await world.clock.advance(1000)
    expect(refused.state.status).toBe('refused')
    const again = await world.value(refused.next())
    expect([text(again.value), again.value!.redelivered]).toEqual(['in hand', true])
    await refused.return?.()
    for (const payload of ['1', '2', '3', '4']) world.broker.publish('b', payload, { qos: 1 })
    await world.clock.advance(0)
    expect(others.texts).toEqual(['1', '2', '3', '4'])
    expect(world.broker.sessions.get('c0')!.inflight).toBeLessThanOrEqual(1)
  })
})

test.each(VERSIONS)(
  '[M11] a renewal that the loop gives up ends its subscription (MQTT %s)',
  async (version) => {
    const world = new World(version)
    const client = world.running(world.client({ quarantineAfter: 2 }))
    const refused = client.subscribe('a')
    const others = collect(client.subscribe('b'))
    await world.value(refused.granted)
    const next = refused.next()
    // It closes at this SUBSCRIBE, as RabbitMQ does without the permission for it.
    world.broker.faults.kill({ cmd: 'subscribe', topic: 'a' }, { times: Number.POSITIVE_INFINITY })
    world.broker.kill()
    const error = await world.error(next, 60_000)
    expect(error).toMatchObject({ name: 'RefusedError', refused: [{ topic: 'a' }] })
    expect(world.codes()).toContain('RENEWAL_REFUSED')
    expect(refused.state.status).toBe('refused')
    expect(await world.value(refused.next())).toEqual({ done: true, value: undefined })
    world.broker.publish('b', '1', { qos: 1 })
    await world.clock.advance(0)
    expect(others.texts).toEqual(['1'])
    // Who asks for it again has an answer of its own.
    world.broker.faults.clear()
    const again = client.subscribe('a')
    await world.value(again.granted, 100)
    world.broker.kill()
    await world.clock.advance(1000)
    expect(again.state.status).toBe('granted')
  },
)

test('[M11] a second subscription that is refused leaves what came for the first one', async () => {
  const world = new World(5, { maxInflight: 2 })
  const client = world.running(world.client())
  const first = collect(client.subscribe('a'))
  await world.clock.advance(0)
  const faults = world.broker.faults
  faults.delay({ cmd: 'subscribe' }, 100)
  const second = client.subscribe('a')
  await world.clock.advance(0)
  world.broker.publish('a', '1', { qos: 1 })
  await world.clock.advance(0)
  expect(second.state.waiting).toBe(1)
  faults.refuse({ cmd: 'subscribe' })
  world.broker.send('c0', { cmd: 'suback', messageId: 2, granted: [0x87] })
  await world.clock.advance(0)
  expect(second.state.status).toBe('refused')
  for (const payload of ['2', '3', '4']) world.broker.publish('a', payload, { qos: 1 })
  await world.clock.advance(0)
  expect(first.texts).toEqual(['1', '2', '3', '4'])
  expect(await world.error(second.next())).toMatchObject({ code: 'SUBSCRIBE_REFUSED' })
  expect(await world.value(second.next())).toEqual({ done: true, value: undefined })
})

test('[M5] a message that was left and is acknowledged late counts once', async () => {
  const world = new World()
  const client = world.keeping()
  const first = client.subscribe('a', { acks: 'manual' })
  await world.value(first.granted)
  for (const payload of ['1', '2']) world.broker.publish('a', payload, { qos: 1 })
  const { value: one } = await world.value(first.next())
  const { value: two } = await world.value(first.next())
  await first.return?.()
  const second = client.subscribe('a', { acks: 'manual' })
  const { value: again } = await world.value(second.next())
  expect(again).toMatchObject({ redelivered: true })
  one!.ack()
  await world.value(client.ping())
  expect(world.broker.packets({ cmd: 'puback', direction: 'toBroker' })).toEqual([])
  again!.ack()
  two!.ack()
  await world.clock.advance(0)
  const { value: last } = await world.value(second.next())
  expect(text(last)).toBe('2')
  last!.ack()
  await world.value(client.ping())
  const acks = world.broker.packets({ cmd: 'puback', direction: 'toBroker' })
  expect(acks).toHaveLength(2)
  expect(client.state.subscriptions[0]).toMatchObject({ inHand: 0, waiting: 0, holding: 0 })
  world.broker.publish('a', '3', { qos: 1 })
  const { value: third } = await world.value(second.next())
  third!.ack()
  await world.value(client.ping())
  expect(world.broker.sessions.get('c0')!.inflight).toBe(0)
})

test.each([0, 1.5, -1, Number.NaN, 65_536, '2'])(
  'Bad input: forEach concurrency %j',
  (concurrency) => {
    const subscription = new World().client().subscribe('a')
    expect(() => subscription.forEach(() => {}, { concurrency: concurrency as number })).toThrow(
      /concurrency must be a whole number/,
    )
  },
)

test.each([Number.NaN, -1, 0, 2 ** 31, '5'])(
  'Bad input: next({ timeout: %j })',
  async (timeout) => {
    const world = new World()
    const subscription = world.client().subscribe('a')
    const options = { timeout: timeout as number }
    expect(await world.error(subscription.next(options))).toMatchObject({ name: 'UsageError' })
    expect(await world.error(subscription.first(options))).toMatchObject({ name: 'UsageError' })
  },
)

test('[M5] a signal that is aborted takes no message, also if one waits', async () => {
  const world = new World()
  const client = world.client()
  const subscription = client.subscribe('a')
  await world.value(subscription.granted)
  world.broker.publish('a', '1', { qos: 1 })
  await world.value(client.ping())
  const reason = new Error('enough')
  const { error } = {
    error: await world.error(subscription.next({ signal: AbortSignal.abort(reason) })),
  }
  expect(error).toBe(reason)
  expect(text((await world.value(subscription.next())).value)).toBe('1')
})

test('[M6] a measurement of overlaps leaves no timer and no warning when the client ends', async () => {
  const world = new World()
  const client = world.client()
  world.broker.faults.drop({ cmd: 'publish', direction: 'toBroker' }, { times: 10 })
  const one = client.subscribe('a/+')
  const two = client.subscribe('a/b')
  await world.value(Promise.all([one.granted, two.granted]))
  const closed = client.close()
  await world.value(closed)
  expect(world.clock.pendingTimers).toBe(0)
  await world.clock.advance(60_000)
  expect(world.codes()).toEqual([])
})

test('[M6] a measurement of overlaps that is lost with its connection is made again', async () => {
  const world = new World()
  const client = world.running(world.keeping())
  world.broker.faults.drop({ cmd: 'publish', direction: 'toBroker' }, { times: 2 })
  const one = collect(client.subscribe('a/+'))
  const two = collect(client.subscribe('a/b'))
  await world.clock.advance(100)
  world.broker.kill()
  await world.clock.advance(1000)
  world.broker.publish('a/b', '1', { qos: 1 })
  // A measurement that was not made again would hold the message for 5 s, and warn.
  await world.clock.advance(1000)
  expect([one.texts, two.texts]).toEqual([['1'], ['1']])
  await world.clock.advance(10_000)
  expect(world.codes()).toEqual([])
})

test('[M6] a copy for a filter that was left is given to nobody', async () => {
  const world = new World(5, { overlap: 'separate' })
  const client = world.client()
  const left = client.subscribe(['c/d', 'a/b'])
  const other = client.subscribe('+/d')
  await world.value(Promise.all([left.granted, other.granted]))
  await world.clock.advance(1000)
  world.broker.publish('c/d', '1', { qos: 1 })
  world.broker.publish('c/d', '2', { qos: 1 })
  await world.clock.settle()
  await left.return?.()
  await world.clock.settle()
  const { texts } = collect(other)
  await world.clock.advance(100)
  expect(texts).toEqual(['1', '2'])
})

test('[M6] nobody waits while the overlap is measured: it is no reason to warn', async () => {
  const world = new World()
  const client = world.client()
  world.broker.faults.delay({ cmd: 'publish', direction: 'toClient' }, 10, { times: 9 })
  const one = client.subscribe('a/+')
  const two = client.subscribe('a/b')
  await world.value(client.publish('x', ''))
  await world.clock.advance(60_000)
  expect(world.clock.pendingTimers).toBe(0)
  await world.value(Promise.all([one.granted, two.granted]))
  world.broker.publish('a/b', '1', { qos: 1 })
  expect(text((await world.value(one.next(), 100)).value)).toBe('1')
  expect(text((await world.value(two.next(), 100)).value)).toBe('1')
  await world.clock.advance(60_000)
  expect(world.codes()).toEqual([])
})

test('[M6] nobody waits while shared subscriptions are probed: that refuses nothing', async () => {
  const world = new World(4)
  const client = world.client()
  world.broker.faults.delay({ cmd: 'publish', direction: 'toClient' }, 10, { times: 9 })
  const subscription = client.subscribe('a', { share: 'group' })
  await world.value(client.publish('x', ''))
  await world.clock.advance(60_000)
  const pull = subscription.next()
  world.broker.publish('a', '1', { qos: 1 })
  expect(text((await world.value(pull, 100)).value)).toBe('1')
  expect(await world.value(subscription.granted)).toEqual([1])
})

test('[M2] granted and synced that nobody awaits raise no unhandled rejection', async () => {
  const world = new World()
  const client = world.client()
  world.broker.faults.refuse({ cmd: 'subscribe' }, 0x87, { times: 10 })
  const subscription = client.subscribe('a')
  void subscription.granted
  void subscription.synced
  const other = client.subscribe('b')
  void other.synced
  await world.clock.advance(10)
  void client.subscribe('c').synced
  await world.value(client.close())
})
