/** What calls come to when others are refused, when rooms close and without a connection. */
import { expect, test } from 'vitest'
import { presence } from '../../src/presence/index.ts'
import { VERSIONS } from '../client/world.ts'
import { PresenceWorld, SYNC_MS } from './presence-world.ts'

test('[H4] a refused second call leaves a member that can leave', async () => {
  const world = new PresenceWorld()
  const watching = world.watching(world.running(world.client()))
  await world.clock.advance(SYNC_MS)
  const client = world.running(world.present({ clientId: 'ada' }))
  const room = presence(client, 'room')
  await world.clock.advance(100)
  world.broker.faults.refuse({ cmd: 'publish', topic: 'presence/s/#' }, 0x97, { after: 1 })
  const calls = Promise.allSettled([room.enter('one'), room.update('two')])
  expect((await world.value(calls, 100)).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
  ])
  expect(room.state.entered).toBe(1)
  await world.value(room.leave())
  await world.clock.advance(100)
  expect(watching.news()).toEqual(['enter ada "one"', 'leave ada "one"'])
})

test('[H6] close() of a room waits for its own records only', async () => {
  const world = new PresenceWorld()
  const { client, room } = await world.entered('ada', 1)
  const other = presence(client, 'other')
  await world.value(other.enter(1))
  const times = Number.POSITIVE_INFINITY
  const slow = world.broker.faults.delay({ cmd: 'puback', direction: 'toClient' }, 50, { times })
  let isClosed = false
  void other.close().then(() => {
    isClosed = true
  })
  for (let i = 0; i < 10; i++) {
    room.update(i).catch(() => {})
    await world.clock.advance(20)
  }
  slow.remove()
  expect(isClosed).toBe(true)
})

test('[H6] what waits for a connection is rejected by close(), and nobody has entered', async () => {
  const world = new PresenceWorld()
  const client = world.present({ clientId: 'ada' })
  const room = presence(client, 'room')
  const entering = room.enter(1)
  const error = world.error(entering)
  await room.close()
  expect((await error).code).toBe('ENDED')
  await world.clock.advance(10_000)
  expect(world.broker.retained.size).toBe(0)
})

test('[H7] names that are too long together are told, and nobody has entered', async () => {
  const world = new PresenceWorld()
  const client = world.running(world.present({ clientId: 'ada' }))
  const room = presence(client, 's'.repeat(40_000))
  const error = await world.error(room.enter(1, { client: 'c'.repeat(40_000) }), 100)
  expect(error.name).toBe('UsageError')
  expect(room.state.entered).toBe(0)
})

test.each(VERSIONS)('[H6] what is sent again during close() is removed: %d', async (version) => {
  const world = new PresenceWorld(version)
  const expiry = version === 5 ? { sessionExpiryInterval: 3600 } : {}
  const { client, room } = await world.entered('ada', 1, {}, { cleanStart: false, ...expiry })
  world.broker.faults.drop({ cmd: 'puback', direction: 'toClient' })
  room.update(2).catch(() => {})
  await world.clock.advance(10)
  const closing = client.close()
  await world.clock.advance(10)
  expect([...world.broker.retained.keys()]).toEqual([])
  world.broker.kill('ada')
  expect(await world.after(5000, closing)).toHaveProperty('value')
  expect([...world.broker.retained.keys()]).toEqual([])
})
