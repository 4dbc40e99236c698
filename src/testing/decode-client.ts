/**
 * Which packet of a client do these bytes hold?
 *
 * Each function gets a reader of one packet without its fixed header, which was checked before. It
 * returns the packet or throws a `ProtocolError` with the reason code and the clause.
 */

import type { Bytes } from '#bytes'
import { PUBLISHED_CODES, RELEASED_CODES } from '../codec/allowed-reasons.ts'
import type { Reader } from '../codec/reader.ts'
import { refuse } from '../codec/refuse.ts'
import { copyOf } from '../codec/slabs.ts'
import { ProtocolError } from '../errors.ts'
import type { ProtocolVersion, QoS } from '../protocol/facts.ts'
import type {
  AuthPacketOf,
  ConnectPacket,
  ConnectProperties,
  DisconnectPacket,
  PublishPacket,
  SubscribePacket,
  SubscriptionOptions,
  UnsubscribePacket,
  WillProperties,
} from '../protocol/packets.ts'
import { hex } from '../protocol/reason-codes.ts'
import { hasWildcard, topicFilterProblem } from '../protocol/topics.ts'
import type { MessageAck, PacketFromClient } from './packet-types.ts'

/** The reason codes that a client may send in DISCONNECT. (table 3-13) */
const DISCONNECT_CODES_OF_CLIENT: ReadonlySet<number> = new Set([
  ...[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
])
const ACKS = { 4: 'puback', 5: 'pubrec', 6: 'pubrel', 7: 'pubcomp' } as const

function rejectPacket(message: string, clause: string, reasonCode = 0x82): never {
  throw new ProtocolError(message, { reasonCode, clause })
}

/** Decodes any packet but CONNECT. */
export function decodeFromClient(
  first: number,
  reader: Reader,
  version: ProtocolVersion,
): PacketFromClient {
  const packet = decodeBody(first, reader, version)
  if (reader.at !== reader.end) {
    refuse('LEFT_OVER_BYTES', `a ${packet.cmd} has bytes left over behind its last field`)
  }
  return packet
}

function decodeBody(first: number, reader: Reader, version: ProtocolVersion): PacketFromClient {
  const type = first >> 4
  switch (type) {
    case 3:
      return decodePublish(first, reader, version)
    case 4:
    case 5:
    case 6:
    case 7:
      return decodeMessageAck(ACKS[type], reader, version)
    case 8:
      return decodeSubscribe(reader, version)
    case 10:
      return decodeUnsubscribe(reader, version)
    case 12:
      return { cmd: 'pingreq' }
    case 14:
      return decodeLeave(reader, version)
    default:
      return decodeAuthOfClient(reader)
  }
}

/** Decodes a CONNECT, which says which version the connection has. */
export function decodeConnect(reader: Reader): ConnectPacket {
  const protocolId = readText(reader, 'the Protocol Name')
  const protocolVersion = reader.byte('the Protocol Version')
  const isKnown =
    protocolId === 'MQTT'
      ? protocolVersion === 4 || protocolVersion === 5
      : protocolId === 'MQIsdp' && protocolVersion === 3
  if (!isKnown) {
    rejectPacket(`there is no ${protocolId} ${protocolVersion}`, 'MQTT-3.1.2-2', 0x84)
  }
  const version = protocolVersion as ProtocolVersion
  const flags = reader.byte('the Connect Flags')
  if ((flags & 1) !== 0) rejectPacket('the reserved connect flag is set', 'MQTT-3.1.2-3', 0x81)
  const keepalive = reader.uint16('the Keep Alive')
  const properties = version === 5 ? reader.properties('connect') : undefined
  if (
    properties?.['authenticationData'] !== undefined &&
    properties['authenticationMethod'] === undefined
  ) {
    rejectPacket('authenticationData without authenticationMethod', '3.1.2.11.10')
  }
  const packet: ConnectPacket = {
    cmd: 'connect',
    protocolId: protocolId as 'MQTT' | 'MQIsdp',
    protocolVersion: version,
    clean: (flags & 2) !== 0,
    keepalive,
    clientId: readText(reader, 'the Client Identifier'),
  }
  if (properties !== undefined) packet.properties = properties as ConnectProperties
  const will = decodeWill(flags, reader, version)
  if (will !== null) packet.will = will
  if ((flags & 0x80) !== 0) packet.username = readText(reader, 'the User Name')
  else if ((flags & 0x40) !== 0 && version !== 5) {
    rejectPacket('a password without a user name', 'MQTT-3.1.2-22')
  }
  if ((flags & 0x40) !== 0) packet.password = reader.binary('the Password')
  if (reader.at !== reader.end) refuse('LEFT_OVER_BYTES', 'a connect has bytes left over')
  return packet
}

function decodeWill(
  flags: number,
  reader: Reader,
  version: ProtocolVersion,
): NonNullable<ConnectPacket['will']> | null {
  const qos = (flags >> 3) & 3
  if ((flags & 4) === 0) {
    if ((flags & 0x38) === 0) return null
    return rejectPacket('a will QoS or will retain without a will', 'MQTT-3.1.2-11', 0x81)
  }
  if (qos === 3) rejectPacket('the will has QoS 3', 'MQTT-3.1.2-12', 0x81)
  const properties = version === 5 ? reader.properties('will') : undefined
  const topic = topicName(readText(reader, 'the Will Topic'))
  const payload = reader.binary('the Will Payload')
  const will: NonNullable<ConnectPacket['will']> = {
    topic,
    payload,
    qos: qos as QoS,
    retain: (flags & 0x20) !== 0,
  }
  if (properties !== undefined) will.properties = properties as WillProperties
  return will
}

function decodePublish(first: number, reader: Reader, version: ProtocolVersion): PublishPacket {
  const qos = (first >> 1) & 3
  const dup = (first & 8) !== 0
  if (qos === 3) refuse('QOS_3', 'a publish has QoS 3')
  // MQTT 3.1 does not forbid it.
  if (qos === 0 && dup && version !== 3) refuse('DUP_AT_QOS_0', 'a publish has DUP set at QoS 0')
  const topic = readText(reader, 'the Topic Name')
  const packet: PublishPacket = {
    cmd: 'publish',
    topic,
    payload: NO_PAYLOAD,
    qos: qos as QoS,
    dup,
    retain: (first & 1) !== 0,
  }
  if (qos > 0) packet.messageId = identifier(reader, 'publish')
  const properties = version === 5 ? reader.properties('publish') : undefined
  if (properties !== undefined) packet.properties = properties as PublishPacket['properties'] & {}
  if (properties?.['subscriptionIdentifier'] !== undefined) {
    rejectPacket('a client may not send a subscription identifier', 'MQTT-3.3.4-6')
  }
  if (topic !== '' || properties?.['topicAlias'] === undefined) topicName(topic)
  packet.payload = rest(reader)
  return packet
}

const NO_PAYLOAD = new Uint8Array(0)

/** @returns the bytes up to the end of the packet. */
function rest(reader: Reader): Bytes {
  const bytes = copyOf(reader.bytes, reader.at, reader.end)
  reader.at = reader.end
  return bytes
}

function decodeMessageAck(
  cmd: MessageAck['cmd'],
  reader: Reader,
  version: ProtocolVersion,
): MessageAck {
  const messageId = identifier(reader, cmd)
  if (version !== 5) return { cmd, messageId }
  const reasonCode = reader.at === reader.end ? 0 : reader.byte('the reason code')
  const table = cmd === 'puback' || cmd === 'pubrec' ? PUBLISHED_CODES : RELEASED_CODES
  if (table[reasonCode] === 0 || reasonCode === 0x10) {
    rejectPacket(`a client may not send ${hex(reasonCode)} in ${cmd}`, ACK_CODE_CLAUSES[cmd])
  }
  const properties = reader.at === reader.end ? undefined : reader.properties('ack')
  return properties === undefined
    ? { cmd, messageId, reasonCode }
    : { cmd, messageId, reasonCode, properties }
}

const ACK_CODE_CLAUSES: Record<MessageAck['cmd'], string> = {
  puback: 'MQTT-3.4.2-1',
  pubrec: 'MQTT-3.5.2-1',
  pubrel: 'MQTT-3.6.2-1',
  pubcomp: 'MQTT-3.7.2-1',
}

function decodeSubscribe(reader: Reader, version: ProtocolVersion): SubscribePacket {
  const messageId = identifier(reader, 'subscribe')
  const properties = version === 5 ? reader.properties('subscribe') : undefined
  const subscriptions: SubscriptionOptions[] = []
  while (reader.at < reader.end) {
    const topic = topicFilter(reader, version)
    subscriptions.push(decodedSubscription(topic, reader.byte('the Subscription Options'), version))
  }
  if (subscriptions.length === 0) rejectPacket('a subscribe without a filter', 'MQTT-3.8.3-2')
  const packet: SubscribePacket = { cmd: 'subscribe', messageId, subscriptions }
  if (properties !== undefined) packet.properties = properties
  return packet
}

function decodedSubscription(
  topic: string,
  options: number,
  version: ProtocolVersion,
): SubscriptionOptions {
  const qos = options & 3
  if (qos === 3) rejectPacket('a subscription has QoS 3', 'MQTT-3.8.3-4', 0x81)
  if (version !== 5) {
    // MQTT 3.1 does not say that the other bits are reserved.
    if (options > 2 && version === 4) {
      rejectPacket('reserved bits of the Requested QoS are set', 'MQTT-3-8.3-4', 0x81)
    }
    return { topic, qos: qos as QoS }
  }
  const rh = (options >> 4) & 3
  if (rh === 3) rejectPacket('Retain Handling is 3', '3.8.3.1')
  if (options > 0x3f) rejectPacket('reserved subscription options are set', 'MQTT-3.8.3-5', 0x81)
  const nl = (options & 4) !== 0
  if (nl && topic.startsWith('$share/')) {
    rejectPacket('No Local on a Shared Subscription', 'MQTT-3.8.3-4')
  }
  return { topic, qos: qos as QoS, nl, rap: (options & 8) !== 0, rh }
}

function decodeUnsubscribe(reader: Reader, version: ProtocolVersion): UnsubscribePacket {
  const messageId = identifier(reader, 'unsubscribe')
  const properties = version === 5 ? reader.properties('unsubscribe') : undefined
  const unsubscriptions: string[] = []
  while (reader.at < reader.end) unsubscriptions.push(topicFilter(reader, version))
  if (unsubscriptions.length === 0) rejectPacket('an unsubscribe without a filter', 'MQTT-3.10.3-2')
  const packet: UnsubscribePacket = { cmd: 'unsubscribe', messageId, unsubscriptions }
  if (properties !== undefined) packet.properties = properties
  return packet
}

/** Decodes a DISCONNECT, which has no body before MQTT 5. */
function decodeLeave(reader: Reader, version: ProtocolVersion): DisconnectPacket {
  if (version !== 5) return { cmd: 'disconnect' }
  const reasonCode = reader.at === reader.end ? 0 : reader.byte('the reason code')
  if (!DISCONNECT_CODES_OF_CLIENT.has(reasonCode)) {
    rejectPacket(`a client may not send ${hex(reasonCode)} in disconnect`, 'MQTT-3.14.2-1')
  }
  const properties = reader.at === reader.end ? undefined : reader.properties('disconnect')
  if (properties?.['serverReference'] !== undefined) {
    rejectPacket('a client may not send a server reference', '3.14.2.2.5')
  }
  return properties === undefined
    ? { cmd: 'disconnect', reasonCode }
    : { cmd: 'disconnect', reasonCode, properties }
}

function decodeAuthOfClient(reader: Reader): AuthPacketOf {
  const reasonCode = reader.at === reader.end ? 0 : reader.byte('the reason code')
  const properties = reader.at === reader.end ? undefined : reader.properties('auth')
  return properties === undefined
    ? { cmd: 'auth', reasonCode }
    : { cmd: 'auth', reasonCode, properties }
}

/** @returns a string. The strict reader refuses what is no text, so it never returns null. */
function readText(reader: Reader, field: string): string {
  return reader.string(field, 'PROPERTY_TEXT') ?? ''
}

function identifier(reader: Reader, cmd: string): number {
  const messageId = reader.uint16('the packet identifier')
  if (messageId === 0) rejectPacket(`a ${cmd} has the packet identifier 0`, 'MQTT-2.2.1-3')
  return messageId
}

function topicName(topic: string): string {
  if (topic === '') rejectPacket('a Topic Name is empty', 'MQTT-4.7.3-1')
  if (hasWildcard(topic)) {
    rejectPacket(`the Topic Name "${topic}" holds a wildcard`, 'MQTT-3.3.2-2', 0x90)
  }
  return topic
}

function topicFilter(reader: Reader, version: ProtocolVersion): string {
  const filter = readText(reader, 'a Topic Filter')
  const problem = topicFilterProblem(filter, version)
  if (problem !== null) rejectPacket(`the filter "${filter}" ${problem}`, '4.7.1', 0x8f)
  return filter
}
