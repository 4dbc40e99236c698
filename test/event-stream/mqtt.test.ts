/**
 * Goal: over MQTT each message comes once and in order, or the stream says that one is missing.
 * Method: clients at a broker in memory, on a virtual clock, whose connections break.
 */
import { describe, expect, test } from 'vitest'
import { encodeMessage, openEventStream, overMqtt } from '../../src/event-stream/index.ts'
import { ConnectionError, UsageError } from '../../src/index.ts'
import { World } from '../client/world.ts'
import { event, events, taken } from './world.ts'

const properties = (seq: number, id = 's', last = false) => ({
  userProperties: {
    'itm-stream': id,
    'itm-seq': String(seq),
    ...(last ? { 'itm-last': '1' } : {}),
  },
})
const numbered = (n: number) => encodeMessage(event('measured', 'x'.repeat(n)))

/** What a stream of these publishes gives: lengths of texts, and how it ended. */
async function readOf(
  publishes: readonly (readonly [payload: Uint8Array, properties?: object | undefined])[],
  options: object = {},
) {
  const world = new World()
  const [sender, reader] = [world.client(), world.client()]
  const carrier = overMqtt(reader, { receiveFilter: 'down', ...options })
  const reading = taken(openEventStream(carrier, { events, role: 'client' }))
  await world.clock.advance(10)
  for (const [payload, given] of publishes) {
    await world.value(sender.publish('down', payload, { properties: given as never }), 10)
  }
  const seen = await world.after(10, reading)
  return typeof seen === 'object' && 'value' in seen ? seen.value : null
}

describe('numbers', () => {
  test('[V10] events go both ways, each to its own end', async () => {
    const world = new World()
    const [a, b] = [world.client(), world.client()]
    const client = openEventStream(overMqtt(a, { sendTopic: 'up', receiveFilter: 'down' }), {
      ...{ events, role: 'client' },
    })
    const server = openEventStream(overMqtt(b, { sendTopic: 'down', receiveFilter: 'up' }), {
      ...{ events, role: 'server' },
    })
    const serving = (async () => {
      for await (const one of server) {
        if (one.type === 'measured') await server.send.measured('x'.repeat(one.value + 1))
      }
      await server.end()
    })()
    await world.clock.advance(10)
    const reading = taken(client)
    const sends = [1, 2, 3].map((n) => client.send.measured('x'.repeat(n)))
    await world.value(Promise.all([...sends, client.end()]), 100)
    await world.value(serving, 100)
    const { events: got, error } = await world.value(reading, 100)
    expect([got, error]).toMatchObject([[{ value: 2 }, { value: 3 }, { value: 4 }], null])
    expect(await world.value(client.join(), 10)).toBe(true)
    expect([a.state.subscriptions, b.state.subscriptions]).toEqual([[], []])
  })

  test('[V10] what comes twice is dropped, and the mark of the end ends it', async () => {
    const sent = [0, 1, 1, 0, 2].map((n) => [numbered(n), properties(n)] as const)
    const result = await readOf([...sent, [new Uint8Array(0), properties(3, 's', true)]])
    expect(result).toMatchObject({
      events: [{ value: 0 }, { value: 1 }, { value: 2 }],
      error: null,
    })
  })

  test.each([
    ['a message is missing', [0, 2], 's', 1],
    ['the first message is missing', [1, 2], 's', 0],
    ['the end has a number too high', [0, 9], 's', 1],
    ['another stream begins', [0, 0], 'other', 1],
  ])('[V10] if %s, the stream says so', async (_, [first, second], id, count) => {
    const result = await readOf([
      [numbered(first!), properties(first!)],
      [numbered(second!), properties(second!, id, second === 9)],
    ])
    expect(result?.events.length).toBe(count)
    expect(result?.error).toBeInstanceOf(ConnectionError)
    expect(result?.error.code).toBe('STREAM_GAP')
  })

  test('[V10] of several streams on a topic one can be chosen', async () => {
    const result = await readOf(
      [
        [numbered(5), properties(7, 'other')],
        [numbered(0), properties(0)],
        [numbered(5), properties(0, 'third')],
        [new Uint8Array(0), properties(1, 's', true)],
      ],
      { receiveId: 's' },
    )
    expect(result).toMatchObject({ events: [{ value: 0 }], error: null })
  })

  test.each([
    ['no properties', undefined],
    ['no number', { userProperties: { 'itm-stream': 's' } }],
    ['a number that is none', { userProperties: { 'itm-stream': 's', 'itm-seq': '1e3' } }],
    ['two numbers', { userProperties: { 'itm-stream': 's', 'itm-seq': ['0', '1'] } }],
  ])('[V10] a message with %s is a ProtocolError', async (_, given) => {
    const result = await readOf([[numbered(0), given]])
    expect(result?.error).toMatchObject({ code: 'MALFORMED_MESSAGE', clause: 'itm-seq' })
  })

  test('[V2] [V10] a payload that is no message ends the stream', async () => {
    const result = await readOf([[Uint8Array.of(1, 2), properties(0)]])
    expect(result?.error).toMatchObject({ code: 'MALFORMED_MESSAGE', clause: 'total length' })
  })

  test('[V10] without numbers each message is taken as it comes', async () => {
    const world = new World(4)
    const [sender, reader] = [world.client(), world.client()]
    const options = { order: 'none', idleTimeout: 1000, platform: world.clock } as const
    const receiving = openEventStream(overMqtt(reader, { receiveFilter: 'd', ...options }), {
      ...{ events, role: 'client' },
    })
    const reading = taken(receiving)
    await world.clock.advance(10)
    const sending = openEventStream(overMqtt(sender, { sendTopic: 'd', ...options }), {
      ...{ events, role: 'server' },
    })
    await world.value(sending.send.measured('x'), 10)
    await world.value(sending.end(), 10)
    const { events: got, error } = await world.value(reading, 2000)
    expect([got, error]).toMatchObject([[{ value: 1 }], { code: 'STALLED' }])
    expect(reader.state.subscriptions).toEqual([])
  })

  test('[V10] MQTT 3.1.1 has no place for numbers, and says so', async () => {
    const world = new World(4)
    const stream = openEventStream(overMqtt(world.client(), { sendTopic: 'd' }), {
      ...{ events, role: 'client' },
    })
    expect(await world.error(stream.send.done(), 10)).toBeInstanceOf(UsageError)
  })

  test('options that cannot be used', () => {
    const client = new World().client()
    expect(() => overMqtt(client, {})).toThrow(UsageError)
    expect(() => overMqtt(client, { sendTopic: 'a', order: 'x' as never })).toThrow(UsageError)
    expect(() => overMqtt(client, { sendTopic: 'a', idleTimeout: -1 })).toThrow(UsageError)
    expect(() => overMqtt(client, { sendTopic: 'a', maxHeaders: -1 })).toThrow(UsageError)
  })
})

