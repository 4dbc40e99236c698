/**
 * Goal: a server that refuses a subscription for a while, or the filter for all connections, ends no
 * watch and makes nobody lost. Method: refusals of the broker in memory, at a reader of changes.
 */
import { expect, test } from 'vitest'
import { presence } from '../../src/presence/index.ts'
import type { TestBroker } from '../../src/testing/index.ts'
import { PresenceWorld, SYNC_MS, shown } from './presence-world.ts'

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const QUOTA = 0x97
const ALL = 'presence/c/+'
/** More than are read one by one. */
const MANY = 520

const CONNECTIONS = Array.from({ length: MANY }, (_, i) => i.toString(16).padStart(24, '0'))

/** Writes what somebody who is there has written. */
function appear(broker: TestBroker, connection: string): void {
  const publish = (topic: string, record: object) =>
    broker.publish(topic, JSON.stringify(record), { qos: 1, retain: true })
  const member = { v: 1, epoch: 1, seq: 1 }
  publish(`presence/s/room/m${connection.slice(-3)}/${connection}`, member)
  publish(`presence/c/${connection}`, { v: 1, epoch: 1, seq: 2, state: 'up', ttl: 3600 })
}

const subscribed = (world: PresenceWorld, topic: string) =>
  world.broker.log.filter(
    ({ packet, direction }) =>
      direction === 'toBroker' &&
      packet.cmd === 'subscribe' &&
      packet.subscriptions.some((one) => one.topic === topic),
  )

test.each([QUOTA, 0x87])(
  '[H5] the filter for all connections is refused with %i: they are read one by one',
  async (code) => {
    const world = new PresenceWorld()
    for (const connection of CONNECTIONS) appear(world.broker, connection)
    world.broker.faults.refuse({ cmd: 'subscribe', topic: ALL }, code, ALWAYS)
    const watching = world.watching(world.running(world.client()))
    await world.clock.advance(2 * SYNC_MS)
    expect(watching.room.state).toMatchObject({ members: MANY, status: 'synced' })
    expect(watching.news()).toHaveLength(MANY)
    expect(world.codes()).toEqual(['PRESENCE_REFUSED'])
    expect(world.warnings[0]!.message).toMatch(/one by one.*presence\/c\/\+/)
    // Newcomers are read, too, and nobody asks for the filter again and again.
    const asked = subscribed(world, ALL).length
    const late = 'f'.repeat(24)
    appear(world.broker, late)
    await world.clock.advance(60_000)
    expect(watching.news()).toHaveLength(1)
    expect(subscribed(world, `presence/c/${late}`)).toHaveLength(1)
    expect(subscribed(world, ALL)).toHaveLength(asked)
    expect(watching.state.ended).toBe(false)
  },
)

test('[H2] [H5] that filter is refused when somebody comes: nobody is lost by it', async () => {
  const world = new PresenceWorld()
  for (const connection of CONNECTIONS.slice(0, 512)) appear(world.broker, connection)
  const watching = world.watching(world.running(world.client()))
  await world.clock.advance(SYNC_MS)
  expect(watching.news()).toHaveLength(512)
  world.broker.faults.refuse({ cmd: 'subscribe', topic: ALL }, QUOTA, ALWAYS)
  for (const connection of CONNECTIONS.slice(512)) appear(world.broker, connection)
  await world.clock.advance(60_000)
  expect(new Set(watching.news().map((one) => one.split(' ')[0]))).toEqual(new Set(['enter']))
  expect(shown(await world.value(watching.room.get()))).toHaveLength(MANY)
})

