/** Entering, leaving and being seen, without faults. */
import { describe, expect, test } from 'vitest'
import { presence } from '../../src/presence/index.ts'
import { VERSIONS } from '../client/world.ts'
import { PresenceWorld, SYNC_MS, shown } from './presence-world.ts'

describe.each(VERSIONS)('MQTT %d', (version) => {
  test('[H1] a watcher sees enter, update and leave, each once and in order', async () => {
    const world = new PresenceWorld(version)
    const watching = world.watching(world.client())
    await world.clock.advance(SYNC_MS)
    const { room } = await world.entered('ada', { mood: 'good' })
    await world.value(room.update({ mood: 'better' }))
    await world.value(room.leave())
    await world.clock.advance(100)
    expect(watching.news()).toEqual([
      'enter ada {"mood":"good"}',
      'update ada {"mood":"better"}',
      'leave ada {"mood":"better"}',
    ])
    expect(watching.certainty).toBe('seen')
  })

  test('[H5] who comes later finds those who are there', async () => {
    const world = new PresenceWorld(version)
    const { room } = await world.entered('ada', 1)
    await world.entered('bob', 2)
    const members = await world.value(room.get(), SYNC_MS)
    expect(shown(members)).toEqual(['ada 1', 'bob 2'])
    const latecomer = presence(world.client(), 'room')
    const found = await world.value(latecomer.get(), SYNC_MS)
    expect(shown(found)).toEqual(['ada 1', 'bob 2'])
    expect(found[0]).toMatchObject({ since: 'sync', certainty: 'seen' })
  })

  test('[H2] a connection that dies is seen as lost by its will', async () => {
    const world = new PresenceWorld(version)
    const watching = world.watching(world.running(world.client()))
    await world.clock.advance(SYNC_MS)
    await world.entered('ada', 1, { grace: 1 }, { reconnect: { when: 'never' } })
    expect(watching.news()).toEqual(['enter ada 1'])
    world.broker.kill('ada')
    await world.clock.advance(2000)
    expect(watching.news()).toEqual(['lost ada 1'])
    expect(await world.value(watching.room.get())).toEqual([])
  })
})
