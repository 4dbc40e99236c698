/**
 * Goal: the broker's codec and mqtt-packet read and write the same packets. Method: packets of a
 * client are drawn, encoded by mqtt-packet and decoded by the broker, in every cut; packets of the
 * broker are drawn, encoded by it and decoded by mqtt-packet. What a client may not send is a table
 * of bytes.
 */
import fc from 'fast-check'
import mqtt, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { ProtocolError } from '../../src/errors.ts'
import { ClientDecoder } from '../../src/testing/client-decoder.ts'
import { encodeFromBroker } from '../../src/testing/encode-server.ts'
import type { PacketFromBroker, PacketFromClient } from '../../src/testing/packet-types.ts'
import { cuts, hex, meaning, NO_LIMIT, theirs, type Version } from '../codec/support.ts'

const text = fc.string({ unit: 'binary', maxLength: 12 }).filter((s) => !s.includes('\u0000'))
const level = fc.stringMatching(/^[a-zä$ ]{0,6}$/)
const topic = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((name) => name !== '' && !name.startsWith('$share'))
const filter = fc.oneof(
  topic,
  topic.map((name) => `${name}/#`),
  topic.map((name) => `+/${name}`),
)
const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
const messageId = fc.integer({ min: 1, max: 65_535 })
const uint32 = fc.nat(0xffff_ffff)
// mqtt-packet forgets an empty value of a name that comes twice.
const word = text.filter((value) => value !== '')
const userProperties = fc.dictionary(
  fc.stringMatching(/^[a-z]{1,5}$/),
  fc.oneof(word, fc.array(word, { minLength: 2, maxLength: 3 })),
  { minKeys: 1, maxKeys: 3, noNullPrototype: true },
)

/** Some of these properties, or none at all. */
function some(model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object | undefined> {
  return fc
    .record({ ...model, userProperties }, { requiredKeys: [] })
    .map((found) => (Object.keys(found).length === 0 ? undefined : found))
}

const messageProperties = {
  payloadFormatIndicator: fc.boolean(),
  messageExpiryInterval: uint32,
  contentType: text,
  responseTopic: topic,
  correlationData: bytes,
}
const reasons = some({ reasonString: text })

const messages = (version: Version, more: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record({
    cmd: fc.constant('publish'),
    ...{ topic, payload: bytes, qos, dup: fc.constant(false), retain: fc.boolean(), messageId },
    properties: version === 5 ? some({ ...messageProperties, ...more }) : fc.constant(undefined),
  })

function acks(version: Version, fromBroker: boolean): fc.Arbitrary<object> {
  const codes = [0, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99, ...(fromBroker ? [0x10] : [])]
  const ack = (cmd: string, allowed: readonly number[]) =>
    fc.record({
      ...{ cmd: fc.constant(cmd), messageId },
      reasonCode: version === 5 ? fc.constantFrom(...allowed) : fc.constant(0),
      properties: version === 5 ? reasons : fc.constant(undefined),
    })
  return fc.oneof(
    ...['puback', 'pubrec'].map((cmd) => ack(cmd, codes)),
    ...['pubrel', 'pubcomp'].map((cmd) => ack(cmd, [0, 0x92])),
  )
}

function clientPackets(version: Version): fc.Arbitrary<object> {
  const only5 = (properties: fc.Arbitrary<object | undefined>) =>
    version === 5 ? properties : fc.constant(undefined)
  const subscription = fc.record({
    ...{ topic: filter, qos },
    ...(version === 5 ? { nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) } : {}),
  })
  const packets: fc.Arbitrary<object>[] = [
    messages(version, {}),
    acks(version, false),
    fc.record({
      ...{ cmd: fc.constant('subscribe'), messageId },
      subscriptions: fc.array(subscription, { minLength: 1, maxLength: 4 }),
      properties: only5(some({ subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }) })),
    }),
    fc.record({
      ...{ cmd: fc.constant('unsubscribe'), messageId },
      unsubscriptions: fc.array(filter, { minLength: 1, maxLength: 4 }),
      properties: only5(some({})),
    }),
    fc.constant({ cmd: 'pingreq' }),
    fc.record({
      cmd: fc.constant('disconnect'),
      reasonCode: version === 5 ? fc.constantFrom(0, 4, 0x81, 0x93) : fc.constant(undefined),
      properties: only5(some({ reasonString: text, sessionExpiryInterval: uint32 })),
    }),
  ]
  return fc.oneof(...packets)
}

