/**
 * Which bytes are a packet of the broker?
 *
 * Reason codes and properties are written in MQTT 5 only. A packet of the test's own
 * (`broker.send`) goes through the same code, so its strings and properties are checked as those of
 * a request are; bytes that no encoder writes are sent as bytes.
 */

import { allocatePooled } from '#bytes'
import type { PropertyPlace } from '../codec/properties.ts'
import { encodeProperties, Writer, writeVarint } from '../codec/writer.ts'
import { unreachable } from '../errors.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import type { PublishPacket } from '../protocol/packets.ts'
import { packetBytes } from '../protocol/sizes.ts'
import type { PacketFromBroker } from './packet-types.ts'

/** The identifier of Subscription Identifier, and of Topic Alias. */
const SUBSCRIPTION_ID = 0x0b
const TOPIC_ALIAS_ID = 0x23

/** @returns the bytes of a packet in the given version. */
export function encodeFromBroker(packet: PacketFromBroker, version: ProtocolVersion): Uint8Array {
  const writer = new Writer()
  writeBody(writer, packet, version)
  const body = writer.take()
  const bytes = allocatePooled(packetBytes(body.length))
  bytes[0] = firstByteOf(packet)
  bytes.set(body, writeVarint(bytes, 1, body.length))
  return bytes
}

const FIRST_BYTE = {
  connack: 0x20,
  publish: 0x30,
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
  suback: 0x90,
  unsuback: 0xb0,
  pingresp: 0xd0,
  disconnect: 0xe0,
  auth: 0xf0,
} as const satisfies Record<PacketFromBroker['cmd'], number>

function firstByteOf(packet: PacketFromBroker): number {
  const first = FIRST_BYTE[packet.cmd]
  if (packet.cmd !== 'publish') return first
  return first | (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0)
}

function writeBody(writer: Writer, packet: PacketFromBroker, version: ProtocolVersion): void {
  switch (packet.cmd) {
    case 'connack':
      writer.byte(packet.sessionPresent ? 1 : 0)
      writer.byte(version === 5 ? (packet.reasonCode ?? 0) : (packet.returnCode ?? 0))
      if (version === 5) writeAll(writer, packet.properties, 'connack')
      return
    case 'publish':
      return writePublish(writer, packet, version)
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      writer.uint16(packet.messageId ?? 0)
      if (version === 5) writeReason(writer, packet.reasonCode ?? 0, packet.properties, 'ack')
      return
    case 'suback':
    case 'unsuback':
      writer.uint16(packet.messageId ?? 0)
      if (version === 5) writeAll(writer, packet.properties, packet.cmd)
      if (version === 5 || packet.cmd === 'suback')
        for (const code of packet.granted) writer.byte(code)
      return
    case 'pingresp':
      return
    case 'disconnect':
    case 'auth':
      if (version !== 5) return
      return writeReason(writer, packet.reasonCode ?? 0, packet.properties, packet.cmd)
    default:
      return unreachable(packet)
  }
}

function writePublish(writer: Writer, packet: PublishPacket, version: ProtocolVersion): void {
  writer.string(packet.topic)
  if (packet.qos > 0) writer.uint16(packet.messageId ?? 0)
  if (version === 5) {
    const { subscriptionIdentifier, topicAlias, ...others } = packet.properties ?? {}
    const numbers = new Writer()
    for (const id of listOf(subscriptionIdentifier)) {
      numbers.byte(SUBSCRIPTION_ID)
      numbers.varint(id)
    }
    if (topicAlias !== undefined) {
      numbers.byte(TOPIC_ALIAS_ID)
      numbers.uint16(topicAlias)
    }
    const first = numbers.take()
    const second = encodeProperties(others, 'publish', 'publish.properties')
    writer.varint(first.length + (second?.length ?? 0))
    writer.raw(first)
    if (second !== null) writer.raw(second)
  }
  writer.raw(packet.payload)
}

function listOf(value: number | number[] | undefined): readonly number[] {
  return value === undefined ? [] : typeof value === 'number' ? [value] : value
}

/**
 * Writes a reason code and properties; what follows from the length is left out. A DISCONNECT has
 * its Property Length all the same: mqtt-packet, and so MQTT.js, reads on behind one without it.
 */
function writeReason(
  writer: Writer,
  reasonCode: number,
  properties: unknown,
  place: PropertyPlace,
): void {
  const bytes = encodeProperties(properties, place, `${place}.properties`)
  if (bytes === null && reasonCode === 0) return
  writer.byte(reasonCode)
  if (bytes === null && place === 'ack') return
  writer.varint(bytes?.length ?? 0)
  if (bytes !== null) writer.raw(bytes)
}

function writeAll(writer: Writer, properties: unknown, place: PropertyPlace): void {
  const bytes = encodeProperties(properties, place, `${place}.properties`)
  writer.varint(bytes?.length ?? 0)
  if (bytes !== null) writer.raw(bytes)
}