test('[H5] a quota that refuses the members is told once, and asked again ever later', async () => {
  const world = new PresenceWorld()
  await world.entered('ada', 1)
  const topic = 'presence/s/room/+/+'
  const refusal = world.broker.faults.refuse({ cmd: 'subscribe', topic }, QUOTA, ALWAYS)
  const watching = world.watching(world.running(world.client({ clientId: 'w' })))
  await world.clock.advance(40_000)
  expect(watching.state.ended).toBe(false)
  expect(world.codes()).toEqual(['PRESENCE_REFUSED'])
  expect(world.warnings[0]!.message).toContain('not certain who is in room')
  const times = subscribed(world, topic).map(({ at }) => at)
  const pauses = times.slice(1).map((at, i) => Math.round((at - times[i]!) / 1000))
  expect(pauses).toEqual([1, 2, 4, 8, 16])
  expect(await world.error(watching.room.get())).toMatchObject({
    ...{ code: 'SUBSCRIBE_REFUSED', reasonCode: QUOTA },
  })
  refusal.remove()
  await world.clock.advance(31_000)
  expect(watching.news()).toEqual(['present ada 1'])
  expect(await world.value(watching.room.synced)).toEqual({ certainty: 'quiet' })
})

test('[H5] a watch that is refused after a reconnection keeps who was there, as `before`', async () => {
  const world = new PresenceWorld()
  await world.entered('ada', 1)
  const watcher = world.running(world.client({ clientId: 'w' }))
  const watching = world.watching(watcher)
  await world.clock.advance(SYNC_MS)
  const isW = { cmd: 'subscribe', clientId: 'w', topic: 'presence/s/room/+/+' } as const
  const refusal = world.broker.faults.refuse(isW, QUOTA, ALWAYS)
  watcher.reconnect()
  await world.clock.advance(5000)
  const known = () => world.value(watching.room.get({ waitForSync: false }))
  expect(await known()).toMatchObject([{ client: 'ada', certainty: 'before' }])
  refusal.remove()
  await world.clock.advance(10_000)
  expect(await known()).toMatchObject([{ client: 'ada', certainty: 'seen' }])
  expect(watching.news()).toEqual(['present ada 1'])
})

test('[H2] [H5] a newcomer whose connection is refused makes all uncertain, and nobody lost', async () => {
  const world = new PresenceWorld()
  const watching = world.watching(world.running(world.client()))
  await world.clock.advance(SYNC_MS)
  await world.entered('ada', 1)
  await world.clock.advance(100)
  const [name] = CONNECTIONS
  const topic = `presence/c/${name}`
  const refusal = world.broker.faults.refuse({ cmd: 'subscribe', topic }, 0x87, ALWAYS)
  appear(world.broker, name!)
  await world.clock.advance(100)
  const known = () => world.value(watching.room.get({ waitForSync: false }))
  expect(await known()).toMatchObject([{ certainty: 'before' }, { certainty: 'before' }])
  await world.clock.advance(60_000)
  expect(watching.news()).toEqual(['enter ada 1', 'enter m000'])
  expect(world.codes()).toEqual(['PRESENCE_REFUSED'])
  refusal.remove()
  await world.clock.advance(31_000)
  expect(await known()).toMatchObject([{ certainty: 'seen' }, { certainty: 'seen' }])
  expect(watching.news()).toEqual([])
})

test('[H5] while it is not certain who is there, who leaves is seen to leave', async () => {
  const world = new PresenceWorld()
  const watching = world.watching(world.running(world.client({ clientId: 'w' })))
  await world.clock.advance(SYNC_MS)
  const { room } = await world.entered('ada', 1)
  // So that the connection of who leaves stays.
  await world.value(room.enter(2, { client: 'bob' }))
  const [name] = CONNECTIONS
  const topic = `presence/c/${name}`
  world.broker.faults.refuse({ cmd: 'subscribe', topic }, QUOTA, ALWAYS)
  appear(world.broker, name!)
  await world.clock.advance(10_000)
  await world.value(room.leave())
  await world.clock.advance(100)
  expect(watching.news()).toEqual(['enter ada 1', 'enter bob 2', 'enter m000', 'leave ada 1'])
})

test('[H5] get() of a space that is refused for good has the error, and ends', async () => {
  const world = new PresenceWorld()
  world.broker.faults.refuse({ cmd: 'subscribe', topic: 'presence/s/room/+/+' }, 0x87, ALWAYS)
  const room = presence(world.client(), 'room')
  expect((await world.error(room.get(), SYNC_MS)).code).toBe('SUBSCRIBE_REFUSED')
  expect((await world.error(room.get())).code).toBe('SUBSCRIBE_REFUSED')
  expect(subscribed(world, 'presence/s/room/+/+')).toHaveLength(1)
})
