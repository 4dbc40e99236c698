/** What the encoder writes, beside what mqtt-packet writes of the same packet, and read again by the decoder. */
import fc from 'fast-check'
import { generate, type IConnectPacket, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { Encoder } from '../../src/codec/encode.ts'
import { UsageError } from '../../src/errors.ts'
import type { ReceivedPublish } from '../../src/protocol/facts.ts'
import type { ClientPacket } from '../../src/protocol/packets.ts'
import { type PreparedPublish, prepare } from '../../src/requests/prepare.ts'
import { cuts, feed, meaning, theirs, type Version } from './support.ts'

function written(version: Version, ...write: ((encoder: Encoder) => void)[]): Buffer {
  const encoder = new Encoder(version)
  for (const one of write) one(encoder)
  const { pendingBytes } = encoder
  const bytes = Buffer.concat(encoder.take())
  expect(bytes.length).toBe(pendingBytes)
  expect(encoder.pendingBytes).toBe(0)
  expect(encoder.take()).toEqual([])
  return bytes
}

const rare = (packet: Packet, version: Version) =>
  written(version, (e) => e.packet(packet as ClientPacket))
const asPublish = (request: object, version: Version) =>
  prepare(request, version) as PreparedPublish

// ------------------------------------------------------------------------------------------------------- random packets

const version = fc.constantFrom<Version>(3, 4, 5)
const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((s) => !s.includes('\u0000'))
const topic = text.map((s) => `t/${s.replaceAll(/[+#]/g, '')}`)
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array))
const messageId = fc.integer({ min: 1, max: 65_535 })
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
const uint32 = fc.integer({ min: 0, max: 4_294_967_295 })
const userProperties = fc.dictionary(
  text.filter((name) => name !== '__proto__'),
  fc.oneof(
    text.filter((s) => s !== ''),
    fc.array(
      text.filter((s) => s !== ''),
      { minLength: 2, maxLength: 3 },
    ),
  ),
  { minKeys: 1, maxKeys: 3, noNullPrototype: true },
)
const some = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { requiredKeys: [] })
const publishProperties = some({
  payloadFormatIndicator: fc.boolean(),
  contentType: text,
  responseTopic: topic,
  correlationData: bytes,
  userProperties,
})
const reasonProperties = some({ reasonString: text, userProperties })