function connects(version: Version): fc.Arbitrary<object> {
  const only5 = (properties: fc.Arbitrary<object | undefined>) =>
    version === 5 ? properties : fc.constant(undefined)
  const will = fc.record({
    ...{ topic, payload: bytes, qos, retain: fc.boolean() },
    properties: only5(some({ ...messageProperties, willDelayInterval: uint32 })),
  })
  return fc
    .record({
      cmd: fc.constant('connect'),
      protocolId: fc.constant(version === 3 ? 'MQIsdp' : 'MQTT'),
      protocolVersion: fc.constant(version),
      ...{ clean: fc.constant(true), keepalive: fc.nat(65_535), clientId: word },
      will: fc.option(will, { nil: undefined }),
      username: fc.option(text, { nil: undefined }),
      password: fc.option(bytes, { nil: undefined }),
      properties: only5(
        some({
          ...{ sessionExpiryInterval: uint32, maximumPacketSize: uint32.map((n) => n || 1) },
          ...{ receiveMaximum: messageId, topicAliasMaximum: fc.nat(65_535) },
          requestResponseInformation: fc.boolean(),
          requestProblemInformation: fc.boolean(),
        }),
      ),
    })
    .map(({ username, password, ...rest }) =>
      // mqtt-packet refuses a password without a user name, and an empty user name.
      username ? { ...rest, username, password } : rest,
    )
}

function brokerPackets(version: Version): fc.Arbitrary<object> {
  const only5 = (properties: fc.Arbitrary<object | undefined>) =>
    version === 5 ? properties : fc.constant(undefined)
  const code: Record<string, fc.Arbitrary<number>> = version === 5
    ? { reasonCode: fc.constantFrom(0, 0x87) }
    : { returnCode: fc.nat(5) }
  const packets: fc.Arbitrary<object>[] = [
    messages(version, {
      topicAlias: messageId,
      subscriptionIdentifier: fc.oneof(
        fc.integer({ min: 1, max: 268_435_455 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 2, maxLength: 3 }),
      ),
    }),
    acks(version, true),
    fc.record({
      ...{ cmd: fc.constant('connack'), sessionPresent: fc.boolean(), ...code },
      properties: only5(
        some({
          ...{ sessionExpiryInterval: uint32, receiveMaximum: messageId, reasonString: text },
          ...{ maximumQoS: fc.constantFrom(0, 1), retainAvailable: fc.boolean() },
          ...{ assignedClientIdentifier: text, serverKeepAlive: fc.nat(65_535) },
          ...{ wildcardSubscriptionAvailable: fc.boolean(), responseInformation: text },
          ...{ subscriptionIdentifiersAvailable: fc.boolean(), serverReference: text },
          ...{ sharedSubscriptionAvailable: fc.boolean(), topicAliasMaximum: fc.nat(65_535) },
        }),
      ),
    }),
    fc.record({
      ...{ cmd: fc.constant('suback'), messageId, properties: only5(reasons) },
      granted: fc.array(fc.constantFrom(0, 1, 2, 0x80), { minLength: 1, maxLength: 4 }),
    }),
    fc.record({
      ...{ cmd: fc.constant('unsuback'), messageId, properties: only5(reasons) },
      granted:
        version === 5
          ? fc.array(fc.constantFrom(0, 0x11, 0x80), { minLength: 1, maxLength: 4 })
          : fc.constant([]),
    }),
    fc.constant({ cmd: 'pingresp' }),
  ]
  if (version === 5) {
    packets.push(
      fc.record({
        cmd: fc.constant('disconnect'),
        reasonCode: fc.constantFrom(0, 0x8e),
        properties: reasons,
      }),
    )
  }
  return fc.oneof(...packets)
}

