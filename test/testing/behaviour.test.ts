/**
 * Goal: the broker does what the standard says, and what its habits say where the standard leaves a
 * choice. Method: raw clients on a virtual clock; mqtt-packet reads what the broker sends.
 */
import { describe, expect, test } from 'vitest'
import { type Version, world } from './raw-peer.ts'

const VERSIONS = [5, 4] as const
/** A session that outlives its connection, in each version. */
const lasting = (version: Version, seconds = 60) =>
  version === 5
    ? { clean: false, properties: { sessionExpiryInterval: seconds } }
    : { clean: false }

describe.each(VERSIONS)('MQTT %d', (version) => {
  test('a session that is away gets what it missed, and Session Present says so', async () => {
    const { clock, broker, join, peer } = world(version)
    const first = await join('a', lasting(version))
    first.subscribe('t')
    await clock.settle()
    first.send('disconnect')
    await clock.settle()
    expect(broker.publish('t', 'one', { qos: 1 })).toBe(1)
    broker.publish('t', 'lost', { qos: 0 })
    expect(broker.sessions.get('a')).toMatchObject({ connected: false, queued: 1, inflight: 0 })
    const second = peer()
    second.connect('a', lasting(version))
    await clock.settle()
    expect(second.take()).toEqual(['connack present', 'publish t one q1'])
    const third = peer()
    third.connect('a', { clean: true })
    await clock.settle()
    expect(third.take()).toEqual(['connack'])
  })

  test('what was not acknowledged comes again with DUP, in its order and stage', async () => {
    const { clock, broker, join, peer } = world(version)
    const first = await join('a', lasting(version))
    first.subscribe('t')
    await clock.settle()
    for (const [text, qos] of [
      ['one', 1],
      ['two', 2],
      ['three', 2],
    ] as const) {
      broker.publish('t', text, { qos })
    }
    await clock.settle()
    expect(first.take().slice(1)).toEqual([
      'publish t one q1',
      'publish t two q2',
      'publish t three q2',
    ])
    first.send('pubrec', { messageId: 2 })
    await clock.settle()
    expect(first.take()).toEqual(['pubrel 2'])
    broker.kill('a')
    await clock.settle()
    expect(first.closed).toBe(true)
    const second = peer()
    second.connect('a', lasting(version))
    await clock.settle()
    expect(second.take()).toEqual([
      ...['connack present', 'publish t one q1 dup', 'pubrel 2', 'publish t three q2 dup'],
    ])
    second.send('puback', { messageId: 1 })
    second.send('pubcomp', { messageId: 2 })
    second.send('pubrec', { messageId: 3 })
    await clock.settle()
    second.send('pubcomp', { messageId: 3 })
    await clock.settle()
    expect(broker.sessions.get('a')).toMatchObject({ queued: 0, inflight: 0 })
    expect(broker.violations).toEqual([])
  })

  test('a QoS 2 publish that is repeated is delivered once', async () => {
    const { clock, join } = world(version)
    const client = await join('a')
    client.subscribe('t', { qos: 0 })
    const messageId = client.publish('t', 'x', { qos: 2 })
    client.publish('t', 'x', { qos: 2, messageId, dup: true })
    await clock.settle()
    client.send('pubrel', { messageId })
    client.send('pubrel', { messageId })
    await clock.settle()
    const again = version === 5 ? ' 92' : ''
    expect(client.take()).toEqual([
      ...['suback 0', 'publish t x q0', `pubrec ${messageId}`, `pubrec ${messageId}`],
      ...[`pubcomp ${messageId}`, `pubcomp ${messageId}${again}`],
    ])
  })

  test('retained messages: the last one, deleted by an empty one', async () => {
    const { clock, broker, join } = world(version)
    const client = await join('a')
    for (const text of ['old', 'new']) client.publish('t/1', text, { retain: true, qos: 1 })
    client.publish('t/2', 'gone', { retain: true })
    client.publish('t/2', '', { retain: true })
    await clock.settle()
    expect([...broker.retained.keys()]).toEqual(['t/1'])
    client.take()
    client.subscribe('t/#', { qos: 1 })
    client.publish('t/1', 'live', { retain: true })
    await clock.settle()
    expect(client.take()).toEqual(['suback 1', 'publish t/1 new q1 retain', 'publish t/1 live q0'])
  })

  test('the will is published at a loss, and not after DISCONNECT', async () => {
    const { clock, broker, join } = world(version)
    const watcher = await join('w')
    watcher.subscribe('will/#', { qos: 1 })
    const will = (topic: string) => ({
      will: { topic, payload: Buffer.from('x'), qos: 1, retain: false } as const,
    })
    const one = await join('a', will('will/a'))
    await join('b', will('will/b'))
    one.send('disconnect')
    broker.kill('b')
    await clock.settle()
    expect(watcher.take()).toEqual(['suback 1', 'publish will/b x q1'])
    expect(broker.sessions.size).toBe(1)
  })

  test('a silent client is ended after one and a half times its keep-alive', async () => {
    const { clock, broker, join } = world(version)
    const client = await join('a', { keepalive: 10 })
    await clock.advance(10_000)
    client.send('pingreq')
    await clock.advance(14_999)
    expect([client.take(), broker.clients.size]).toEqual([['pingresp'], 1])
    await clock.advance(1)
    expect([client.take(), broker.clients.size]).toEqual([
      version === 5 ? ['disconnect 8d'] : [],
      0,
    ])
  })

  test('the same client twice: the first connection ends', async () => {
    const { clock, broker, join } = world(version)
    const first = await join('a')
    await join('a')
    await clock.settle()
    expect(first.take()).toEqual(version === 5 ? ['disconnect 8e'] : [])
    expect([first.closed, broker.clients.get('a')?.connection]).toEqual([true, 2])
  })

  test('shared subscriptions: members take turns, and one that is away gets nothing', async () => {
    const { clock, broker, join } = world(version)
    const members = [await join('a', lasting(version)), await join('b', lasting(version))]
    for (const member of members) member.subscribe('$share/g/t', { qos: 1 })
    await clock.settle()
    for (const text of ['1', '2', '3', '4']) broker.publish('t', text, { qos: 1 })
    await clock.settle()
    const [a, b] = members.map((member) => member.take())
    expect([a, b]).toEqual([
      ['suback 1', 'publish t 1 q1', 'publish t 3 q1'],
      ['suback 1', 'publish t 2 q1', 'publish t 4 q1'],
    ])
    // What a has not acknowledged goes to b when a is lost.
    broker.kill('a')
    await clock.settle()
    expect(members[1]!.take()).toEqual(['publish t 1 q1', 'publish t 3 q1'])
    expect(broker.publish('t', '5', { qos: 1 })).toBe(1)
    await clock.settle()
    expect(members[1]!.take()).toEqual(['publish t 5 q1'])
  })

  test('sharedRedistribution: false keeps messages for the session', async () => {
    const { clock, broker, join } = world(version, { sharedRedistribution: false })
    const [a, b] = [await join('a', lasting(version)), await join('b', lasting(version))]
    for (const member of [a, b]) member.subscribe('$share/g/t', { qos: 1 })
    await clock.settle()
    broker.publish('t', '1', { qos: 1 })
    await clock.settle()
    broker.kill('a')
    await clock.settle()
    expect(b.take()).toEqual(['suback 1'])
    expect(broker.sessions.get('a')?.inflight).toBe(1)
  })

  test('UNSUBSCRIBE ends a subscription', async () => {
    const { clock, broker, join } = world(version)
    const client = await join('a')
    client.subscribe('t')
    client.send('unsubscribe', { unsubscriptions: ['t', 'u'] })
    await clock.settle()
    expect(broker.publish('t')).toBe(0)
    await clock.settle()
    expect(client.take()).toEqual(['suback 2', version === 5 ? 'unsuback 0,11' : 'unsuback'])
  })

  test('a restart ends every connection; sessions stay, wills are not published', async () => {
    const { clock, broker, join } = world(version)
    const will = { topic: 'will', payload: Buffer.from('x'), qos: 0, retain: true } as const
    const client = await join('a', { ...lasting(version), will })
    broker.restart()
    await clock.settle()
    expect([client.closed, [...broker.sessions.keys()], broker.retained.size]).toEqual([
      true,
      ['a'],
      0,
    ])
    broker.restart({ keepSessions: false })
    expect(broker.sessions.size).toBe(0)
  })

  test('a version that it does not speak is refused', async () => {
    const { clock, peer } = world(version, { protocolVersions: version === 5 ? [4, 3] : [5] })
    const client = peer()
    client.connect('a')
    await clock.settle()
    expect([client.take(), client.closed]).toEqual([
      [version === 5 ? 'connack 84' : 'connack 1'],
      true,
    ])
  })
})