describe('the same bytes as mqtt-packet', () => {
  test('PUBLISH, whatever its fields, and the decoder reads it again in every cut', () => {
    fc.assert(
      fc.property(
        version,
        topic,
        fc.oneof(text, bytes),
        fc.record({ qos, retain: fc.boolean() }),
        fc.option(publishProperties, { nil: undefined }),
        fc.option(uint32, { nil: undefined }),
        messageId,
        fc.boolean(),
        (v, topic, payload, flags, given, expiry, id, again) => {
          const dup = again && flags.qos > 0
          const properties = v === 5 ? given : undefined
          const seconds = v === 5 ? expiry : undefined
          // The expiry comes first, as the encoder writes it.
          const all = {
            ...(seconds === undefined ? {} : { messageExpiryInterval: seconds }),
            ...properties,
          }
          const prepared = asPublish(
            { cmd: 'publish', topic, payload, ...flags, ...(v === 5 ? { properties: all } : {}) },
            v,
          )
          const messageId = flags.qos > 0 ? id : 0
          const ours = written(v, (e) => e.publish(prepared, messageId, dup, seconds ?? -1))
          const packet = { cmd: 'publish', topic, payload, ...flags, dup, messageId } as const
          const expected = generate(
            { ...packet, ...(v === 5 ? { properties: all } : {}) },
            { protocolVersion: v },
          )
          expect(ours.toString('hex')).toBe(expected.toString('hex'))
          if (v === 5) expect(prepared.bytes).toBe(ours.length)
          for (const chunks of Object.values(cuts(ours))) {
            const { packets, error } = feed(chunks, v)
            expect(error).toBeNull()
            expect(meaning(packets[0]!, v)).toEqual(meaning(theirs(ours, v), v))
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('acknowledgements: the short form, the code without properties', () => {
    const codes = { puback: 0x10, pubrec: 0x97, pubrel: 0x92, pubcomp: 0x92 } as const
    for (const cmd of ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const) {
      for (const v of [3, 4, 5] as const) {
        for (const id of [1, 255, 256, 65_535]) {
          const ours = written(v, (e) => e.ack(cmd, id, 0))
          const packet = { cmd, messageId: id, reasonCode: 0 }
          expect(ours).toEqual(generate(packet, { protocolVersion: v }))
          expect(feed([ours], v).packets).toEqual([packet])
        }
        const refused = written(v, (e) => e.ack(cmd, 258, codes[cmd]))
        expect(refused.length).toBe(v === 5 ? 5 : 4)
        const reasonCode = v === 5 ? codes[cmd] : 0
        expect(feed([refused], v).packets).toEqual([{ cmd, messageId: 258, reasonCode }])
      }
    }
  })

  test('CONNECT', () => {
    const will = fc.record(
      {
        topic,
        payload: bytes,
        qos,
        retain: fc.boolean(),
        properties: some({
          willDelayInterval: uint32,
          messageExpiryInterval: uint32,
          contentType: text,
          userProperties,
        }),
      },
      { requiredKeys: ['topic', 'payload', 'qos', 'retain'] },
    )
    const connect = fc.record(
      {
        clientId: text.filter((s) => s !== ''),
        clean: fc.boolean(),
        keepalive: fc.integer({ min: 0, max: 65_535 }),
        username: text,
        password: bytes,
        will,
        properties: some({
          sessionExpiryInterval: uint32,
          receiveMaximum: messageId,
          maximumPacketSize: fc.integer({ min: 1, max: 4_294_967_295 }),
          topicAliasMaximum: fc.integer({ min: 0, max: 65_535 }),
          requestResponseInformation: fc.boolean(),
          requestProblemInformation: fc.boolean(),
          userProperties,
          authenticationMethod: text,
          authenticationData: bytes,
        }),
      },
      { requiredKeys: ['clientId', 'clean', 'keepalive'] },
    )
    fc.assert(
      fc.property(version, connect, (v, fields) => {
        const { username, password, ...rest } = fields
        const user = username === undefined ? {} : { username, ...(password ? { password } : {}) }
        const protocolId = v === 3 ? 'MQIsdp' : 'MQTT'
        const packet = {
          cmd: 'connect',
          protocolId,
          protocolVersion: v,
          ...rest,
          ...user,
        } as IConnectPacket
        expect(rare(packet, v).toString('hex')).toBe(generate(packet).toString('hex'))
      }),
      { numRuns: 300 },
    )
  })

  test('SUBSCRIBE, UNSUBSCRIBE, AUTH, PINGREQ', () => {
    const options = { qos, nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) }
    const subscriptions = fc.array(fc.record({ topic, ...options }), { minLength: 1, maxLength: 4 })
    const properties = some({
      subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }),
      userProperties,
    })
    fc.assert(
      fc.property(
        version,
        messageId,
        subscriptions,
        properties,
        bytes,
        (v, id, subs, props, data) => {
          const { userProperties: user } = props
          const packets: Packet[] = [
            { cmd: 'subscribe', messageId: id, subscriptions: subs, properties: props },
            {
              cmd: 'unsubscribe',
              messageId: id,
              unsubscriptions: subs.map((one) => one.topic),
              ...(user === undefined ? {} : { properties: { userProperties: user } }),
            },
            { cmd: 'pingreq' },
          ]
          if (v === 5) {
            const auth = { authenticationMethod: 'M', authenticationData: data }
            packets.push({ cmd: 'auth', reasonCode: 0x18, properties: auth })
          }
          for (const packet of packets) {
            const expected = generate(packet, { protocolVersion: v })
            expect(rare(packet, v).toString('hex')).toBe(expected.toString('hex'))
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  test('what a server writes by mqtt-packet we read as it does', () => {
    const codes = fc.constantFrom(0, 0x80, 0x87, 0x97)
    fc.assert(
      fc.property(
        messageId,
        codes,
        reasonProperties,
        fc.array(codes, { minLength: 1 }),
        (id, code, props, granted) => {
          const packets = [
            { cmd: 'puback', messageId: id, reasonCode: code, properties: props },
            { cmd: 'pubrec', messageId: id, reasonCode: code, properties: props },
            { cmd: 'suback', messageId: id, granted, properties: props },
            { cmd: 'disconnect', reasonCode: code, properties: props },
            { cmd: 'connack', sessionPresent: false, reasonCode: code, properties: props },
          ] as Packet[]
          for (const packet of packets) {
            const sent = generate(packet, { protocolVersion: 5 })
            for (const chunks of Object.values(cuts(sent))) {
              const { packets: read, error } = feed(chunks, 5)
              expect(error).toBeNull()
              expect(meaning(read[0]!, 5)).toEqual(meaning(theirs(sent, 5), 5))
            }
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('where mqtt-packet is wrong or wasteful', () => {
  const connect = { cmd: 'connect', clientId: 'c', keepalive: 0, clean: true } as const

  test('MQTT 5 allows a password without a user name, [MQTT-3.1.2-22] 3.1.1 does not', () => {
    const packet = { ...connect, password: Buffer.from('s') }
    const bytes = rare(packet, 5)
    expect(bytes.toString('hex')).toBe('101100044d5154540542000000000163000173')
    expect(() => rare(packet, 4)).toThrow(UsageError)
  })

  test('an empty user name, an empty password and an empty client identifier are sent as such', () => {
    const bytes = rare({ ...connect, clientId: '', username: '', password: Buffer.alloc(0) }, 4)
    expect(theirs(bytes, 4)).toMatchObject({
      clientId: '',
      username: '',
      password: Buffer.alloc(0),
    })
  })

  test('[MQTT-3.1.2-11] an empty will payload, and a Uint8Array that is no Buffer', () => {
    for (const payload of ['', Buffer.alloc(0)]) {
      const bytes = rare({ ...connect, will: { topic: 'w', payload, qos: 1, retain: true } }, 4)
      expect(theirs(bytes, 4)).toMatchObject({ will: { topic: 'w', qos: 1, retain: true } })
    }
    const payload = Uint8Array.of(1, 2) as Buffer
    const bytes = rare({ ...connect, will: { topic: 'w', payload } }, 5)
    expect(theirs(bytes, 5)).toMatchObject({ will: { payload: Buffer.of(1, 2) } })
  })

  test('no user properties at all, which mqtt-packet takes for a failure', () => {
    const packet: Packet = {
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'a', qos: 0 }],
      properties: { userProperties: {} },
    }
    expect(generate(packet, { protocolVersion: 5 })).toHaveLength(0)
    expect(rare(packet, 5).toString('hex')).toBe('820700010000016100')
  })

  test('DISCONNECT and AUTH take their short forms', () => {
    expect(rare({ cmd: 'disconnect' }, 4).toString('hex')).toBe('e000')
    expect(rare({ cmd: 'disconnect', reasonCode: 0x82 }, 4).toString('hex')).toBe('e000')
    expect(rare({ cmd: 'disconnect', reasonCode: 0 }, 5).toString('hex')).toBe('e000')
    expect(rare({ cmd: 'disconnect', reasonCode: 0x82 }, 5).toString('hex')).toBe('e00182')
    const properties = { sessionExpiryInterval: 0 }
    const long = rare({ cmd: 'disconnect', reasonCode: 0, properties }, 5)
    expect(long.toString('hex')).toBe('e00700051100000000')
    expect(rare({ cmd: 'auth', reasonCode: 0 }, 5).toString('hex')).toBe('f000')
  })
})

describe('batches', () => {
  test('small packets share buffers of at most 64 KiB, in order', () => {
    const encoder = new Encoder(5)
    const prepared = asPublish(
      { cmd: 'publish', topic: 'a/b', payload: 'x'.repeat(100), qos: 1 },
      5,
    )
    for (let id = 1; id <= 2000; id++) encoder.publish(prepared, id, false, -1)
    const taken = encoder.take()
    expect(taken.length).toBeLessThan(12)
    for (const piece of taken) expect(piece.length).toBeLessThanOrEqual(65_536)
    const { packets } = feed(taken, 5)
    expect(packets.map((packet) => (packet as { messageId: number }).messageId)).toEqual(
      Array.from({ length: 2000 }, (_, i) => i + 1),
    )
  })

  test('a payload of 16 KiB and more is passed by reference, smaller ones are copied', () => {
    const large = Buffer.alloc(16_384, 'x')
    const small = Buffer.alloc(16_383, 'y')
    const encoder = new Encoder(5)
    encoder.ack('puback', 1, 0)
    encoder.publish(asPublish({ cmd: 'publish', topic: 'a', payload: large }, 5), 0, false, -1)
    encoder.publish(asPublish({ cmd: 'publish', topic: 'a', payload: small }, 5), 0, false, -1)
    encoder.publish(
      asPublish({ cmd: 'publish', topic: 'a', payload: 'z'.repeat(70_000) }, 5),
      0,
      false,
      -1,
    )
    encoder.ack('puback', 2, 0)
    const taken = encoder.take()
    expect(taken).toContain(large)
    expect(taken).not.toContain(small)
    const { packets } = feed(taken, 5)
    expect(packets.map((packet) => packet.cmd)).toEqual([
      'puback',
      'publish',
      'publish',
      'publish',
      'puback',
    ])
    const sizes = packets.slice(1, 4).map((packet) => (packet as ReceivedPublish).payload.length)
    expect(sizes).toEqual([16_384, 16_383, 70_000])
  })

  test('an idle encoder holds no buffer', () => {
    const encoder = new Encoder(5)
    const buffers = () =>
      Object.values(encoder).filter((field) => typeof field === 'object' && field !== null)
    expect(buffers()).toEqual([])
    encoder.ack('puback', 1, 0)
    expect(buffers()).not.toEqual([])
    encoder.take()
    expect(buffers()).toEqual([])
  })

  test('what was taken is never written again', () => {
    const encoder = new Encoder(4)
    encoder.ack('puback', 1, 0)
    const [first] = encoder.take()
    const before = Buffer.from(first!)
    for (let i = 0; i < 1000; i++) encoder.ack('pubrec', 0xffff, 0)
    expect(before.equals(first!)).toBe(true)
  })

  test('a topic alias goes with the topic once, then in its place', () => {
    const prepared = asPublish(
      { cmd: 'publish', topic: 'plant/7', payload: 'x', properties: { contentType: 'c' } },
      5,
    )
    const both = written(5, (e) => {
      e.allowAliases(3, 1000)
      e.publish(prepared, 0, false, 9)
      e.publish(prepared, 0, false, -1)
    })
    expect(feed([both], 5).packets).toMatchObject([
      {
        topic: 'plant/7',
        properties: { topicAlias: 1, messageExpiryInterval: 9, contentType: 'c' },
      },
      { topic: '', properties: { topicAlias: 1 } },
    ])
  })

  test('properties stay behind on a connection that speaks 3.1.1', () => {
    const prepared = asPublish({ cmd: 'publish', topic: 'a', payload: 'x' }, 5)
    expect(written(4, (e) => e.publish(prepared, 0, false, 5)).toString('hex')).toBe('300400016178')
  })
})
