/**
 * What presence is not: the chapter of the guide says it, and here it is to be seen. It is right in
 * the end, and not at every moment.
 */
import { expect, test } from 'vitest'
import { presence } from '../../src/presence/index.ts'
import { createBroker } from '../../src/testing/index.ts'
import { PresenceWorld, SYNC_MS, shown } from './presence-world.ts'

test('[H1] two watchers differ for as long as a message travels', async () => {
  const world = new PresenceWorld()
  const near = presence(world.running(world.client({ clientId: 'near' })), 'room')
  const far = presence(world.running(world.client({ clientId: 'far' })), 'room')
  await world.value(Promise.all([near.get(), far.get()]), SYNC_MS)
  const toFar = { cmd: 'publish', clientId: 'far', topic: 'presence/s/#' } as const
  world.broker.faults.delay({ ...toFar, direction: 'toClient' }, 400)
  await world.entered('ada', 1)
  const now = async () => [shown(await near.get()), shown(await far.get())]
  expect(await world.value(now())).toEqual([['ada 1'], []])
  await world.clock.advance(400)
  expect(await world.value(now())).toEqual([['ada 1'], ['ada 1']])
})

test('[H2] a partition of clustered brokers shows members as lost on one side, until it heals', async () => {
  const here = new PresenceWorld()
  const there = createBroker({ clock: here.clock })
  // The cluster: what one broker is given, the other one has too, as long as they reach each other.
  let isWhole = true
  here.broker.watch({ cmd: 'publish', direction: 'toBroker' }, ({ packet }) => {
    const { topic, payload, retain } = packet as unknown as {
      topic: string
      payload: Buffer
      retain: boolean
    }
    if (isWhole) there.publish(topic, payload, { qos: 1, retain })
  })
  const near = presence(here.running(here.client({ clientId: 'near' })), 'room')
  const other = here.client({ clientId: 'far', transport: there.transport })
  const far = presence(here.running(other), 'room')
  await here.value(Promise.all([near.get(), far.get()]), SYNC_MS)
  await here.entered('ada', 1, { ttl: 20 })
  const now = async () => [shown(await near.get()), shown(await far.get())]
  expect(await here.value(now())).toEqual([['ada 1'], ['ada 1']])
  isWhole = false
  await here.clock.advance(25_000)
  expect(await here.value(now())).toEqual([['ada 1'], []])
  isWhole = true
  await here.clock.advance(10_000)
  expect(await here.value(now())).toEqual([['ada 1'], ['ada 1']])
  await here.value(other.close({ timeout: 1 }), 1000)
  there.close()
})