describe('connections that break', () => {
  const COUNT = 60

  /** Sends, breaks connections again and again, and reads. */
  async function through(keeps: boolean) {
    const world = new World()
    const [sender, reader] = [world.keeping(), keeps ? world.keeping() : world.client()]
    const carrier = overMqtt(reader, { receiveFilter: 'down' })
    const receiving = openEventStream(carrier, { events, role: 'client' })
    const reading = taken(receiving)
    await world.clock.advance(10)
    const sending = openEventStream(overMqtt(sender, { sendTopic: 'down' }), {
      ...{ events, role: 'server' },
    })
    const all = (async () => {
      for (let n = 0; n < COUNT; n++) await sending.send.measured('x'.repeat(n))
      await sending.end()
    })()
    all.catch(() => {})
    return { world, reading, all, sender, reader }
  }

  test('[V10] each message comes once and in order, if the sessions are kept', async () => {
    const { world, reading, all, sender, reader } = await through(true)
    for (let turn = 0; turn < 12; turn++) {
      await world.clock.advance(turn % 3)
      const client = turn % 2 === 0 ? sender : reader
      client.reconnect()
      await world.clock.advance(150)
    }
    await world.value(all, 20_000)
    const { events: got, error } = await world.value(reading, 1000)
    expect(error).toBeNull()
    expect(got.map((one) => (one as { value: number }).value)).toEqual(
      Array.from({ length: COUNT }, (_, n) => n),
    )
  })

  test('[V10] a message that the broker forgets is a gap, and the reader is told', async () => {
    const { world, reading, all } = await through(true)
    world.broker.faults.drop({ cmd: 'publish', clientId: 'c1' }, { after: 7 })
    world.after(0, all)
    const { events: got, error } = await world.value(reading, 20_000)
    expect(error).toMatchObject({ code: 'STREAM_GAP' })
    expect(got.length).toBeGreaterThan(0)
    expect(got.length).toBeLessThan(COUNT)
  })

  test('[V10] if sessions are lost, all messages come, or the stream says that one is missing', async () => {
    const ends: string[] = []
    for (let pause = 0; pause < 8; pause++) {
      const { world, reading, all } = await through(pause % 2 === 0)
      await world.clock.advance(pause)
      world.broker.restart({ keepSessions: false })
      await world.after(60_000, all)
      const seen = await world.after(1000, reading)
      // Even the end may be missing: then only an idle time can tell.
      if (seen === 'pending') ends.push('open')
      if (seen === 'pending' || 'error' in seen) continue
      const { events: got, error } = seen.value
      const numbers = got.map((one) => (one as { value: number }).value)
      expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, n) => n))
      if (error === null) expect(numbers.length).toBe(COUNT)
      else expect(error).toMatchObject({ code: 'STREAM_GAP' })
      ends.push(error === null ? 'whole' : 'gap')
    }
    expect(ends.length).toBe(8)
    expect(new Set(ends)).not.toEqual(new Set(['open']))
  })
})
