/**
 * Goal: what waits at the head of the line, and what was asked at the same time, costs nobody a
 * publish or a retained message. Method: a client at a small broker and a virtual clock.
 */
import { expect, test } from 'vitest'
import { surround, text } from './requests/surroundings.ts'

test('[M13] publishes are counted for whenFull, not the SUBSCRIBE that they wait behind', async () => {
  const world = surround()
  world.broker.refusesDials = true
  const client = world.client('c', { whenFull: 'reject', maxQueued: 2, publishTimeout: 1000 })
  client.subscribe('a')
  const publishes = [client.publish('b', '1'), client.publish('b', '2')]
  for (const publish of publishes) publish.catch(() => {})
  expect(client.state.publishes).toMatchObject({ open: 2, waiting: 2 })
  expect(await world.error(0, client.publish('b', '3'))).toMatchObject({ code: 'QUEUE_FULL' })

  // Those that were given up make room, though nothing has left the line.
  for (const publish of publishes) {
    expect(await world.error(1000, publish)).toMatchObject({ code: 'TIMEOUT' })
  }
  expect(client.state.publishes).toMatchObject({ open: 0, waiting: 0, bytes: 0 })
  const late = client.publish('b', '4', { timeout: 60_000 })
  world.broker.refusesDials = false
  expect(await world.value(30_000, late)).toMatchObject({ reasonCode: 0x10 })
  expect(world.broker.published.map(({ payload }) => text(payload as Uint8Array))).toEqual(['4'])
})

test('[M13] bytes of publishes that wait are counted too', async () => {
  const world = surround()
  world.broker.refusesDials = true
  const client = world.client('c', { whenFull: 'reject', maxQueuedBytes: 10 })
  client.subscribe('a')
  client.publish('b', '1234').catch(() => {})
  expect(await world.error(0, client.publish('b', '123456'))).toMatchObject({ code: 'QUEUE_FULL' })
  client.publish('b', '1234').catch(() => {})
  expect(client.state.publishes).toMatchObject({ open: 2, waiting: 2 })
})

test.each([1, 2])(
  '[M10] without identifiers %i copies of a retained message reach both who asked at once',
  async (copies) => {
    const world = surround()
    const client = world.client('c', { protocolVersion: 4 })
    const seen: string[] = []
    for (const name of ['first', 'second']) {
      const subscription = client.subscribe('a/{x}')
      subscription
        .forEach(({ topic, retain }) => void seen.push(`${name} ${topic} ${retain}`))
        .catch(() => {})
    }
    await world.clock.advance(10)
    const retained = { cmd: 'publish', topic: 'a/1', payload: 'x', qos: 0, dup: false } as const
    const { peer } = world.broker.sessions.get('c')!
    for (let i = 0; i < copies; i++) {
      peer!.deliver({ packet: { ...retained, retain: true }, at: world.clock.now() })
    }
    await world.clock.advance(10)
    expect(seen.sort()).toEqual(['first a/1 true', 'second a/1 true'])

    // Who asks later gets its own only.
    await world.clock.advance(1000)
    const third = client.subscribe('a/{x}')
    const first = third.first()
    await world.clock.advance(10)
    peer!.deliver({ packet: { ...retained, topic: 'a/2', retain: true }, at: world.clock.now() })
    expect(await world.value(10, first)).toMatchObject({ topic: 'a/2' })
    expect(seen).toHaveLength(2)
  },
)