describe('MQTT 5', () => {
  test.each([
    ['merged', ['publish a/b x q2 id=1,2']],
    ['separate', ['publish a/b x q1 id=1', 'publish a/b x q2 id=2']],
    ['one-id', ['publish a/b x q2 id=1']],
    ['separate-no-id', ['publish a/b x q1', 'publish a/b x q2']],
  ] as const)('[M6] overlap %s', async (overlap, expected) => {
    const { clock, broker, join } = world(5, { overlap })
    const client = await join('a')
    client.subscribe('a/+', { qos: 1 }, { subscriptionIdentifier: 1 })
    client.subscribe('a/#', { qos: 2 }, { subscriptionIdentifier: 2 })
    await clock.settle()
    client.take()
    broker.publish('a/b', 'x', { qos: 2 })
    await clock.settle()
    expect(client.take()).toEqual(expected)
  })

  test.each([
    ['afterSuback', ['suback 2', 'publish t old q0 retain', 'publish f fence q0']],
    ['beforeSuback', ['publish t old q0 retain', 'suback 2', 'publish f fence q0']],
    ['late', ['suback 2', 'publish f fence q0', 'publish t old q0 retain']],
  ] as const)('[M9] retained messages %s', async (retainedTiming, expected) => {
    const { clock, broker, join } = world(5, { retainedTiming })
    broker.publish('t', 'old', { retain: true })
    const client = await join('a')
    client.subscribe('f')
    await clock.settle()
    client.take()
    client.subscribe('t')
    client.publish('f', 'fence')
    await clock.advance(10)
    expect(client.take()).toEqual(expected)
  })

  test('Retain Handling and Retain As Published', async () => {
    const { clock, broker, join } = world(5)
    broker.publish('t', 'old', { retain: true })
    const client = await join('a')
    const seen: string[][] = []
    for (const rh of [2, 1, 0, 1]) {
      if (rh === 1 && seen.length === 1) client.send('unsubscribe', { unsubscriptions: ['t'] })
      client.subscribe('t', { rh, rap: true })
      await clock.settle()
      seen.push(client.take().filter((line) => line.startsWith('publish')))
    }
    const old = ['publish t old q0 retain']
    expect(seen).toEqual([[], old, old, []])
    broker.publish('t', 'new', { retain: true })
    await clock.settle()
    expect(client.take()).toEqual(['publish t new q0 retain'])
  })

  test('[Q3] 0x10 if nobody matches, unless the habit is off; No Local does not match', async () => {
    for (const noMatchingSubscribers of [true, false]) {
      const { clock, join } = world(5, { noMatchingSubscribers })
      const client = await join('a')
      client.subscribe('own', { nl: true })
      const ids = [1, 2].map((qos) => client.publish('own', 'x', { qos }))
      await clock.settle()
      const code = noMatchingSubscribers ? ' 10' : ''
      expect(client.take().slice(1)).toEqual([`puback ${ids[0]}${code}`, `pubrec ${ids[1]}${code}`])
    }
  })

  test('Receive Maximum holds both ways', async () => {
    const { clock, broker, join } = world(5, { receiveMaximum: 1 })
    const client = await join('a', { properties: { receiveMaximum: 2 } })
    client.subscribe('t', { qos: 1 })
    await clock.settle()
    for (const text of ['1', '2', '3']) broker.publish('t', text, { qos: 1 })
    await clock.settle()
    expect(client.take()).toEqual(['suback 1', 'publish t 1 q1', 'publish t 2 q1'])
    client.send('puback', { messageId: 1 })
    await clock.settle()
    expect(client.take()).toEqual(['publish t 3 q1'])
    client.publish('u', 'x', { qos: 2 })
    client.publish('u', 'x', { qos: 2 })
    await clock.settle()
    expect(client.take().at(-1)).toBe('disconnect 93')
    expect(broker.violations).toMatchObject([
      { clientId: 'a', reasonCode: 0x93, clause: 'MQTT-3.3.4-7' },
    ])
  })

  test('message expiry counts down; what expired is not sent', async () => {
    const { clock, broker, join, peer } = world(5)
    const first = await join('a', lasting(5))
    first.subscribe('#', { qos: 1 })
    await clock.settle()
    first.send('disconnect')
    await clock.settle()
    const properties = (messageExpiryInterval: number) => ({
      properties: { messageExpiryInterval },
    })
    broker.publish('short', 'x', { qos: 1, ...properties(5), retain: true })
    broker.publish('long', 'x', { qos: 1, ...properties(20) })
    await clock.advance(5000)
    expect(broker.retained.size).toBe(0)
    const second = peer()
    second.connect('a', lasting(5))
    await clock.settle()
    expect(second.packets[1]).toMatchObject({
      topic: 'long',
      properties: { messageExpiryInterval: 15 },
    })
    expect(second.take()).toHaveLength(2)
  })

  test('a session ends at its expiry, which DISCONNECT may change, and has a maximum', async () => {
    const { clock, broker, join, peer } = world(5, { sessionExpiryMaximum: 100 })
    const client = await join('a', lasting(5, 10))
    client.send('disconnect', { reasonCode: 0, properties: { sessionExpiryInterval: 20 } })
    await clock.advance(19_999)
    expect([...broker.sessions.keys()]).toEqual(['a'])
    await clock.advance(1)
    expect(broker.sessions.size).toBe(0)
    const other = peer()
    other.connect('b', lasting(5, 500))
    await clock.settle()
    expect(other.packets).toMatchObject([{ properties: { sessionExpiryInterval: 100 } }])
  })

  test.each<[name: string, delay: number, clean: boolean, habit: boolean, wills: number]>([
    ['without a delay', 0, false, true, 1],
    ['with a delay, the session goes on', 5, false, true, 0],
    ['with a delay, a clean start', 5, true, true, 1],
    ['a broker that forgets it', 0, false, false, 0],
  ])('will at takeover: %s', async (_, willDelayInterval, clean, willOnTakeover, wills) => {
    const { clock, join } = world(5, { willOnTakeover })
    const watcher = await join('watcher')
    watcher.subscribe('w')
    const properties = { willDelayInterval }
    const will = {
      topic: 'w',
      payload: Buffer.from('x'),
      qos: 0,
      retain: false,
      properties,
    } as const
    await join('a', { ...lasting(5), will })
    await join('a', { ...lasting(5), clean })
    await clock.advance(10_000)
    const published = watcher.take().filter((line) => line.startsWith('publish'))
    expect(published).toHaveLength(wills)
  })

  test('a delayed will is published after its delay, at the end of the session, or never', async () => {
    const { clock, broker, join } = world(5)
    const watcher = await join('w')
    watcher.subscribe('will/#')
    const will = (topic: string, willDelayInterval: number) =>
      ({
        topic,
        payload: Buffer.from('x'),
        qos: 0,
        retain: false,
        properties: { willDelayInterval },
      }) as const
    await join('a', { ...lasting(5, 60), will: will('will/delayed', 5) })
    await join('b', { ...lasting(5, 3), will: will('will/ended', 5) })
    await join('c', { ...lasting(5, 60), will: will('will/back', 5) })
    for (const id of ['a', 'b', 'c']) broker.kill(id)
    await clock.advance(2999)
    expect(watcher.take()).toEqual(['suback 2'])
    await clock.advance(1)
    expect(watcher.take()).toEqual(['publish will/ended x q0'])
    await join('c', lasting(5))
    await clock.advance(5000)
    expect(watcher.take()).toEqual(['publish will/delayed x q0'])
  })

  test('DISCONNECT with 0x04 publishes the will', async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a', {
      will: { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: true },
    })
    client.send('disconnect', { reasonCode: 4 })
    await clock.settle()
    expect([...broker.retained.keys()]).toEqual(['w'])
  })

  test('properties are forwarded, and topic aliases of the client understood', async () => {
    const { clock, broker, join } = world(5, { topicAliasMaximum: 2 })
    const client = await join('a')
    client.subscribe('t')
    const properties = {
      ...{ responseTopic: 'r', correlationData: Buffer.from('c'), contentType: 'text/plain' },
      ...{ payloadFormatIndicator: true, userProperties: { k: 'v' } },
    }
    client.publish('t', 'x', { properties: { ...properties, topicAlias: 2 } })
    client.publish('', 'y', { properties: { topicAlias: 2 } })
    await clock.settle()
    expect(client.packets[1]).toMatchObject({
      topic: 't',
      properties: { ...properties, userProperties: { k: 'v' } },
    })
    expect(client.take().slice(1)).toEqual(['publish t x q0', 'publish t y q0'])
    client.publish('', 'z', { properties: { topicAlias: 1 } })
    await clock.settle()
    expect(client.take()).toEqual(['disconnect 82'])
    expect(broker.violations).toMatchObject([{ clause: 'MQTT-3.3.2-12' }])
  })

  test('limits are in the CONNACK', async () => {
    const { clock, peer } = world(5, {
      ...{ receiveMaximum: 7, maximumQoS: 1, retainAvailable: false, wildcardAvailable: false },
      ...{ sharedAvailable: false, subscriptionIdentifiersAvailable: false, topicAliasMaximum: 3 },
      ...{ maximumPacketSize: 500, responseInformation: 'r/', serverKeepAlive: 9 },
    })
    const client = peer()
    client.connect('', { properties: { requestResponseInformation: true } })
    await clock.settle()
    expect(client.packets[0]).toMatchObject({
      properties: {
        ...{ receiveMaximum: 7, maximumQoS: 1, retainAvailable: false, topicAliasMaximum: 3 },
        ...{ wildcardSubscriptionAvailable: false, sharedSubscriptionAvailable: false },
        ...{ subscriptionIdentifiersAvailable: false, maximumPacketSize: 500 },
        ...{
          responseInformation: 'r/',
          serverKeepAlive: 9,
          assignedClientIdentifier: 'assigned-1',
        },
      },
    })
    client.take()
    client.subscribe('$share/g/t', {}, {})
    client.subscribe('a/#')
    client.subscribe('a', {}, { subscriptionIdentifier: 1 })
    client.subscribe('a')
    await clock.settle()
    expect(client.take()).toEqual(['suback 9e', 'suback a2', 'suback a1', 'suback 1'])
  })

  test.each<[name: string, fields: Record<string, unknown>, reasonCode: number]>([
    ['a retained publish', { retain: true }, 0x9a],
    ['a publish at QoS 2', { qos: 2 }, 0x9b],
    ['a topic alias', { properties: { topicAlias: 1 } }, 0x94],
    ['a packet that is too large', { payload: 'x'.repeat(200) }, 0x95],
  ])('%s beyond the limits ends the connection', async (_, fields, reasonCode) => {
    const { clock, broker, join } = world(5, {
      ...{ retainAvailable: false, maximumQoS: 1, maximumPacketSize: 100 },
    })
    const client = await join('a')
    client.publish('t', 'x', fields)
    await clock.settle()
    expect([client.take(), client.closed]).toEqual([
      [`disconnect ${reasonCode.toString(16)}`],
      true,
    ])
    expect(broker.violations).toMatchObject([{ reasonCode }])
  })

  test("a message that is larger than the client's Maximum Packet Size is not sent", async () => {
    const { clock, broker, join } = world(5)
    const client = await join('a', { properties: { maximumPacketSize: 30 } })
    client.subscribe('t')
    await clock.settle()
    for (const text of ['x'.repeat(30), 'y']) broker.publish('t', text, { qos: 1 })
    await clock.settle()
    expect(client.take()).toEqual(['suback 2', 'publish t y q1'])
  })

  test('enhanced authentication is refused', async () => {
    const { clock, peer } = world(5)
    const client = peer()
    client.connect('a', { properties: { authenticationMethod: 'x' } })
    await clock.settle()
    expect(client.take()).toEqual(['connack 8c'])
  })
})
