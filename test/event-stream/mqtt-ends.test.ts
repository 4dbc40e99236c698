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

test('[V4] [V10] a client that is closed before the mark of the end is no end', async () => {
  const world = new World()
  const { reader, receiving, reading, sending } = await opened(world)
  await world.value(sending.send.measured('x'), 10)
  await world.value(reader.close(), 2000)
  const { events: got, error } = await world.value(reading, 10)
  expect(got).toMatchObject([{ value: 1 }])
  expect(error).toBeInstanceOf(ConnectionError)
  expect(error.code).toBe('INCOMPLETE')
  expect(await world.error(receiving.join())).toBe(error)
})

test('[V10] a pull that waits when the iteration is left is no failure', async () => {
  const world = new World()
  const carrier = overMqtt(world.client(), { receiveFilter: 'down' })
  const iterator = carrier.receive[Symbol.asyncIterator]()
  const next = iterator.next()
  await world.clock.advance(10)
  await iterator.return?.()
  expect(await world.value(next, 10)).toEqual({ done: true, value: undefined })
})

test.each([
  ['repeats', { 'itm-stream': 's', 'itm-seq': '0' }],
  ['messages of other streams', { 'itm-stream': 'other', 'itm-seq': '1' }],
])('[V4] [V10] %s are no sign of life', async (_, userProperties) => {
  const world = new World()
  const options = { idleTimeout: 1000, platform: world.clock, receiveId: 's' }
  const { reader, reading } = await opened(world, world.client(), options)
  const sender = world.client()
  const publish = (given: Record<string, string>) =>
    world.value(
      sender.publish('down', encodeMessage(event('done')), {
        properties: { userProperties: given },
      }),
      10,
    )
  await publish({ 'itm-stream': 's', 'itm-seq': '0' })
  for (let turn = 0; turn < 12; turn++) {
    await publish(userProperties)
    await world.clock.advance(90)
  }
  const { events: got, error } = await world.value(reading, 10)
  expect([got.length, error]).toMatchObject([1, { code: 'STALLED' }])
  expect(reader.state.subscriptions).toEqual([])
})

test('[V9] [V10] return before the first pull ends the subscription', async () => {
  const world = new World()
  const reader = world.client()
  const stream = openEventStream(overMqtt(reader, { sendTopic: 'up', receiveFilter: 'down' }), {
    ...{ events, role: 'client' },
  })
  await world.value(stream.send.done(), 10)
  expect(reader.state.subscriptions.length).toBe(1)
  await stream.return?.()
  await world.clock.advance(10)
  expect(reader.state.subscriptions).toEqual([])
  await world.value(stream.send.done(), 10)
  await world.value(stream.end(), 10)
  expect(reader.state.subscriptions).toEqual([])
})
