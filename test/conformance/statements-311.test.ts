/**
 * Goal: each statement of MQTT 3.1.1 has a test with its number. The numbers are those of 3.1.1,
 * which mean something else in 5.0, so all of them are here. What breaks a rule is closed without a
 * DISCONNECT, because 3.1.1 has no reason codes.
 */
import mqtt, { type IConnackPacket, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import {
  type EventloopOptions,
  publish,
  type Request,
  subscribe,
  UsageError,
  unsubscribe,
} from '../../src/index.ts'
import { hex } from '../codec/support.ts'
import { startLoop } from '../support/loop.ts'
import {
  connectBytes as bytesOf,
  FLAGS,
  failsToConnect as fails,
  granted,
  messages,
  said,
  usage,
  type World,
  world,
} from './world.ts'

const v4 = { protocolVersion: 4 } as const
const connectBytes = (options: EventloopOptions = {}) => bytesOf({ ...v4, ...options })
const up = (
  options: EventloopOptions = {},
  requests: readonly Request[] = [],
  connack: Partial<IConnackPacket> | false = {},
) => world({ ...v4, ...options }, requests, connack)
const failsToConnect = (answer: string, options: EventloopOptions = {}) =>
  fails(answer, { ...v4, ...options })
const inbound = (fields: object) =>
  mqtt.generate(
    {
      cmd: 'publish',
      topic: 't',
      payload: 'p',
      qos: 0,
      dup: false,
      retain: false,
      ...fields,
    } as Packet,
    { protocolVersion: 4 },
  )

/**
 * Expects that these bytes end the connection without a packet of ours, and that nothing of them is
 * yielded.
 */
async function closes(
  bytes: string | Buffer,
  requests: readonly Request[] = [],
  options: EventloopOptions = {},
): Promise<World> {
  const w = await up({ reconnect: 'never', ...options }, requests)
  const before = w.connection.packets.length
  w.connection.send(typeof bytes === 'string' ? hex(bytes) : bytes)
  await w.clock.advance(2000)
  expect(w.connection.closed).toBe(true)
  expect(w.connection.packets.slice(before).map(({ cmd }) => cmd)).toEqual([])
  expect(messages(w)).toEqual([])
  return w
}

/**
 * Expects that the request is refused before anything is written, and that the outcome says why.
 */
async function refusedHere(request: Request): Promise<void> {
  const w = await up({}, [request])
  await w.clock.advance(10)
  expect(said(w.connection)).toEqual(['connect'])
  expect(w.outcomes[0]!.outcome).toMatchObject({ ok: false })
  expect((w.outcomes[0]!.outcome as { error: unknown }).error).toBeInstanceOf(UsageError)
}

/** Sends the same requests, cuts the connection, and connects again with or without the session. */
async function resumed(w: World, sessionPresent: boolean) {
  w.server.autoConnack = { sessionPresent, returnCode: 0 }
  w.connection.reset()
  await w.clock.advance(2000)
  return w.server.connections[1]!
}

describe('MQTT 3.1.1: CONNECT', () => {
  test('[MQTT-3.1.2-1] [MQTT-3.1.2-2] the protocol name is MQTT, the level 4', async () => {
    expect((await connectBytes()).subarray(0, FLAGS).toString('hex')).toBe('00044d51545404')
    await failsToConnect('20 02 00 01')
  })

  test('[MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15] [MQTT-3.1.2-18] [MQTT-3.1.2-20] without will, user name and password no flag but Clean Session is set', async () => {
    expect((await connectBytes({ clientId: 'c' }))[FLAGS]).toBe(2)
    const bytes = await connectBytes({ clientId: 'c', cleanStart: false })
    expect(bytes[FLAGS]).toBe(0)
    expect(bytes.subarray(FLAGS + 3).toString('hex')).toBe('000163')
  })

  test('[MQTT-3.1.2-9] [MQTT-3.1.2-19] [MQTT-3.1.2-21] [MQTT-3.1.3-1] client identifier, will topic, will message, user name, password, in this order', async () => {
    const will = { topic: 'w', payload: 'm', qos: 2, retain: true } as const
    const bytes = await connectBytes({ clientId: 'c', will, username: 'u', password: 'p' })
    expect(bytes[FLAGS]).toBe(0b1111_0110)
    expect(bytes.subarray(FLAGS + 3).toString('hex')).toBe(
      '000163' + '000177' + '00016d' + '000175' + '000170',
    )
    const empty = await connectBytes({ clientId: 'c', username: '' })
    expect(empty[FLAGS]).toBe(0x82)
    expect(empty.subarray(FLAGS + 3).toString('hex')).toBe('0001630000')
  })

  test('[MQTT-3.1.2-14] [MQTT-3.1.2-22] [MQTT-3.1.3-7] options that the standard forbids are refused before anything is sent', () => {
    usage(() => startLoop({ ...v4, will: { topic: 'w', qos: 3 as never } }), /will\.qos/)
    usage(() => startLoop({ ...v4, password: 'p' }), /password/)
    usage(() => startLoop({ ...v4, clientId: '', cleanStart: false }), /clientId/)
  })

  test('[MQTT-3.1.3-7] a client without an identifier that keeps its session does not fall back from version 5', async () => {
    const w = await world({ clientId: '', cleanStart: false, reconnect: 'never' }, [], false)
    w.connection.send(hex('20 03 00 84 00'))
    await w.clock.advance(2000)
    expect(w.error).toMatchObject({ reasonCode: 0x84 })
    expect(w.server.dials).toHaveLength(1)
  })

  test('[MQTT-3.1.3-3] an empty client identifier is written as such', async () => {
    expect((await connectBytes({ clientId: '' })).subarray(FLAGS + 3).toString('hex')).toBe('0000')
  })

  test('[MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11] invalid strings are refused', () => {
    for (const bad of ['a\0', '\ud800']) {
      usage(() => startLoop({ ...v4, clientId: bad }), /clientId/)
      usage(() => startLoop({ ...v4, will: { topic: bad } }), /will\.topic/)
      usage(() => startLoop({ ...v4, username: bad }), /username/)
    }
    for (const topic of ['', 'a/#'])
      usage(() => startLoop({ ...v4, will: { topic } }), /will\.topic/)
  })

  test('[MQTT-3.1.0-1] [MQTT-3.1.0-2] CONNECT comes first, and once', async () => {
    const w = await up({}, [publish('a', '1'), subscribe('b')], false)
    await w.clock.advance(5000)
    expect(said(w.connection)).toEqual(['connect'])
    w.connection.connack()
    await w.clock.advance(100_000)
    expect(said(w.connection).filter((cmd) => cmd === 'connect')).toHaveLength(1)
  })
})

describe('MQTT 3.1.1: CONNACK', () => {
  test.each([
    ['MQTT-3.1.3-8', '20 02 00 02'],
    ['MQTT-3.1.3-9', '20 02 00 02'],
    ['MQTT-3.1.4-4', '20 02 00 05'],
    ['MQTT-3.2.2-4', '20 02 01 05'],
    ['MQTT-3.2.2-1', '20 02 01 00'],
    ['MQTT-3.2.0-1', '30 03 00 01 61'],
    ['MQTT-3.2.0-1', '90 03 00 01 00'],
    ['MQTT-3.2.0-1', 'd0 00'],
  ])('[%s] %s does not connect', async (_, bytes) => {
    await failsToConnect(bytes)
  })

  test('[MQTT-3.2.2-5] after a refusal we close, whether the server does or not', async () => {
    const w = await up({ reconnect: 'never' }, [], false)
    w.connection.autoClose = false
    w.connection.send(hex('20 02 00 03'))
    await w.clock.advance(1500)
    expect(w.connection.closed).toBe(true)
  })

  test('[MQTT-3.2.2-6] a close instead of it is an error, immediately', async () => {
    const w = await up({ reconnect: 'never' }, [], false)
    w.connection.end()
    await w.clock.advance(10)
    expect([w.ended, w.error instanceof Error]).toEqual([true, true])
  })

  test('[MQTT-3.1.4-5] before it nothing is sent, after a refusal nothing is reported as delivered', async () => {
    const { w } = await failsToConnect('20 02 00 05')
    expect(said(w.connection)).toEqual(['connect'])
  })

  test('[MQTT-3.1.4-2] a server that closes because another client has our identifier is not dialled in a tight loop', async () => {
    const w = await up({}, [])
    w.server.onConnection = (connection) => {
      connection.autoConnack = { returnCode: 0 }
      setImmediate(() => connection.end())
    }
    w.connection.end()
    await w.clock.advance(60_000)
    expect(w.server.dials.length).toBeLessThan(20)
  })
})

describe('MQTT 3.1.1: sessions', () => {
  const four = () =>
    [1, 2, 3].map((n) => publish('a', `${n}`, { qos: 2 })).concat(publish('a', '4', { qos: 1 }))

  test('[MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-2.3.1-3] [MQTT-3.3.1-1] [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.6.0-4] with the session PUBLISH and PUBREL are sent again, in order, under their identifiers, with DUP', async () => {
    const w = await up({ clientId: 'c', cleanStart: false }, four())
    w.connection.send({ cmd: 'pubrec', messageId: 2 }, { cmd: 'pubrec', messageId: 1 })
    await w.settle()
    expect(w.connection.of('pubrel').map(({ messageId }) => messageId)).toEqual([2, 1])
    const again = await resumed(w, true)
    expect(
      again.packets
        .slice(1)
        .map((packet) => [packet.cmd, packet.messageId, packet.cmd === 'publish' && packet.dup]),
    ).toEqual([
      ['pubrel', 1, false],
      ['pubrel', 2, false],
      ['publish', 3, true],
      ['publish', 4, true],
    ])
  })

  test('[MQTT-3.1.2-6] [MQTT-3.2.2-3] without it no old packet is sent: new identifiers, no DUP, no PUBREL', async () => {
    const w = await up({ clientId: 'c', cleanStart: false }, four())
    w.connection.send({ cmd: 'pubrec', messageId: 1 })
    await w.settle()
    const again = await resumed(w, false)
    expect(again.of('pubrel')).toEqual([])
    expect(again.of('publish').map(({ dup, payload }) => [dup, payload.toString()])).toEqual([
      [false, '2'],
      [false, '3'],
      [false, '4'],
    ])
  })

  test('[MQTT-3.1.3-2] the session of one client identifier is not used under another', async () => {
    const w = await up({ clientId: 'one' })
    w.loop.shutdown()
    await w.clock.advance(2000)
    const { session } = w.loop
    usage(() => startLoop({ ...v4, clientId: 'two', session }), /clientId/)
  })

  test('[MQTT-4.1.0-1] [MQTT-4.1.0-2] what is in flight is kept at least as long as the connection', async () => {
    const w = await up({}, [publish('a', 'x', { qos: 1 })])
    await w.clock.advance(40_000)
    expect(w.loop.session.held).toHaveLength(1)
    w.connection.send({ cmd: 'puback', messageId: 1 })
    await w.settle()
    expect(w.outcomes[0]!.outcome.ok).toBe(true)
  })
})

describe('MQTT 3.1.1: bytes and identifiers', () => {
  test.each([
    ['MQTT-1.5.3-1', '30 03 00 01 ff'],
    ['MQTT-1.5.3-1', '30 05 00 03 ed a0 80'],
    ['MQTT-1.5.3-2', '30 03 00 01 00'],
    ['MQTT-2.2.2-2', 'd1 00'],
    ['MQTT-2.2.2-2', '41 02 00 01'],
    ['MQTT-2.3.1-1', '32 05 00 01 61 00 00'],
    ['MQTT-3.3.1-4', '36 05 00 01 61 00 01'],
    ['MQTT-3.3.2-1', '30 02 00 05'],
    ['MQTT-3.3.2-2', '30 05 00 03 61 2f 2b'],
    ['MQTT-4.7.3-1', '30 02 00 00'],
    ['MQTT-4.7.3-2', '30 05 00 03 61 00 62'],
    ['MQTT-3.6.1-1', '60 02 00 01'],
    ['MQTT-3.6.1-1', '6a 02 00 01'],
    ['MQTT-4.8.0-1', '00 00'],
    ['MQTT-4.8.0-1', 'f0 00'],
  ])('[%s] %s ends the connection', async (_, bytes) => {
    await closes(bytes)
  })

  test('[MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] strings of requests are validated', async () => {
    for (const bad of ['a\0', '\ud800', '']) {
      await refusedHere(publish(bad, 'x'))
      await refusedHere(subscribe(bad))
      await refusedHere(unsubscribe(bad))
    }
  })

  test('[MQTT-1.5.3-3] EF BB BF is kept', async () => {
    const w = await up()
    w.connection.send(hex('30 06 00 04 ef bb bf 61'))
    await w.settle()
    expect(messages(w)[0]!.topic).toBe('\ufeffa')
  })

  test('[MQTT-4.7.3-3] 65,535 bytes of topic are the most', async () => {
    const w = await up({}, [publish('a'.repeat(65_535), 'x', { qos: 1 })])
    expect(w.connection.of('publish')[0]!.topic).toHaveLength(65_535)
    await refusedHere(publish('a'.repeat(65_536), 'x'))
  })

  test('[MQTT-3.3.2-2] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.1-3] topics have no wildcards, and wildcards of filters stand for whole levels', async () => {
    for (const topic of ['a/#', '+']) await refusedHere(publish(topic, 'x'))
    for (const filter of ['a#', 'a/#/b', '#/a', 'a+', 'a/+b']) await refusedHere(subscribe(filter))
  })

  test('[MQTT-2.2.2-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] the first byte of each packet is that of the table', async () => {
    const w = await up({}, [subscribe('a'), unsubscribe('b'), publish('c', '', { qos: 2 })])
    w.connection.send({ cmd: 'pubrec', messageId: 3 })
    w.connection.send(inbound({ qos: 1, messageId: 1 }), inbound({ qos: 2, messageId: 2 }))
    w.loop.ping().catch(() => {})
    await w.settle()
    w.loop.shutdown()
    await w.clock.advance(2000)
    const { bytes } = w.connection
    for (const part of [
      '82 06 00 01 00 01 61 00',
      'a2 05 00 02 00 01 62',
      '62 02 00 03',
      'c0 00',
    ]) {
      expect(bytes.includes(hex(part)), part).toBe(true)
    }
    expect(bytes.subarray(-2).toString('hex')).toBe('e000')
  })

  test('[MQTT-2.3.1-1] [MQTT-2.3.1-2] identifiers are not 0, and not in use', async () => {
    const requests = [
      subscribe('a'),
      publish('b', '', { qos: 1 }),
      unsubscribe('c'),
      publish('d', '', { qos: 2 }),
    ]
    const w = await up({}, requests)
    expect(w.connection.packets.slice(1).map(({ messageId }) => messageId)).toEqual([1, 2, 3, 4])
  })

  test('[MQTT-2.3.1-4] the server has identifiers of its own', async () => {
    const w = await up({ acks: 'receipt' }, [publish('a', 'x', { qos: 1 })])
    w.connection.send(inbound({ qos: 1, messageId: 1 }))
    w.connection.send({ cmd: 'puback', messageId: 1 })
    await w.settle()
    expect([messages(w).length, w.outcomes.length, w.connection.of('puback').length]).toEqual([
      1, 1, 1,
    ])
  })

  test('[MQTT-2.3.1-5] [MQTT-3.3.1-2] [MQTT-4.3.1-1] QoS 0 has neither identifier nor DUP', async () => {
    const w = await up({}, [publish('a', 'x'), publish('a', 'x', { retain: true })])
    expect(w.connection.bytes.includes(hex('30 04 00 01 61 78 31 04 00 01 61 78'))).toBe(true)
  })
})

describe('MQTT 3.1.1: publishing', () => {
  test('[MQTT-4.3.2-1] [MQTT-2.3.1-6] [MQTT-3.3.1-3] QoS 1: an identifier, DUP 0, held until its own PUBACK', async () => {
    const w = await up(
      {},
      [1, 2].map((n) => publish('a', `${n}`, { qos: 1 })),
    )
    const sent = w.connection.of('publish').map(({ messageId, dup }) => [messageId, dup])
    expect(sent).toEqual([
      [1, false],
      [2, false],
    ])
    w.connection.send({ cmd: 'puback', messageId: 9 }, { cmd: 'puback', messageId: 2 })
    await w.settle()
    expect(w.outcomes.map(({ request }) => (request as { payload: string }).payload)).toEqual(['2'])
    expect(w.loop.session.held).toHaveLength(1)
  })

  test('[MQTT-3.3.5-2] a close right after a PUBLISH is reported, and not repeated in a tight loop', async () => {
    const w = await up({ quarantineAfter: 3 }, [publish('forbidden', 'x', { qos: 1 })])
    w.server.onConnection = (connection) => {
      connection.autoConnack = { sessionPresent: true, returnCode: 0 }
      connection.autoAck = (packet) => {
        if (packet.cmd === 'publish') connection.end()
        return packet.cmd === 'pingreq'
      }
    }
    w.connection.end()
    await w.clock.advance(120_000)
    expect(w.server.dials.length).toBeLessThan(30)
  })
})

describe('MQTT 3.1.1: receiving', () => {
  test('[MQTT-3.3.4-1] [MQTT-4.5.0-2] [MQTT-3.3.2-3] [MQTT-4.6.0-2] [MQTT-4.6.0-3] each message is acknowledged as its QoS demands, in order, subscribed or not', async () => {
    const w = await up({ acks: 'manual' })
    w.connection.send(
      inbound({}),
      inbound({ qos: 1, messageId: 5 }),
      inbound({ qos: 1, messageId: 6 }),
      inbound({ qos: 2, messageId: 7 }),
      inbound({ qos: 2, messageId: 8 }),
    )
    await w.settle()
    const owed = messages(w).filter(({ qos }) => qos > 0)
    for (const packet of owed.reverse()) w.loop.ack(packet)
    await w.settle()
    expect(w.connection.packets.slice(1).map(({ cmd, messageId }) => [cmd, messageId])).toEqual([
      ['puback', 5],
      ['puback', 6],
      ['pubrec', 7],
      ['pubrec', 8],
    ])
  })

  test('[MQTT-4.3.2-2] after PUBACK the identifier may carry another message', async () => {
    const w = await up({ acks: 'receipt' })
    for (const payload of ['1', '2']) {
      w.connection.send(inbound({ qos: 1, messageId: 5, dup: payload === '2', payload }))
      await w.settle()
    }
    expect(messages(w).map(({ payload }) => payload.toString())).toEqual(['1', '2'])
    expect(w.connection.of('puback')).toHaveLength(2)
  })

  test('[MQTT-4.3.3-2] QoS 2: PUBREC, repeats kept back until PUBREL, then PUBCOMP, and the identifier is free', async () => {
    const w = await up({ acks: 'receipt' })
    const one = (payload: string, dup: boolean) => inbound({ qos: 2, messageId: 5, payload, dup })
    w.connection.send(one('1', false), one('1', true))
    await w.settle()
    w.connection.send({ cmd: 'pubrel', messageId: 5 })
    await w.settle()
    w.connection.send(one('2', false), { cmd: 'pubrel', messageId: 99 })
    await w.settle()
    expect(messages(w).map(({ payload }) => payload.toString())).toEqual(['1', '2'])
    expect(w.connection.of('pubcomp').map(({ messageId }) => messageId)).toEqual([5, 99])
  })

  test('[MQTT-3.3.1-8] [MQTT-3.3.1-9] RETAIN is shown as it came', async () => {
    const w = await up()
    w.connection.send(inbound({ retain: true }), inbound({ retain: false }))
    await w.settle()
    expect(messages(w).map(({ retain }) => retain)).toEqual([true, false])
  })

  test('[MQTT-3.10.4-3] what comes after UNSUBACK is still acknowledged', async () => {
    const w = await up({ acks: 'receipt' }, [unsubscribe('t')])
    w.connection.send(
      { cmd: 'unsuback', messageId: 1 } as Packet,
      inbound({ qos: 1, messageId: 5 }),
    )
    await w.settle()
    expect(w.connection.of('puback')).toHaveLength(1)
  })

  test('[MQTT-4.8.0-2] a consumer that fails loses no message: it is not acknowledged, and comes again', async () => {
    const w = await up({ clientId: 'c', cleanStart: false })
    w.connection.send(inbound({ qos: 1, messageId: 5 }))
    await w.settle()
    void w.loop.return()
    await w.clock.advance(2000)
    expect(w.connection.packets.at(-1)!.cmd).toBe('disconnect')
    const late = await world({ ...v4, acks: 'manual' }, [], {})
    late.connection.send(inbound({ qos: 1, messageId: 5 }))
    await late.settle()
    void late.loop.return()
    await late.clock.advance(2000)
    expect(late.connection.of('puback')).toEqual([])
  })

  test('[MQTT-4.7.2-1] [MQTT-4.7.3-4] topics are yielded as they are: nothing is matched or normalised', async () => {
    const w = await up({}, [subscribe('#')])
    for (const topic of ['$SYS/x', 'ACCOUNTS', 'Accounts', 'é', 'e\u0301'])
      w.connection.send(inbound({ topic }))
    await w.settle()
    expect(messages(w).map(({ topic }) => topic)).toEqual([
      '$SYS/x',
      'ACCOUNTS',
      'Accounts',
      'é',
      'e\u0301',
    ])
  })

  test('[MQTT-7.1.2-1] packets that are cut between any two bytes are read', async () => {
    const w = await up({ acks: 'receipt' })
    for (const byte of inbound({ qos: 1, messageId: 5, payload: 'whole' })) {
      w.connection.send(Buffer.of(byte))
      await w.settle()
    }
    expect(messages(w)[0]!.payload.toString()).toBe('whole')
  })
})

describe('MQTT 3.1.1: subscribing', () => {
  const two = [
    { topic: 'a', qos: 2 as const },
    { topic: 'b', qos: 1 as const },
  ]

  test('[MQTT-3.8.4-4] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.8.3-2] one SUBACK settles all filters, each by its place; what was granted is shown', async () => {
    const w = await up({}, [{ cmd: 'subscribe', subscriptions: two }])
    w.connection.send({ cmd: 'suback', messageId: 1, granted: [1, 0x80] })
    await w.settle()
    expect(w.outcomes.map(({ outcome }) => outcome.ok)).toEqual([false])
    expect(granted(w.loop)).toEqual([['a', 1]])
  })

  test('[MQTT-2.3.1-7] [MQTT-3.8.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] answers settle their own request, in any order', async () => {
    const w = await up({}, [subscribe('a'), subscribe('b'), unsubscribe(['c', 'd'])])
    w.connection.send(
      { cmd: 'suback', messageId: 77, granted: [0] },
      { cmd: 'unsuback', messageId: 3 } as Packet,
      { cmd: 'suback', messageId: 2, granted: [0] },
    )
    await w.settle()
    expect(w.outcomes.map(({ request, outcome }) => [request.cmd, outcome.ok])).toEqual([
      ['unsubscribe', true],
      ['subscribe', true],
    ])
  })

  test('[MQTT-3.8.4-1] [MQTT-3.8.3-4] without a SUBACK the request stays open; its QoS is 0, 1 or 2', async () => {
    const w = await up({}, [{ cmd: 'subscribe', subscriptions: two }])
    await w.clock.advance(40_000)
    expect(w.loop.session.held).toHaveLength(1)
    expect(w.connection.bytes.includes(hex('00 01 61 02 00 01 62 01'))).toBe(true)
    await refusedHere(subscribe('a', { qos: 3 as never }))
  })

  test('[MQTT-3.8.3-3] [MQTT-3.10.3-2] empty lists are refused', async () => {
    await refusedHere({ cmd: 'subscribe', subscriptions: [] })
    await refusedHere({ cmd: 'unsubscribe', unsubscriptions: [] })
  })

  test.each([
    ['MQTT-3.8.4-5', '90 02 00 01'],
    ['MQTT-3.8.4-5', '90 04 00 01 00 00'],
    ['MQTT-3.9.3-2', '90 03 00 01 03'],
    ['MQTT-3.9.3-2', '90 03 00 01 87'],
  ])('[%s] %s ends the connection', async (_, bytes) => {
    await closes(bytes, [subscribe('a')])
  })
})

describe('MQTT 3.1.1: time and the end', () => {
  test('[MQTT-3.1.2-23] something is sent within Keep Alive of what was sent last, whatever is received; 0 asks for nothing', async () => {
    const w = await up({ keepAlive: 10 })
    for (let second = 0; second < 10; second++) {
      w.connection.send(inbound({}))
      await w.clock.advance(1000)
    }
    await w.clock.advance(1)
    expect(w.connection.of('pingreq')).toHaveLength(1)
    const never = await up({ keepAlive: 0 })
    await never.clock.advance(600_000)
    expect(said(never.connection)).toEqual(['connect'])
  })

  test('[MQTT-3.12.4-1] a PINGREQ without answer ends the connection', async () => {
    const w = await up({ keepAlive: 10, reconnect: 'never' })
    await w.clock.advance(15_001)
    expect([said(w.connection), w.connection.closed]).toEqual([['connect', 'pingreq'], true])
  })

  test('[MQTT-3.14.4-1] [MQTT-3.14.4-2] DISCONNECT is the last packet, and we close', async () => {
    const w = await up({ acks: 'manual' }, [publish('a', 'x', { qos: 1 })])
    w.connection.autoClose = false
    w.loop.shutdown()
    w.connection.send(inbound({ qos: 1, messageId: 4 }))
    await w.clock.advance(5000)
    expect(w.connection.bytes.subarray(-2).toString('hex')).toBe('e000')
    expect([w.connection.closed, w.ended]).toEqual([true, true])
  })
})