const CONNECT: Readonly<Record<Version, Buffer>> = {
  5: hex('10 0d 00 04 4d 51 54 54 05 02 00 00 00 00 00'),
  4: hex('10 0c 00 04 4d 51 54 54 04 02 00 00 00 00'),
  3: hex('10 0f 00 06 4d 51 49 73 64 70 03 02 00 00 00 01 61'),
}

/** @returns what the broker's decoder reads. */
function decoded(chunks: readonly Uint8Array[], limit = NO_LIMIT): PacketFromClient[] {
  const decoder = new ClientDecoder(limit)
  const packets: PacketFromClient[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let packet = decoder.next(); packet !== null; packet = decoder.next()) packets.push(packet)
  }
  return packets
}

/** What a packet says, in one order of its fields. */
function sorted(packet: object, version: Version): unknown {
  const { bridgeMode: _, ...fields } = meaning(packet, version) as Record<string, unknown>
  return byName(fields)
}

function byName(value: unknown): unknown {
  if (!Array.isArray(value)) {
    return value !== null && typeof value === 'object'
      ? Object.entries(value)
          .map(([name, item]) => [name, byName(item)])
          .toSorted()
      : value
  }
  const isObject = value.length > 0 && value.every((item) => Array.isArray(item))
  return isObject ? value.map(byName).toSorted() : value.map(byName)
}

/** @returns a drawn packet without the identifier that a PUBLISH at QoS 0 does not have. */
function sayings(packet: object): object {
  const { messageId: _, ...rest } = packet as Packet
  return rest.cmd === 'publish' && rest.qos === 0 ? rest : packet
}

describe.each([5, 4, 3] as const)('MQTT %d', (version) => {
  test('every packet of a client that mqtt-packet writes is read, in any cut', () => {
    fc.assert(
      fc.property(clientPackets(version), (packet) => {
        const theirBytes = mqtt.generate(sayings(packet) as Packet, { protocolVersion: version })
        for (const chunks of Object.values(cuts(Buffer.concat([CONNECT[version], theirBytes])))) {
          const [connect, read, ...more] = decoded(chunks)
          expect(connect!.cmd).toBe('connect')
          expect(more).toEqual([])
          expect(sorted(read!, version)).toEqual(sorted(theirs(theirBytes, version), version))
        }
      }),
      { numRuns: 300 },
    )
  })

  test('every CONNECT that mqtt-packet writes is read', () => {
    fc.assert(
      fc.property(connects(version), (packet) => {
        const theirBytes = mqtt.generate(packet as Packet, { protocolVersion: version })
        for (const chunks of Object.values(cuts(theirBytes))) {
          const [read] = decoded(chunks)
          expect(sorted(read!, version)).toEqual(sorted(theirs(theirBytes, version), version))
        }
      }),
      { numRuns: 200 },
    )
  })

  test('mqtt-packet reads what the broker writes', () => {
    fc.assert(
      fc.property(brokerPackets(version), (packet) => {
        const ours = encodeFromBroker(packet as PacketFromBroker, version)
        const theirPacket = theirs(ours, version)
        expect(theirPacket).not.toBeInstanceOf(Error)
        const read = { ...theirPacket, ...(version === 5 ? {} : { reasonCode: undefined }) }
        expect(sorted(read, version)).toEqual(sorted(sayings(packet), version))
      }),
      { numRuns: 300 },
    )
  })
})

