/**
 * Goal: an event stream over MQTT leaves nothing behind, and only the mark of the end is its end.
 * Method: clients at a broker in memory, on a virtual clock.
 */
import { expect, test } from 'vitest'
import { encodeMessage, openEventStream, overMqtt } from '../../src/event-stream/index.ts'
import { ConnectionError } from '../../src/index.ts'
import { World } from '../client/world.ts'
import { event, events, taken } from './world.ts'

/** A stream that receives, and another that sends to it. */
async function opened(world: World, reader = world.client(), options: object = {}) {
  const receiving = openEventStream(overMqtt(reader, { receiveFilter: 'down', ...options }), {
    ...{ events, role: 'client' },
  })
  const reading = taken(receiving)
  await world.clock.advance(10)
  const sending = openEventStream(overMqtt(world.client(), { sendTopic: 'down' }), {
    ...{ events, role: 'server' },
  })
  return { reader, receiving, reading, sending }
}

test('[V10] on a session that is kept, one stream follows another', async () => {
  const world = new World()
  const reader = world.keeping()
  for (let turn = 0; turn < 3; turn++) {
    const { reading, sending } = await opened(world, reader)
    await world.value(sending.send.measured('x'.repeat(turn)), 10)
    await world.value(sending.end(), 10)
    const { events: got, error } = await world.value(reading, 10)
    expect([got, error]).toMatchObject([[{ value: turn }], null])
    await world.clock.advance(10)
    expect(reader.state.subscriptions).toEqual([])
  }
})
