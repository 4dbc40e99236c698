/**
 * Which bytes are a CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT or AUTH?
 *
 * The packets are objects as mqtt-packet has them. mqtt-packet itself does not encode them here;
 * the tests compare its bytes with ours. The first call of its `generate` fills a cache of 65,536
 * buffers, which takes 30 ms and 8 MB: more than everything else up to the CONNACK. It also refuses
 * a password without a user name, which MQTT 5 allows; it takes no Uint8Array; and its DISCONNECT
 * is longer than necessary, which matters if the server's Maximum Packet Size is very small.
 */

import { allocatePooled, isBytes } from '#bytes'
import { assert, UsageError, unreachable } from '../errors.ts'
import type {
  AuthPacketOf,
  ClientPacket,
  ConnectPacket,
  DisconnectPacket,
  SubscribePacket,
  UnsubscribePacket,
} from '../protocol/packets.ts'
import { packetBytes, REMAINING_LENGTH_MAX } from '../protocol/sizes.ts'
import { topicNameProblem } from '../protocol/topics.ts'
import type { PropertyPlace } from './properties.ts'
import { checkedBinary, checkedString, encodeProperties, Writer, writeVarint } from './writer.ts'

type Version = 3 | 4 | 5

export function encodeRare(packet: ClientPacket, version: Version): Uint8Array {
  switch (packet.cmd) {
    case 'connect':
      return framed(0x10, connectBody(packet, version))
    case 'subscribe':
      return framed(0x82, subscribeBody(packet, version))
    case 'unsubscribe':
      return framed(0xa2, unsubscribeBody(packet, version))
    case 'pingreq':
      return Uint8Array.of(0xc0, 0)
    case 'disconnect':
      return framed(0xe0, version === 5 ? reasonBody(packet) : NO_BODY)
    case 'auth':
      assert(version === 5, 'AUTH exists in MQTT 5 only')
      return framed(0xf0, reasonBody(packet))
    default:
      return unreachable(packet)
  }
}

const NO_BODY = new Uint8Array(0)

/** @returns the packet with this first byte and this body. */
function framed(first: number, body: Uint8Array): Uint8Array {
  if (body.length > REMAINING_LENGTH_MAX) {
    throw new UsageError(
      `the packet has ${body.length} bytes; MQTT allows ${REMAINING_LENGTH_MAX} [MQTT-1.5.5-1]`,
    )
  }
  const bytes = allocatePooled(packetBytes(body.length))
  bytes[0] = first
  bytes.set(body, writeVarint(bytes, 1, body.length))
  return bytes
}

function connectBody(packet: ConnectPacket, version: Version): Uint8Array {
  const { will, username, password, clientId } = packet
  const writer = new Writer()
  writer.string(version === 3 ? 'MQIsdp' : 'MQTT')
  writer.byte(version)
  if (password !== undefined && username === undefined && version !== 5) {
    throw new UsageError('a password needs a user name before MQTT 5 [MQTT-3.1.2-22]')
  }
  // Without a will its QoS and its retain flag are 0. [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  const willFlags = will ? 0x04 | ((will.qos ?? 0) << 3) | (will.retain ? 0x20 : 0) : 0
  const userFlags = (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40)
  writer.byte(userFlags | willFlags | (packet.clean === false ? 0 : 0x02))
  writer.uint16(packet.keepalive ?? 0)
  writeProperties(writer, packet.properties, 'connect', version)
  writer.string(checkedString(clientId ?? '', 'clientId'))
  if (will) {
    writeProperties(writer, will.properties, 'will', version)
    const problem = topicNameProblem(checkedString(will.topic, 'will.topic'))
    if (problem !== null) throw new UsageError(`will.topic ${problem}`)
    writer.string(will.topic)
    writer.binary(checkedBinary(will.payload ?? NO_BODY, 'will.payload'))
  }
  if (username !== undefined) writer.string(checkedString(username, 'username'))
  if (password !== undefined) {
    writer.binary(isBytes(password) ? password : checkedBinary(password, 'password'))
  }
  return writer.take()
}

function subscribeBody(packet: SubscribePacket, version: Version): Uint8Array {
  const writer = new Writer()
  writer.uint16(messageIdOf(packet))
  writeProperties(writer, packet.properties, 'subscribe', version)
  for (const { topic, qos, nl, rap, rh } of packet.subscriptions) {
    writer.string(topic)
    // The other bits are reserved. [MQTT-3.8.3-4] [MQTT-3.8.3-5]
    writer.byte(version === 5 ? qos | (nl ? 4 : 0) | (rap ? 8 : 0) | ((rh ?? 0) << 4) : qos)
  }
  return writer.take()
}

function unsubscribeBody(packet: UnsubscribePacket, version: Version): Uint8Array {
  const writer = new Writer()
  writer.uint16(messageIdOf(packet))
  writeProperties(writer, packet.properties, 'unsubscribe', version)
  for (const filter of packet.unsubscriptions) writer.string(filter)
  return writer.take()
}

/**
 * A body of a reason code and properties. Code 0 without properties is an empty body, and a
 * DISCONNECT may leave out the properties alone. (3.14.2.1, 3.15.2.1)
 */
function reasonBody(packet: DisconnectPacket | AuthPacketOf): Uint8Array {
  const code = packet.reasonCode ?? 0
  const properties = encodeProperties(packet.properties, packet.cmd, `${packet.cmd}.properties`)
  if (properties === null) {
    if (code === 0) return NO_BODY
    return packet.cmd === 'disconnect' ? Uint8Array.of(code) : Uint8Array.of(code, 0)
  }
  const writer = new Writer()
  writer.byte(code)
  writer.varint(properties.length)
  writer.raw(properties)
  return writer.take()
}

function writeProperties(
  writer: Writer,
  properties: unknown,
  place: PropertyPlace,
  version: Version,
): void {
  if (version !== 5) return
  const bytes = encodeProperties(properties, place, `${place}.properties`)
  writer.varint(bytes === null ? 0 : bytes.length)
  if (bytes !== null) writer.raw(bytes)
}

function messageIdOf(packet: SubscribePacket | UnsubscribePacket): number {
  const id = packet.messageId ?? 0
  assert(id > 0 && id <= 65_535, `a ${packet.cmd} needs a packet identifier [MQTT-2.2.1-3]`)
  return id
}
