/**
 * Goal: each normative statement of MQTT 5.0 that a client can keep or break has a test with its
 * number. Method: the whole loop at a scripted server; what it writes is read as bytes or by
 * mqtt-packet, and what it is sent is written as bytes if they are invalid. Statements that other
 * files hold are there.
 */
import type { Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { publish, type Request, subscribe, UsageError, unsubscribe } from '../../src/index.ts'
import { hex } from '../codec/support.ts'
import { startLoop } from '../support/loop.ts'
import {
  connectBytes,
  FLAGS,
  failsToConnect,
  granted,
  inbound,
  messages,
  refusedHere,
  refuses,
  said,
  usage,
  world,
} from './world.ts'

describe('CONNECT, as it is written', () => {
  test('[MQTT-3.1.2-1] the protocol name is MQTT, the version 5', async () => {
    expect((await connectBytes()).subarray(0, FLAGS).toString('hex')).toBe('00044d51545405')
  })

  test('[MQTT-3.1.2-3] [MQTT-3.1.2-13] without a will, user name and password only Clean Start may be set', async () => {
    expect((await connectBytes({ cleanStart: true }))[FLAGS]).toBe(0b0000_0010)
    expect((await connectBytes({ cleanStart: false }))[FLAGS]).toBe(0)
  })

  test('[MQTT-3.1.2-9] [MQTT-3.1.3-1] client identifier, will properties, will topic, will payload, user name, password, in this order', async () => {
    const will = { topic: 'w/t', payload: 'wp', qos: 1, retain: true } as const
    const bytes = await connectBytes({ clientId: 'cid', will, username: 'user', password: 'pass' })
    expect(bytes[FLAGS]).toBe(0b1110_1110)
    const text = (value: string) =>
      Buffer.concat([Buffer.from([0, value.length]), Buffer.from(value)])
    const payload = ['cid', Buffer.of(0), 'w/t', 'wp', 'user', 'pass']
    const expected = Buffer.concat(
      payload.map((one) => (typeof one === 'string' ? text(one) : one)),
    )
    expect(bytes.subarray(-expected.length).toString('hex')).toBe(expected.toString('hex'))
  })

  test('[MQTT-3.1.2-12] a will has QoS 0, 1 or 2', async () => {
    for (const qos of [0, 1, 2] as const) {
      expect(((await connectBytes({ will: { topic: 'w', qos } }))[FLAGS]! >> 3) & 3).toBe(qos)
    }
    usage(() => startLoop({ will: { topic: 'w', qos: 3 as never } }), /will\.qos/)
  })

  test('[MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] flags and fields of user name and password agree, empty ones too', async () => {
    for (const [options, flags] of [
      [{}, 0],
      [{ username: '' }, 0x80],
      [{ username: 'u' }, 0x80],
      [{ password: 'p' }, 0x40],
      [{ password: '' }, 0x40],
      [{ username: 'u', password: 'p' }, 0xc0],
    ] as const) {
      const { connection } = await world(options, [], false)
      expect(connection.bytes[2 + FLAGS]! & 0xc0).toBe(flags)
      const [connect] = connection.of('connect')
      expect(connect!.username).toBe('username' in options ? options.username : undefined)
      expect(connect!.password?.toString()).toBe(
        'password' in options ? options.password : undefined,
      )
    }
  })

  test('[MQTT-3.1.3-3] an empty client identifier is written as such', async () => {
    const bytes = await connectBytes({ clientId: '' })
    expect(bytes.subarray(-2).toString('hex')).toBe('0000')
  })

  test('[MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] invalid strings are refused before anything is sent', () => {
    for (const bad of ['a\0', '\ud800']) {
      usage(() => startLoop({ clientId: bad }), /clientId/)
      usage(() => startLoop({ will: { topic: bad } }), /will\.topic/)
      usage(() => startLoop({ username: bad }), /username/)
    }
    usage(() => startLoop({ will: { topic: '' } }), /will\.topic/)
    usage(() => startLoop({ will: { topic: 'a/#' } }), /will\.topic/)
  })

  test('[MQTT-3.1.0-1] [MQTT-3.1.0-2] it is the first packet, and the only one of its kind on a connection', async () => {
    const w = await world(
      {},
      [publish('a', '1'), publish('a', '2', { qos: 1 }), subscribe('b')],
      false,
    )
    w.loop.ping().catch(() => {})
    await w.clock.advance(5000)
    expect(said(w.connection)).toEqual(['connect'])
    w.connection.connack()
    await w.clock.advance(100_000)
    expect(said(w.connection).filter((cmd) => cmd === 'connect')).toHaveLength(1)
    expect(said(w.connection)[0]).toBe('connect')
  })

  test('[MQTT-2.2.2-1] an empty set of properties has length 0', async () => {
    const w = await world({}, [publish('a', '', { qos: 1 }), subscribe('b'), unsubscribe('c')])
    const { bytes } = w.connection
    expect(bytes.includes(hex('32 06 00 01 61 00 01 00'))).toBe(true)
    expect(bytes.includes(hex('82 07 00 02 00 00 01 62 00'))).toBe(true)
    expect(bytes.includes(hex('a2 06 00 03 00 00 01 63'))).toBe(true)
  })
})

describe('CONNACK, as it is checked', () => {
  test('[MQTT-3.1.4-5] only a CONNACK with 0x00 connects', async () => {
    const good = await world({}, [publish('a', 'x', { qos: 1 })])
    expect(good.loop.state.connection.kind).toBe('connected')
    expect(said(good.connection)).toEqual(['connect', 'publish'])
    await failsToConnect({ reasonCode: 0x80 })
  })

  test.each([
    ['MQTT-3.1.2-2', 0x84],
    ['MQTT-3.1.3-8', 0x85],
    ['MQTT-3.2.2-12', 0x9b],
    ['MQTT-3.2.2-13', 0x9a],
    ['MQTT-4.12.0-1', 0x8c],
    ['MQTT-4.12.0-4', 0x87],
  ])('[%s] CONNACK %i is a refusal with its code', async (_, reasonCode) => {
    const { error } = await failsToConnect({ reasonCode })
    expect(error).toMatchObject({ reasonCode })
  })

  test('[MQTT-3.1.2-2] a server of 3.1.1 that refuses version 5 ends the attempt with a clear error', async () => {
    await failsToConnect('20 02 00 01')
  })

  test('[MQTT-3.2.2-7] [MQTT-4.13.2-1] after a refusal we close, whether the server does or not', async () => {
    const w = await world({ reconnect: 'never' }, [], false)
    w.connection.autoClose = false
    w.connection.connack({ reasonCode: 0x88 })
    await w.clock.advance(1500)
    expect(w.connection.closed).toBe(true)
  })

  test('[MQTT-3.2.2-8] a code that the standard does not know is a refusal', async () => {
    for (const code of ['01', 'fe']) await failsToConnect(`20 03 00 ${code} 00`)
  })

  test('[MQTT-3.2.2-1] reserved flags are refused', async () => {
    const { w } = await failsToConnect('20 03 02 00 00')
    expect(w.connection.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x81 })
  })

  test('[MQTT-3.2.2-2] Session Present 1 after Clean Start 1 is refused', async () => {
    const { w } = await failsToConnect({ sessionPresent: true }, { cleanStart: true })
    expect(w.connection.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
  })

  test('[MQTT-3.2.2-6] a refusal with Session Present 1 is a refusal, and the session stays', async () => {
    await failsToConnect('20 03 01 87 00')
  })

  test('[MQTT-3.2.2-9] an invalid Maximum QoS is refused', async () => {
    const { w } = await failsToConnect('20 05 00 00 02 24 02')
    expect(w.connection.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
  })

  test('[MQTT-3.2.0-1] [MQTT-3.14.0-1] nothing may come before it', async () => {
    for (const early of ['30 04 00 01 61 00', '90 04 00 01 00 00', 'd0 00', 'e0 00']) {
      await failsToConnect(early)
    }
  })

  test('[MQTT-3.2.0-2] a second one is refused', () => refuses('20 03 00 00 00', [0x82]))

  test('[MQTT-3.1.3-7] an assigned client identifier is kept for the connections to come', async () => {
    const w = await world({ clientId: '' }, [], {
      properties: { assignedClientIdentifier: 'given' },
    })
    expect(w.loop.state.clientId).toBe('given')
    w.connection.reset()
    await w.clock.advance(2000)
    expect(w.server.connections[1]!.of('connect')[0]!.clientId).toBe('given')
  })

  test('[MQTT-3.1.3-2] a session of one client identifier is not used under another', async () => {
    const first = await world({ clientId: 'one' }, [])
    first.loop.shutdown()
    await first.clock.advance(2000)
    const { session } = first.loop
    usage(() => startLoop({ clientId: 'two', session }), /clientId/)
  })

  test('[MQTT-3.2.2-21] Server Keep Alive is what is kept', async () => {
    const w = await world({ keepAlive: 60 }, [], { properties: { serverKeepAlive: 5 } })
    await w.clock.advance(5001)
    expect(said(w.connection)).toEqual(['connect', 'pingreq'])
  })

  test('[MQTT-3.1.2-28] Response Information that nobody asked for does no harm', async () => {
    const w = await world({}, [], { properties: { responseInformation: 'r' } })
    expect(w.loop.state.connection.kind).toBe('connected')
  })
})

describe('limits of the server', () => {
  test('[MQTT-3.2.2-11] no publish above Maximum QoS', async () => {
    expect(
      await refusedHere(publish('a', 'x', { qos: 2 }), { properties: { maximumQoS: 1 } }),
    ).toMatchObject({
      reasonCode: 0x9b,
    })
  })

  test('[MQTT-3.2.2-14] no RETAIN 1 where it is not available', async () => {
    const connack = { properties: { retainAvailable: false } }
    expect(await refusedHere(publish('a', 'x', { qos: 1, retain: true }), connack)).toMatchObject({
      reasonCode: 0x9a,
    })
  })

  test('[MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-8] [MQTT-3.3.2-9] topic aliases cannot be set in requests, and none is sent unless the user allows it', async () => {
    for (const topicAlias of [0, 1, 65_535]) {
      await refusedHere(publish('a', 'x', { qos: 1, properties: { topicAlias } as never }))
    }
    const w = await world({}, [publish('a', 'x', { qos: 1 }), publish('a', 'y', { qos: 1 })])
    for (const packet of w.connection.of('publish'))
      expect(packet.properties?.topicAlias).toBeUndefined()
  })

  test('[MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3] the window of this CONNACK holds back publishes, and nothing else', async () => {
    const requests = [1, 2, 3].map((n) => publish('a', `${n}`, { qos: 1 }))
    const w = await world({ keepAlive: 10 }, [...requests, subscribe('b')], {
      properties: { receiveMaximum: 2 },
    })
    expect(w.connection.of('publish')).toHaveLength(2)
    w.loop.ping().catch(() => {})
    w.connection.send(inbound({ qos: 1, messageId: 9 }))
    await w.settle()
    expect(said(w.connection)).toEqual(expect.arrayContaining(['pingreq', 'puback']))
    w.connection.send({ cmd: 'puback', messageId: 1 }, { cmd: 'puback', messageId: 1 })
    await w.settle()
    expect(w.connection.of('publish')).toHaveLength(3)
    await failsToConnect('20 06 00 00 03 21 00 00')
  })

  test('[MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] PUBACK and PUBREC of ours are never larger than the server takes', async () => {
    for (const [qos, first] of [
      [1, 0x40],
      [2, 0x50],
    ] as const) {
      const w = await world({}, [], { properties: { maximumPacketSize: 5 } })
      w.connection.send(inbound({ qos, messageId: 5 }))
      await w.settle()
      expect([...w.connection.bytes.subarray(-4)]).toEqual([first, 2, 0, 5])
    }
  })

  test("[MQTT-3.4.2-1] [MQTT-3.5.2-1] acknowledgements have codes of their tables, ours and the server's", async () => {
    for (const qos of [1, 2] as const) {
      const w = await world({ acks: 'manual' })
      w.connection.send(inbound({ qos, messageId: 5 }))
      await w.settle()
      const [packet] = messages(w)
      for (const wrong of [0x01, 0x92, 0xff]) usage(() => w.loop.ack(packet!, wrong), /reason code/)
      expect(w.loop.ack(packet!, 0x97)).toBe('queued')
    }
    await refuses('40 03 00 01 01', [0x81, 0x82], {}, [publish('a', 'x', { qos: 1 })])
    await refuses('50 03 00 01 92', [0x81, 0x82], {}, [publish('a', 'x', { qos: 2 })])
  })

  test('[MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] PUBREL and PUBCOMP of ours are never larger than the server takes', async () => {
    const w = await world({}, [publish('a', '', { qos: 2 })], {
      properties: { maximumPacketSize: 9 },
    })
    w.connection.send({ cmd: 'pubrec', messageId: 1 }, { cmd: 'pubrel', messageId: 77 })
    await w.settle()
    const { bytes } = w.connection
    expect(bytes.includes(hex('62 02 00 01'))).toBe(true)
    expect(bytes.includes(hex('70 03 00 4d 92'))).toBe(true)
  })

  test('[MQTT-3.14.2-3] [MQTT-3.14.2-4] DISCONNECT of ours is never larger than the server takes', async () => {
    const w = await world({}, [], { properties: { maximumPacketSize: 4 } })
    w.connection.send(hex('00 00'))
    await w.clock.advance(1000)
    expect(w.connection.bytes.subarray(-3).toString('hex')).toBe('e00181')
  })
})

describe('publishing', () => {
  const three = [publish('a', '0'), publish('a', '1', { qos: 1 }), publish('a', '2', { qos: 2 })]

  test('[MQTT-2.2.1-2] [MQTT-4.3.1-1] QoS 0 has neither identifier nor DUP', async () => {
    const w = await world({}, [publish('a', 'x'), publish('a', 'x', { retain: true })])
    const { bytes } = w.connection
    expect(bytes.includes(hex('30 05 00 01 61 00 78'))).toBe(true)
    expect(bytes.includes(hex('31 05 00 01 61 00 78'))).toBe(true)
  })

  test('[MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-3.3.1-3] the first transmission has an identifier of its own, its QoS and DUP 0', async () => {
    const w = await world({}, three)
    const sent = w.connection.of('publish').map(({ qos, dup, messageId }) => [qos, dup, messageId])
    expect(sent).toEqual([
      [0, false, undefined],
      [1, false, 1],
      [2, false, 2],
    ])
  })

  test('[MQTT-3.3.1-3] a message that came with DUP and is published again has none', async () => {
    const w = await world({ acks: 'receipt' })
    w.connection.send(inbound({ qos: 1, dup: true, messageId: 4 }))
    await w.settle()
    const [{ topic, payload } = { topic: '', payload: Buffer.alloc(0) }] = messages(w)
    const forwarded = await world({}, [publish(topic, payload, { qos: 1 })])
    expect(forwarded.connection.of('publish')[0]!.dup).toBe(false)
  })

  test('[MQTT-3.3.4-6] a publish of ours has no Subscription Identifier', async () => {
    const properties = { subscriptionIdentifier: 5 } as never
    expect(await refusedHere(publish('a', 'x', { properties }))).toBeInstanceOf(UsageError)
  })

  test('[MQTT-3.3.1-4] QoS 3 is refused, in requests and from a server', async () => {
    expect(await refusedHere(publish('a', 'x', { qos: 3 as never }))).toBeInstanceOf(UsageError)
    await refuses('36 06 00 01 61 00 01 00', [0x81])
  })

  test('[MQTT-4.7.0-1] [MQTT-4.7.3-2] [MQTT-3.3.2-14] wildcards and U+0000 in a topic or response topic are refused', async () => {
    for (const topic of ['a/#', '+', 'a\0b']) {
      expect(await refusedHere(publish(topic, 'x'))).toBeInstanceOf(UsageError)
      const properties = { responseTopic: topic }
      expect(await refusedHere(publish('a', 'x', { properties }))).toBeInstanceOf(UsageError)
    }
  })

  test('[MQTT-2.2.1-5] [MQTT-4.3.2-3] [MQTT-4.3.3-3] an acknowledgement settles the publish of its identifier, and no other', async () => {
    const w = await world({}, [publish('a', '1', { qos: 1 }), publish('a', '2', { qos: 1 })])
    w.connection.send({ cmd: 'puback', messageId: 99 }, { cmd: 'puback', messageId: 2 })
    await w.settle()
    expect(w.outcomes.map(({ request }) => (request as { payload: string }).payload)).toEqual(['2'])
    expect(w.loop.session.held).toHaveLength(1)
  })

  test('[MQTT-4.4.0-1] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.6.0-4] resuming sends PUBLISH and PUBREL again under their identifiers; nothing is sent again before', async () => {
    const requests = [1, 2, 3].map((n) => publish('a', `${n}`, { qos: 2 }))
    const w = await world({ cleanStart: false, keepAlive: 0 }, requests)
    w.connection.send({ cmd: 'pubrec', messageId: 2 }, { cmd: 'pubrec', messageId: 1 })
    await w.clock.advance(600_000)
    expect(said(w.connection)).toEqual([
      ...['connect', 'publish', 'publish', 'publish'],
      ...['pubrel', 'pubrel'],
    ])
    expect(w.connection.of('pubrel').map(({ messageId }) => messageId)).toEqual([2, 1])
    w.server.autoConnack = { sessionPresent: true }
    w.connection.reset()
    await w.clock.advance(2000)
    const again = w.server.connections[1]!
    expect(again.packets.map(({ cmd, messageId }) => [cmd, messageId])).toEqual([
      ['connect', undefined],
      ...[
        ['pubrel', 1],
        ['pubrel', 2],
        ['publish', 3],
      ],
    ])
    expect(again.of('publish')[0]!.dup).toBe(true)
  })

  test('[MQTT-3.1.2-4] [MQTT-3.2.2-5] [MQTT-3.2.2-3] a session that is gone is replaced by a new one: no old identifier, no DUP, no PUBREL', async () => {
    const w = await world(
      { cleanStart: false },
      [1, 2].map((n) => publish('a', `${n}`, { qos: 2 })),
    )
    w.connection.send({ cmd: 'pubrec', messageId: 1 })
    await w.settle()
    w.server.autoConnack = { sessionPresent: false }
    w.connection.reset()
    await w.clock.advance(2000)
    const again = w.server.connections[1]!
    expect(again.of('pubrel')).toEqual([])
    expect(again.of('publish').map(({ dup, payload }) => [dup, payload.toString()])).toEqual([
      [false, '2'],
    ])
  })

  test('[MQTT-3.1.2-23] [MQTT-4.1.0-1] what is in flight is kept as long as the connection, and beyond it', async () => {
    const w = await world({ sessionExpiryInterval: 0 }, [publish('a', 'x', { qos: 1 })])
    await w.clock.advance(30_000)
    expect(w.loop.session.held).toHaveLength(1)
    w.connection.send({ cmd: 'puback', messageId: 1 })
    await w.settle()
    expect(w.outcomes[0]!.outcome.ok).toBe(true)
  })

  test('[MQTT-4.4.0-2] [MQTT-4.3.3-4] a code of 0x80 or above ends the flow: no PUBREL, not sent again', async () => {
    const w = await world({ cleanStart: false }, [
      publish('a', '1', { qos: 1 }),
      publish('a', '2', { qos: 2 }),
    ])
    w.connection.send(
      { cmd: 'puback', messageId: 1, reasonCode: 0x97 },
      { cmd: 'pubrec', messageId: 2, reasonCode: 0x80 },
    )
    await w.settle()
    expect(w.outcomes.map(({ outcome }) => outcome.ok)).toEqual([false, false])
    expect(w.connection.of('pubrel')).toEqual([])
    w.server.autoConnack = { sessionPresent: true }
    w.connection.reset()
    await w.clock.advance(2000)
    expect(said(w.server.connections[1]!)).toEqual(['connect'])
  })

  test('[MQTT-4.3.3-9] a failing PUBREC frees its place in the window and its identifier', async () => {
    const w = await world(
      { maxInflight: 1 },
      [1, 2].map((n) => publish('a', `${n}`, { qos: 2 })),
    )
    const [first] = w.connection.of('publish')
    w.connection.send({ cmd: 'pubrec', messageId: first!.messageId!, reasonCode: 0x80 })
    await w.settle()
    expect(w.connection.of('publish').map(({ payload }) => payload.toString())).toEqual(['1', '2'])
    expect(w.loop.state.counters.inFlight).toBe(1)
  })

  test('[MQTT-4.3.3-4] PUBREC 0x10 is a success', async () => {
    const w = await world({}, [publish('a', '2', { qos: 2 })])
    w.connection.send({ cmd: 'pubrec', messageId: 1, reasonCode: 0x10 })
    await w.settle()
    expect(w.connection.of('pubrel')[0]).toMatchObject({ messageId: 1 })
  })

  test('[MQTT-4.3.3-7] what was sent does not expire', async () => {
    const properties = { messageExpiryInterval: 1 }
    const w = await world({ cleanStart: false }, [publish('a', 'x', { qos: 2, properties })])
    await w.clock.advance(5000)
    w.server.autoConnack = { sessionPresent: true }
    w.connection.reset()
    await w.clock.advance(2000)
    expect(w.server.connections[1]!.of('publish')).toHaveLength(1)
    expect(w.outcomes).toEqual([])
  })

  test('[MQTT-3.6.1-1] [MQTT-3.6.2-1] PUBREL is written with its flags and code 0, or 0x92 for what is unknown', async () => {
    const w = await world({}, [publish('a', '2', { qos: 2 })])
    w.connection.send({ cmd: 'pubrec', messageId: 1 }, { cmd: 'pubrec', messageId: 50 })
    await w.settle()
    expect(w.connection.bytes.subarray(-9).toString('hex')).toBe('62020001' + '6203003292')
    await refuses('60 02 00 01', [0x81])
    await refuses('63 02 00 01', [0x81])
  })

  test('[MQTT-3.1.4-6] before the CONNACK nothing is sent, and after a refusal nothing is reported as delivered', async () => {
    const { w } = await failsToConnect({ reasonCode: 0x88 })
    expect(said(w.connection)).toEqual(['connect'])
    expect(w.outcomes).toEqual([])
  })
})

describe('receiving', () => {
  test('[MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] each message is acknowledged as its QoS demands', async () => {
    const w = await world({ acks: 'receipt' })
    w.connection.send(
      inbound({}),
      inbound({ qos: 1, messageId: 7 }),
      inbound({ qos: 2, messageId: 8 }),
    )
    await w.settle()
    const answers = w.connection.packets.slice(1).map(({ cmd, messageId }) => [cmd, messageId])
    expect(answers).toEqual([
      ['puback', 7],
      ['pubrec', 8],
    ])
  })

  test('[MQTT-4.5.0-2] [MQTT-3.3.2-3] [MQTT-3.10.4-3] a message is acknowledged even if no subscription matches', async () => {
    const w = await world({ acks: 'receipt' }, [unsubscribe('t')])
    w.connection.send({ cmd: 'unsuback', messageId: 1, granted: [0] } as Packet)
    w.connection.send(inbound({ topic: 'never/asked', qos: 1, messageId: 7 }))
    w.connection.send(inbound({ topic: 'never/asked', qos: 2, messageId: 8 }))
    await w.settle()
    expect(said(w.connection)).toEqual(['connect', 'unsubscribe', 'puback', 'pubrec'])
    expect(messages(w)).toHaveLength(2)
  })

  test('[MQTT-4.3.2-5] after PUBACK the identifier may carry another message, DUP or not', async () => {
    const w = await world({ acks: 'receipt' })
    for (const payload of ['1', '2']) {
      w.connection.send(inbound({ qos: 1, messageId: 7, dup: payload === '2', payload }))
      await w.settle()
    }
    expect(messages(w).map(({ payload }) => payload.toString())).toEqual(['1', '2'])
  })

  test('[MQTT-4.3.3-12] [MQTT-3.7.2-1] after PUBCOMP the identifier may carry another message; a PUBREL for an unknown identifier is answered with 0x92', async () => {
    const w = await world({ acks: 'receipt' })
    for (const payload of ['1', '2']) {
      w.connection.send(inbound({ qos: 2, messageId: 7, payload }))
      w.connection.send({ cmd: 'pubrel', messageId: 7 })
      await w.settle()
    }
    w.connection.send({ cmd: 'pubrel', messageId: 7 })
    await w.settle()
    expect(messages(w).map(({ payload }) => payload.toString())).toEqual(['1', '2'])
    expect(w.connection.of('pubcomp').map(({ reasonCode }) => reasonCode)).toEqual([0, 0, 0x92])
  })

  test('[MQTT-4.3.3-13] the flow is finished even if the message has expired', async () => {
    const w = await world({ acks: 'receipt' })
    w.connection.send(inbound({ qos: 2, messageId: 7, properties: { messageExpiryInterval: 1 } }))
    await w.clock.advance(5000)
    w.connection.send({ cmd: 'pubrel', messageId: 7 })
    await w.settle()
    expect(said(w.connection)).toEqual(['connect', 'pubrec', 'pubcomp'])
  })

  test('[MQTT-3.3.4-4] all identifiers of matching subscriptions are shown', async () => {
    const w = await world()
    w.connection.send(hex('30 09 00 01 74 04 0b 01 0b 02 70'))
    await w.settle()
    expect(messages(w)[0]!.properties?.subscriptionIdentifier).toEqual([1, 2])
  })

  test('[MQTT-3.3.2-10] every alias up to our maximum is accepted, and may be given a new topic', async () => {
    const w = await world({ topicAliasMaximum: 2 })
    const aliased = (topic: string, topicAlias: number) =>
      inbound({ topic, properties: { topicAlias } })
    w.connection.send(aliased('a', 2), aliased('', 2), aliased('b', 2), aliased('', 2))
    await w.settle()
    expect(messages(w).map(({ topic }) => topic)).toEqual(['a', 'a', 'b', 'b'])
  })

  const alias = (topicAlias: number) => inbound({ properties: { topicAlias } })
  test('[MQTT-3.1.2-26] [MQTT-3.3.2-11] no alias above our maximum is accepted', () =>
    refuses(alias(3), [0x94], { topicAliasMaximum: 2 }))
  test('[MQTT-3.1.2-27] no alias at all is accepted if we allowed none', () =>
    refuses(alias(1), [0x94]))
  test('[MQTT-3.3.2-8] alias 0 is refused', () =>
    refuses('30 07 00 01 74 03 23 00 00', [0x94], { topicAliasMaximum: 2 }))

  test.each([
    ['MQTT-3.3.2-1', '30 02 00 05', [0x81]],
    ['MQTT-3.3.2-1', '30 04 00 01 ff 00', [0x81]],
    ['MQTT-3.3.2-1', '30 03 00 00 00', [0x82]],
    ['MQTT-3.3.2-13', '30 08 00 01 74 04 08 00 01 ff', [0x81]],
    ['MQTT-3.3.2-14', '30 08 00 01 74 04 08 00 01 23', [0x82]],
    ['MQTT-3.3.2-19', '30 08 00 01 74 04 03 00 01 ff', [0x81]],
    ['MQTT-1.5.7-1', '30 0b 00 01 74 07 26 00 01 ff 00 01 61', [0x81]],
    ['MQTT-1.5.7-1', '30 0b 00 01 74 07 26 00 01 61 00 01 00', [0x81]],
    ['MQTT-1.5.5-1', '30 80 80 80 80 01', [0x81]],
    ['MQTT-2.1.3-1', 'd1 00', [0x81]],
    ['MQTT-2.1.3-1', '41 02 00 01', [0x81]],
    ['MQTT-3.15.1-1', 'f1 00', [0x81]],
    ['MQTT-3.14.1-1', 'e1 00', [0x81]],
    ['MQTT-3.8.1-1', '82 07 00 02 00 00 01 62 00', [0x82, 0x81]],
    ['MQTT-4.12.0-6', 'f0 00', [0x82]],
  ])('[%s] %s is refused', (_, bytes, codes) => refuses(bytes, codes))

  test('[MQTT-1.5.7-1] invalid user properties are refused in requests', async () => {
    for (const bad of ['\0', '\ud800']) {
      const properties = { userProperties: { [bad]: 'x' } }
      expect(await refusedHere(publish('a', '', { properties }))).toBeInstanceOf(UsageError)
    }
  })

  test('[MQTT-1.5.5-1] lengths are written in their shortest form', async () => {
    for (const [size, length] of [
      [127, '7f'],
      [128, '8001'],
      [16_383, 'ff7f'],
      [16_384, '808001'],
      [2_097_151, 'ffff7f'],
      [2_097_152, '80808001'],
    ] as const) {
      const w = await world({}, [publish('a', Buffer.alloc(size - 6), { qos: 1 })])
      const at = w.connection.bytes.indexOf(hex(`32 ${length} 00 01 61`))
      expect(at, `${size}`).toBeGreaterThan(0)
    }
  })
})

describe('subscribing', () => {
  test('[MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.8.3-5] flags and options are written as the standard demands', async () => {
    const all = { qos: 2, nl: true, rap: true, rh: 2 } as const
    const w = await world({}, [subscribe('a', all), unsubscribe('b')])
    const { bytes } = w.connection
    expect(bytes.includes(hex('82 07 00 01 00 00 01 61 2e'))).toBe(true)
    expect(bytes.includes(hex('a2 06 00 02 00 00 01 62'))).toBe(true)
    expect(await refusedHere(subscribe('a', { qos: 3 as never }))).toBeInstanceOf(UsageError)
    expect(await refusedHere(subscribe('a', { rh: 3 as never }))).toBeInstanceOf(UsageError)
  })

  test('[MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT-3.8.3-4] empty lists, and No Local on a shared subscription, are refused', async () => {
    const wrong: Request[] = [
      { cmd: 'subscribe', subscriptions: [] },
      { cmd: 'unsubscribe', unsubscriptions: [] },
      subscribe('$share/g/a', { nl: true }),
    ]
    for (const request of wrong) expect(await refusedHere(request)).toBeInstanceOf(UsageError)
  })

  test('[MQTT-3.10.3-1] invalid filters are refused', async () => {
    for (const bad of ['\0', '\ud800', '']) {
      expect(await refusedHere(unsubscribe(bad))).toBeInstanceOf(UsageError)
    }
  })

  test('[MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT-3.10.4-5] answers settle the request of their identifier, in any order', async () => {
    const w = await world({}, [subscribe('a'), subscribe('b'), unsubscribe('c')])
    w.connection.send(
      { cmd: 'suback', messageId: 77, granted: [0] },
      { cmd: 'unsuback', messageId: 3, granted: [0x11] } as Packet,
      { cmd: 'suback', messageId: 2, granted: [0] },
    )
    await w.settle()
    expect(w.outcomes.map(({ request, outcome }) => [request.cmd, outcome.ok])).toEqual([
      ['unsubscribe', true],
      ['subscribe', true],
    ])
    expect(w.loop.session.held).toHaveLength(1)
  })

  test('[MQTT-3.8.4-5] [MQTT-3.8.4-7] [MQTT-3.9.3-1] one SUBACK settles all filters, each by its place', async () => {
    const filters = ['a', 'b', 'c'].map((topic) => ({ topic, qos: 2 as const }))
    const w = await world({}, [{ cmd: 'subscribe', subscriptions: filters }])
    w.connection.send({ cmd: 'suback', messageId: 1, granted: [1, 0x87, 0] })
    await w.settle()
    expect(w.outcomes).toHaveLength(1)
    expect(w.outcomes[0]!.outcome.ok).toBe(false)
    const held = granted(w.loop)
    expect(held).toEqual([
      ['a', 1],
      ['c', 0],
    ])
  })

  test('[MQTT-3.10.4-6] [MQTT-3.11.3-1] one UNSUBACK settles all filters', async () => {
    const filters = ['a', 'b'].map((topic) => ({ topic, qos: 0 as const }))
    const w = await world({}, [
      { cmd: 'subscribe', subscriptions: filters },
      unsubscribe(['a', 'b']),
    ])
    w.connection.send({ cmd: 'suback', messageId: 1, granted: [0, 0] })
    w.connection.send({ cmd: 'unsuback', messageId: 2, granted: [0x80, 0] } as Packet)
    await w.settle()
    expect(granted(w.loop).map(([topic]) => topic)).toEqual(['a'])
  })

  test('[MQTT-3.10.4-4] without an UNSUBACK the request stays open', async () => {
    const w = await world({}, [unsubscribe('a')])
    await w.clock.advance(30_000)
    expect([w.outcomes, w.loop.session.held.length]).toEqual([[], 1])
  })

  const asked = [subscribe('a')]
  const left = [unsubscribe('a')]
  test.each([
    ['MQTT-3.8.4-6', '90 03 00 01 00', [0x81, 0x82], asked],
    ['MQTT-3.8.4-6', '90 05 00 01 00 00 00', [0x82], asked],
    ['MQTT-3.9.3-2', '90 04 00 01 00 03', [0x81, 0x82], asked],
    ['MQTT-3.9.3-2', '90 04 00 01 00 7f', [0x81, 0x82], asked],
    ['MQTT-3.11.3-1', 'b0 05 00 01 00 00 00', [0x82], left],
    ['MQTT-3.11.3-2', 'b0 04 00 01 00 03', [0x81, 0x82], left],
  ] as const)('[%s] %s is refused', (_, bytes, codes, requests) =>
    refuses(bytes, codes, {}, requests),
  )
})

describe('the end', () => {
  test('[MQTT-3.1.4-3] DISCONNECT 0x8E ends the loop, so that two clients do not fight over a session', async () => {
    const w = await world({ reconnect: 'always' })
    w.connection.send({ cmd: 'disconnect', reasonCode: 0x8e })
    await w.clock.advance(600_000)
    expect(w.ended).toBe(true)
    expect(w.error).toMatchObject({ reasonCode: 0x8e })
    expect(w.server.dials).toHaveLength(1)
  })

  test('[MQTT-3.14.2-1] [MQTT-3.14.4-1] [MQTT-3.14.4-2] DISCONNECT is the last packet, has a code of a client, and we close', async () => {
    const w = await world({ acks: 'manual' }, [publish('a', 'x', { qos: 1 })])
    w.connection.autoClose = false
    w.connection.send(inbound({ qos: 1, messageId: 3 }))
    await w.settle()
    w.loop.shutdown()
    w.connection.send(inbound({ qos: 1, messageId: 4 }))
    await w.clock.advance(5000)
    expect(w.connection.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0 })
    // It sets the Session Expiry Interval to 0, because nobody will resume the session.
    expect(w.connection.bytes.subarray(-9).toString('hex')).toBe('e00700051100000000')
    expect([w.connection.closed, w.ended]).toEqual([true, true])
    usage(() => startLoop({ disconnectReason: 0x8b as never }), /disconnectReason/)
  })

  test("[MQTT-3.14.2-2] a Session Expiry Interval in a server's DISCONNECT does no harm", async () => {
    const w = await world({ reconnect: 'never' })
    w.connection.send(hex('e0 07 8b 05 11 00 00 00 01'))
    await w.clock.advance(2000)
    expect([w.connection.closed, w.ended]).toEqual([true, true])
  })

  test('[MQTT-3.12.4-1] a PINGREQ without answer ends the connection; a PINGRESP that nobody asked for does not', async () => {
    const w = await world({ keepAlive: 10, reconnect: 'never' })
    w.connection.send({ cmd: 'pingresp' })
    await w.settle()
    expect(w.loop.state.connection.kind).toBe('connected')
    await w.clock.advance(15_001)
    expect(said(w.connection)).toContain('pingreq')
    expect(w.connection.closed).toBe(true)
  })

  test('[MQTT-4.2.0-1] packets that are cut between any two bytes are read', async () => {
    const w = await world({ acks: 'receipt' })
    const bytes = inbound({
      qos: 1,
      messageId: 7,
      payload: 'whole',
      properties: { contentType: 'c' },
    })
    for (const byte of bytes) {
      w.connection.send(Buffer.of(byte))
      await w.settle()
    }
    expect(messages(w).map(({ payload }) => payload.toString())).toEqual(['whole'])
  })
})
