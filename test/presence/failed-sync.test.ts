/** A sync that fails, servers that say how long records live, and rooms that were closed. */
import { expect, test } from 'vitest'
import { presence } from '../../src/presence/index.ts'
import { PresenceWorld, SYNC_MS, shown } from './presence-world.ts'

test('[H5] a sync that failed is tried again, for who reads and for who asks', async () => {
  const world = new PresenceWorld()
  const toWatcher = { cmd: 'publish', direction: 'toClient', clientId: 'watcher' } as const
  world.broker.faults.drop(toWatcher)
  const watching = world.watching(world.client({ clientId: 'watcher' }))
  await world.clock.advance(9000)
  const { room } = await world.entered('ada', 1)
  await world.value(room.leave())
  await world.clock.advance(100)
  expect(watching.news()).toEqual(['enter ada 1', 'leave ada 1'])
  const asker = world.client({ clientId: 'asker' })
  world.broker.faults.drop({ ...toWatcher, clientId: 'asker' })
  const space = presence(asker, 'room')
  expect((await world.error(space.get(), 8000)).code).toBe('TIMEOUT')
  await world.clock.advance(60_000)
  expect(await world.value(space.get(), SYNC_MS)).toEqual([])
})

test('[H5] a sync whose SUBSCRIBE has no answer fails after two minutes', async () => {
  const world = new PresenceWorld()
  await world.entered('ada', 1)
  const answers = { cmd: 'suback', direction: 'toClient', clientId: 'watcher' } as const
  world.broker.faults.drop(answers)
  const room = presence(world.running(world.client({ clientId: 'watcher' })), 'room')
  const getting = world.error(room.get(), 120_100)
  expect(await getting).toMatchObject({ code: 'TIMEOUT', retryable: true })
  expect(shown(await world.value(room.get(), SYNC_MS))).toEqual(['ada 1'])
})

test('[H2] a latecomer sees a loss within twice the ttl of the last sign', async () => {
  const world = new PresenceWorld()
  const will = { topic: 'other', payload: '' }
  await world.entered('ada', 1, { ttl: 100 }, { will, reconnect: { when: 'never' } })
  world.broker.kill('ada')
  await world.clock.advance(150_000)
  const watching = world.watching(world.client())
  await world.clock.advance(SYNC_MS)
  expect(watching.news()).toEqual(['present ada 1'])
  await world.clock.advance(50_000)
  expect(watching.news()).toEqual(['lost ada 1'])
})

test('[H5] a sync ends although somebody enters all the time', async () => {
  const world = new PresenceWorld()
  let entered = 0
  const enter = () => {
    const connection = (++entered).toString(16).padStart(24, '0')
    const record = (topic: string, fields: object) =>
      world.broker.publish(`presence/${topic}`, JSON.stringify({ v: 1, epoch: 1, ...fields }), {
        ...{ qos: 1, retain: true },
      })
    record(`c/${connection}`, { seq: 1, state: 'up', client: `m${entered}`, ttl: 300 })
    record(`s/room/m${entered}/${connection}`, { seq: 2, data: entered })
  }
  for (let i = 0; i < 20; i++) enter()
  let found = 0
  void presence(world.client({ clientId: 'watcher' }), 'room')
    .get()
    .then((members) => {
      found = members.length
    })
  for (let ms = 0; ms < 2 * SYNC_MS; ms += 50) {
    enter()
    await world.clock.advance(50)
  }
  expect(found).toBeGreaterThan(20)
})

test('[H5] after a pause get() waits for what the server had sent before', async () => {
  const world = new PresenceWorld()
  const room = presence(world.client({ clientId: 'watcher' }), 'room')
  await world.value(room.get(), SYNC_MS)
  await world.clock.advance(5000)
  const sent = () =>
    world.broker.log.filter(
      ({ clientId, direction, packet }) =>
        clientId === 'watcher' && direction === 'toBroker' && packet.cmd === 'publish',
    ).length
  const before = sent()
  await world.value(room.get(), 100)
  expect(sent()).toBe(before + 1)
})

test('[H6] changes() that are first asked for after close() end at once', async () => {
  const world = new PresenceWorld()
  const { client } = await world.entered('ada', 1)
  const room = presence(client, 'room')
  await world.value(room.get(), SYNC_MS)
  const changes = room.changes()
  await world.value(room.close())
  expect(await world.value(changes.next())).toEqual({ done: true, value: undefined })
})