describe('bytes that a client may not send', () => {
  test.each<[name: string, version: Version, bytes: string, reasonCode: number]>([
    ['a packet of type 0', 5, '00 00', 0x81],
    ['a CONNACK', 5, '20 02 00 00', 0x82],
    ['a second CONNECT', 4, '10 0c 00 04 4d 51 54 54 04 02 00 00 00 00', 0x82],
    ['a PUBLISH at QoS 3', 5, '36 06 00 01 61 00 01 00', 0x81],
    ['DUP at QoS 0', 4, '38 03 00 01 61', 0x82],
    ['a wildcard in a Topic Name', 4, '30 03 00 01 23', 0x90],
    ['an empty Topic Name', 4, '30 02 00 00', 0x82],
    ['an empty Topic Name without an alias', 5, '30 03 00 00 00', 0x82],
    ['the packet identifier 0', 4, '32 05 00 01 61 00 00', 0x82],
    ['a subscription identifier in PUBLISH', 5, '30 06 00 01 61 02 0b 01', 0x82],
    ['a topic that is no UTF-8', 4, '30 03 00 01 ff', 0x81],
    ['wrong flags in SUBSCRIBE', 4, '80 06 00 01 00 01 61 00', 0x81],
    ['a SUBSCRIBE without a filter', 4, '82 02 00 01', 0x82],
    ['a SUBSCRIBE at QoS 3', 4, '82 06 00 01 00 01 61 03', 0x81],
    ['Retain Handling 3', 5, '82 07 00 01 00 00 01 61 30', 0x82],
    ['reserved subscription options', 5, '82 07 00 01 00 00 01 61 40', 0x81],
    ['a filter that is none', 4, '82 07 00 01 00 02 23 61 00', 0x8f],
    [
      'No Local on a shared subscription',
      5,
      '82 10 00 01 00 00 0a 24 73 68 61 72 65 2f 67 2f 61 04',
      0x82,
    ],
    ['an UNSUBSCRIBE without a filter', 4, 'a2 02 00 01', 0x82],
    ['a PINGREQ with a body', 4, 'c0 01 00', 0x81],
    ['a code of servers in PUBACK', 5, '40 03 00 01 10', 0x82],
    ['a code of servers in DISCONNECT', 5, 'e0 01 8e', 0x82],
    ['AUTH before MQTT 5', 4, 'f0 00', 0x81],
    ['a property of another packet', 5, '30 08 00 01 61 03 21 00 01 00', 0x81],
    ['a property twice', 5, '30 08 00 01 61 04 01 00 01 00', 0x82],
    ['a padded Remaining Length', 4, 'c0 80 00', 0x81],
    ['a Remaining Length of five bytes', 4, '30 ff ff ff ff 01', 0x81],
    ['a packet of 101 bytes', 4, '30 63 00 01', 0x95],
    ['a DISCONNECT with a body', 4, 'e0 01 00', 0x81],
  ])('%s in MQTT %d', (_, version, bytesOf, reasonCode) => {
    const whole = Buffer.concat([CONNECT[version], hex(bytesOf)])
    for (const chunks of Object.values(cuts(whole))) {
      expect(refusal(chunks, 100)).toMatchObject({ name: 'ProtocolError', reasonCode })
    }
  })

  test.each<[name: string, bytes: string, reasonCode: number]>([
    ['another packet first', 'c0 00', 0x82],
    ['an unknown version', '10 0c 00 04 4d 51 54 54 06 02 00 00 00 00', 0x84],
    ['an unknown protocol', '10 0c 00 04 4d 51 54 55 04 02 00 00 00 00', 0x84],
    ['the reserved flag', '10 0c 00 04 4d 51 54 54 04 03 00 00 00 00', 0x81],
    ['a will QoS without a will', '10 0c 00 04 4d 51 54 54 04 0a 00 00 00 00', 0x81],
    ['a will at QoS 3', '10 10 00 04 4d 51 54 54 04 1e 00 00 00 00 00 01 61 00 00', 0x81],
    ['a password without a user name', '10 0e 00 04 4d 51 54 54 04 42 00 00 00 00 00 00', 0x82],
    ['bytes left over', '10 0d 00 04 4d 51 54 54 04 02 00 00 00 00 00', 0x81],
  ])('CONNECT: %s', (_, bytesOf, reasonCode) => {
    expect(refusal([hex(bytesOf)])).toMatchObject({ name: 'ProtocolError', reasonCode })
  })
})

function refusal(chunks: readonly Uint8Array[], limit = NO_LIMIT): ProtocolError | null {
  try {
    decoded(chunks, limit)
    return null
  } catch (error) {
    return error as ProtocolError
  }
}
