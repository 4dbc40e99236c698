/**
 * Goal: each fault happens to the packets that it is for, as often as it was asked for, and a
 * client lives through it. Method: raw clients show what arrives; the engine shows that it recovers.
 */
import { eventloop, publish, type Request, subscribe } from 'it-mqtt'
import { createBroker, type PacketFromBroker, type TestBroker, virtualClock } from 'it-mqtt/testing'
import { describe, expect, test } from 'vitest'
import { world } from './raw-peer.ts'

const PUBACK: PacketFromBroker = { cmd: 'puback', reasonCode: 0x97 }

describe('what a client sees', () => {
  test('drop: a packet of the client is forgotten, once', async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a')
    const fault = broker.faults.drop({ cmd: 'publish', topic: 't/#' })
    client.publish('u', 'x', { qos: 1 })
    client.publish('t/1', 'x', { qos: 1 })
    client.publish('t/1', 'x', { qos: 1 })
    await clock.settle()
    expect(client.take()).toEqual(['puback 2 10', 'puback 4 10'])
    expect(fault.count).toBe(1)
    expect(broker.received.map((record) => record.fault)).toEqual([null, null, 'drop', null])
  })

  test('drop: a packet of the broker is not sent, and `times`, `after` and `remove` count', async () => {
    const { clock, broker, join } = world(4)
    const client = await join('a')
    const fault = broker.faults.drop('puback', { times: 2, after: 1 })
    for (let i = 0; i < 5; i++) client.publish('t', 'x', { qos: 1 })
    await clock.settle()
    expect(client.take()).toEqual(['puback 2', 'puback 5', 'puback 6'])
    const lasting = broker.faults.drop('puback', { times: Number.POSITIVE_INFINITY })
    client.publish('t', 'x', { qos: 1 })
    await clock.settle()
    lasting.remove()
    client.publish('t', 'x', { qos: 1 })
    await clock.settle()
    expect([client.take(), fault.count, lasting.count]).toEqual([['puback 8'], 2, 1])
  })

  test('delay: later packets overtake, in both directions', async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a')
    client.subscribe('t', { qos: 0 })
    await clock.settle()
    broker.faults.delay({ cmd: 'publish', direction: 'toBroker' }, 100)
    client.publish('t', 'slow')
    client.publish('t', 'fast')
    await clock.advance(99)
    expect(client.take()).toEqual(['suback 0', 'publish t fast q0'])
    await clock.advance(1)
    expect(client.take()).toEqual(['publish t slow q0'])
    broker.faults.delay({ cmd: 'publish', direction: 'toClient' }, 100)
    client.publish('t', 'x')
    client.send('pingreq')
    await clock.advance(100)
    expect(client.take()).toEqual(['pingresp', 'publish t x q0'])
  })

  test('duplicate: handled twice, or sent twice', async () => {
    const { clock, broker, join } = world(4)
    const client = await join('a')
    client.subscribe('t', { qos: 0 })
    broker.faults.duplicate({ direction: 'toBroker', cmd: 'publish', clientId: 'a', qos: 1 })
    client.publish('t', 'in', { qos: 1 })
    await clock.settle()
    expect(client.take()).toEqual([
      ...['suback 0', 'publish t in q0', 'puback 3', 'publish t in q0', 'puback 3'],
    ])
    broker.faults.duplicate((record) => record.packet.cmd === 'pingresp')
    client.send('pingreq')
    await clock.settle()
    expect(client.take()).toEqual(['pingresp', 'pingresp'])
  })

  test.each([5, 4] as const)('refuse in MQTT %d', async (version) => {
    const { clock, broker, join, peer } = world(version)
    const client = await join('a')
    client.subscribe('t')
    await clock.settle()
    client.take()
    broker.faults.refuse({ cmd: 'publish' }, 0x97, { times: 2 })
    broker.faults.refuse({ cmd: 'subscribe', topic: 'no' })
    broker.faults.refuse({ cmd: 'connect', clientId: 'b' }, 0x86)
    client.publish('t', 'x', { qos: 1 })
    client.publish('t', 'x', { qos: 2 })
    client.send('subscribe', {
      subscriptions: [
        { topic: 'yes', qos: 1 },
        { topic: 'no', qos: 1 },
      ],
    })
    const other = peer()
    other.connect('b')
    await clock.settle()
    const seen = [...client.take(), ...other.take()]
    expect(seen).toEqual(
      version === 5
        ? ['puback 3 97', 'pubrec 4 97', 'suback 1,87', 'connack 86']
        : ['puback 3', 'pubrec 4', 'suback 1,80', 'connack 4'],
    )
    expect([other.closed, [...broker.clients.keys()]]).toEqual([true, ['a']])
  })

  test('answer: packets and bytes of the test instead of its own', async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a')
    broker.faults.answer({ cmd: 'publish' }, [PUBACK, Uint8Array.of(0xd0, 0)])
    broker.faults.answer('pingreq', ({ packet }) => {
      expect(packet.cmd).toBe('pingreq')
      return []
    })
    client.publish('t', 'x', { qos: 1 })
    client.send('pingreq')
    broker.send('a', { cmd: 'disconnect', reasonCode: 0x8b })
    await clock.settle()
    expect(client.take().toSorted()).toEqual(['disconnect 8b', 'pingresp', 'puback 2 97'])
  })

  test('chance follows the random numbers of the clock', async () => {
    const drops = async (): Promise<number> => {
      const { clock, broker, join } = world(4)
      const client = await join('a')
      const times = Number.POSITIVE_INFINITY
      const fault = broker.faults.drop('pingreq', { times, chance: 0.5 })
      for (let i = 0; i < 100; i++) client.send('pingreq')
      await clock.settle()
      expect(client.take()).toHaveLength(100 - fault.count)
      return fault.count
    }
    const count = await drops()
    expect(count).toBeGreaterThan(30)
    expect(count).toBeLessThan(70)
    expect(await drops()).toBe(count)
  })

  test('kill: the packet does not count, and both ends are cut', async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a')
    broker.faults.kill({ cmd: 'publish', topic: 't' })
    client.publish('t', 'x', { retain: true })
    await clock.settle()
    expect([client.closed, broker.clients.size, broker.retained.size]).toEqual([true, 0, 0])
  })

  test('hang: nothing is answered until resume', async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a', { keepalive: 10 })
    broker.hang()
    client.send('pingreq')
    await clock.advance(60_000)
    expect([client.take(), client.closed]).toEqual([[], false])
    broker.resume()
    await clock.settle()
    expect(client.take()).toEqual(['pingresp'])
  })

  test('disconnect: with a reason, and text for a client that wants it', async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a')
    broker.disconnect('a', 0x8b, 'maintenance')
    await clock.settle()
    expect(client.packets).toMatchObject([
      { cmd: 'disconnect', reasonCode: 0x8b, properties: { reasonString: 'maintenance' } },
    ])
    expect(() => broker.kill('a')).toThrow('"a" is not connected to the broker; connected: nobody')
  })

  test.each([
    ['a match with an unknown field', { command: 'publish' }, /a match has no "command"/],
    ['a match that is none', 7, /a match must be a type of packet, a pattern or a function/],
  ])('%s is a UsageError', (_, match, message) => {
    const broker = createBroker()
    expect(() => broker.faults.drop(match as never)).toThrow(message)
  })

  test('an unknown option and a value out of range are UsageErrors', () => {
    expect(() => createBroker({ retain: true } as never)).toThrow(/no option "retain"; allowed/)
    expect(() => createBroker({ receiveMaximum: 0 })).toThrow(/from 1 to 65535, not 0/)
    expect(() => createBroker().faults.refuse('publish', 5)).toThrow(/128 to 255, not 5/)
    expect(() => createBroker().publish('a/#')).toThrow(/the topic holds a wildcard/)
  })
})

type Prepare = (broker: TestBroker) => void

describe('the engine lives through', () => {
  const cases: readonly [name: string, prepare: Prepare][] = [
    ['a lost PUBACK', (broker) => broker.faults.kill('puback')],
    ['a lost PUBREC', (broker) => broker.faults.kill('pubrec')],
    ['a lost PUBCOMP', (broker) => broker.faults.kill('pubcomp')],
    ['a lost PUBLISH', (broker) => broker.faults.kill({ cmd: 'publish', direction: 'toBroker' })],
    ['a lost SUBACK', (broker) => broker.faults.kill('suback')],
    ['two lost CONNACKs', (broker) => broker.faults.kill('connack', { times: 2 })],
    ['a broker that is down', (broker) => broker.refuseConnections()],
    ['a broker that is busy', (broker) => broker.refuseConnections(0x89)],
    ['duplicates everywhere', (broker) => broker.faults.duplicate('publish', { times: 20 })],
    ['acknowledgements that take a second', (broker) => broker.faults.delay('puback', 1000)],
  ]
  test.each(cases)('%s', async (_, prepare) => {
    const clock = virtualClock()
    const broker = createBroker({ clock })
    prepare(broker)
    clock.setTimer(() => broker.acceptConnections(), 30_000)
    const outcomes: boolean[] = []
    const requests: Request[] = [
      subscribe('t', { qos: 2 }),
      publish('t', 'one', { qos: 1 }),
      publish('t', 'two', { qos: 2 }),
    ]
    const loop = eventloop(
      {
        ...{ clientId: 'a', sessionExpiryInterval: 60, reconnect: 'always' },
        ...{ transport: broker.transport, platform: clock },
        onSettled: (_request, { ok }) => outcomes.push(ok),
      },
      requests,
    )
    const seen = new Set<string>()
    const receive = async (): Promise<void> => {
      for await (const packet of loop) {
        if (packet.cmd === 'publish') seen.add(String(packet.payload))
        if (outcomes.length === 3 && seen.size === 2) return
      }
    }
    await clock.until(receive())
    expect([[...seen].toSorted(), outcomes]).toEqual([
      ['one', 'two'],
      [true, true, true],
    ])
    expect(broker.violations).toEqual([])
  })
})
