/**
 * How are the packets of a server decoded, except PUBLISH?
 *
 * Each function gets `bytes[at, end)`, which is one packet without its fixed header; the fixed
 * header was checked before. It returns the packet or refuses it.
 *
 * A packet that answers a request has `request: undefined`. The loop sets the field later. It
 * exists from the start, so that V8 does not have to change the shape of the object.
 */
import { type Bytes, NO_BYTES } from '#bytes'
import type {
  AckPacket,
  Properties,
  QoS,
  ReasonPacket,
  ReceivedConnack,
  ReceivedPublish,
  SubscriptionAckPacket,
} from '../protocol/facts.ts'
import * as reasons from './allowed-reasons.ts'
import { Reader } from './reader.ts'
import { refuse, refuseCut, type Tolerant } from './refuse.ts'

type AckCmd = AckPacket['cmd']

export function decodeAck(
  cmd: AckCmd,
  version: number,
  bytes: Bytes,
  at: number,
  end: number,
  tolerant: Tolerant,
): AckPacket {
  if (end - at < 2) refuseCut(`a ${cmd}`)
  const messageId = (bytes[at]! << 8) | bytes[at + 1]!
  if (messageId === 0) refuseZeroId(cmd)
  let reasonCode = 0
  let properties: Properties | undefined
  if (end - at > 2) {
    reasonCode = bytes[at + 2]!
    if (reasonCode !== 0) {
      const published = cmd === 'puback' || cmd === 'pubrec'
      const table = published ? reasons.PUBLISHED_CODES : reasons.RELEASED_CODES
      reasons.checkReason(table, reasonCode, ACK_CLAUSES[cmd], cmd, tolerant)
    }
    if (end - at > 3 && version === 5) {
      const reader = new Reader(bytes, at + 3, end, tolerant)
      properties = reader.properties('ack')
      if (reader.at !== end) leftOver(cmd, tolerant)
    }
  }
  return (
    cmd === 'pubrel'
      ? { cmd, messageId, reasonCode, properties }
      : { cmd, messageId, reasonCode, properties, request: undefined }
  ) as AckPacket
}

const ACK_CLAUSES: Record<AckCmd, string> = {
  puback: 'MQTT-3.4.2-1',
  pubrec: 'MQTT-3.5.2-1',
  pubrel: 'MQTT-3.6.2-1',
  pubcomp: 'MQTT-3.7.2-1',
}

export function decodeConnack(
  version: number,
  bytes: Bytes,
  at: number,
  end: number,
  tolerant: Tolerant,
): ReceivedConnack {
  if (end - at < 2) refuseCut('a connack')
  const flags = bytes[at]!
  const code = bytes[at + 1]!
  if (flags > 1) tolerant.tolerate('CONNACK_FLAGS', 'a connack has reserved flags set')
  const sessionPresent = (flags & 1) === 1
  if (version !== 5) {
    checkConnackCode(reasons.CONNACK_CODES_311, code, tolerant)
    return { cmd: 'connack', sessionPresent, returnCode: code }
  }
  if (end - at === 2 && flags === 0 && code === 1) {
    // A server that supports only 3.1.1 refuses version 5 with the return code 1 of 3.1.1, which
    // means the same as 0x84 in MQTT 5. (malformed input C12)
    return { cmd: 'connack', sessionPresent, reasonCode: 0x84, returnCode: 1 }
  }
  checkConnackCode(reasons.CONNACK_CODES, code, tolerant)
  const reader = new Reader(bytes, at + 2, end, tolerant)
  let properties = reader.properties('connack')
  if (reader.at !== end) leftOver('connack', tolerant)
  if (hasDataWithoutMethod(properties)) {
    const what = 'a connack has authenticationData without a method'
    tolerant.tolerate('UNASKED_AUTHENTICATION', what, '3.15.2.2.3')
    properties = without(properties, 'authenticationData')
  }
  return (
    properties === undefined
      ? { cmd: 'connack', sessionPresent, reasonCode: code }
      : { cmd: 'connack', sessionPresent, reasonCode: code, properties }
  ) satisfies ReceivedConnack
}

function checkConnackCode(table: reasons.ReasonTable, code: number, tolerant: Tolerant): void {
  const kind = 'UNKNOWN_CONNACK_CODE'
  reasons.checkReason(table, code, 'MQTT-3.2.2-8', 'connack', tolerant, kind)
}

export function decodeSubscriptionAck(
  cmd: SubscriptionAckPacket['cmd'],
  version: number,
  bytes: Bytes,
  at: number,
  end: number,
  tolerant: Tolerant,
): SubscriptionAckPacket {
  const reader = new Reader(bytes, at, end, tolerant)
  const messageId = reader.uint16(`a ${cmd}`)
  if (messageId === 0) refuseZeroId(cmd)
  const granted: number[] = []
  let properties: Properties | undefined
  if (version === 5 && cmd === 'unsuback' && reader.at === end) {
    tolerant.tolerate('SHORT_UNSUBACK', 'the packet ends inside the Property Length')
  } else {
    if (version === 5) properties = reader.properties(cmd)
    if (cmd === 'suback' || version === 5) {
      if (reader.at === end) noReasonCodes(cmd, tolerant)
      readCodes(cmd, version, reader, granted, tolerant)
    }
  }
  return { cmd, messageId, granted, properties, request: undefined } as SubscriptionAckPacket
}

function noReasonCodes(cmd: SubscriptionAckPacket['cmd'], tolerant: Tolerant): void {
  const clause = cmd === 'suback' ? 'MQTT-3.8.4-6' : 'MQTT-3.11.3-1'
  tolerant.tolerate('MISSING_REASON_CODES', `a ${cmd} has no reason code`, clause)
}

function readCodes(
  cmd: SubscriptionAckPacket['cmd'],
  version: number,
  { bytes, at, end }: Reader,
  granted: number[],
  tolerant: Tolerant,
): void {
  const table =
    cmd === 'unsuback'
      ? reasons.UNSUBACK_CODES
      : version === 5
        ? reasons.SUBACK_CODES
        : reasons.SUBACK_CODES_311
  const clause = cmd === 'suback' ? 'MQTT-3.9.3-2' : 'MQTT-3.11.3-2'
  for (let i = at; i < end; i++) {
    reasons.checkReason(table, bytes[i]!, clause, cmd, tolerant)
    granted.push(bytes[i]!)
  }
}

/** DISCONNECT has neither code nor properties before MQTT 5. A server sends none then. */
export function decodeDisconnect(
  bytes: Bytes,
  at: number,
  end: number,
  tolerant: Tolerant,
): ReasonPacket {
  // 3.14.2.1: without a body the code is 0x00; without a second byte there are no properties.
  const reasonCode = end > at ? bytes[at]! : 0
  const { DISCONNECT_CODES } = reasons
  reasons.checkReason(DISCONNECT_CODES, reasonCode, 'MQTT-3.14.2-1', 'disconnect', tolerant)
  const properties = propertiesAt(bytes, at + 1, end, 'disconnect', tolerant)
  if (properties?.['sessionExpiryInterval'] === undefined) {
    return reasonPacket('disconnect', reasonCode, properties)
  }
  const what = 'a server may not send sessionExpiryInterval here'
  tolerant.tolerate('SESSION_EXPIRY_IN_DISCONNECT', what)
  const others = without(properties, 'sessionExpiryInterval')
  return reasonPacket('disconnect', reasonCode, others)
}

export function decodeAuth(
  bytes: Bytes,
  at: number,
  end: number,
  tolerant: Tolerant,
): ReasonPacket {
  // 3.15.2.1: an empty AUTH means 0x00 without properties. The reducers know whether it may come
  // now.
  if (at === end) return reasonPacket('auth', 0, undefined)
  const reasonCode = bytes[at]!
  const refusal = reasonCode >= 0x80
  const kind = refusal ? 'UNKNOWN_REASON_CODE' : 'AUTH_CODE'
  reasons.checkReason(reasons.AUTH_CODES, reasonCode, 'MQTT-3.15.2-1', 'auth', tolerant, kind)
  if (end - at === 1 && !refusal) refuseCut('an auth')
  const properties = propertiesAt(bytes, at + 1, end, 'auth', tolerant)
  if (hasDataWithoutMethod(properties)) {
    refuse('AUTH_WITHOUT_METHOD', 'an auth has authenticationData without a method', '3.15.2.2.3')
  }
  if (properties?.['authenticationMethod'] === undefined && !refusal) {
    refuse('AUTH_WITHOUT_METHOD', 'an auth has no authenticationMethod')
  }
  return reasonPacket('auth', reasonCode, properties)
}

function reasonPacket(
  cmd: ReasonPacket['cmd'],
  reasonCode: number,
  properties: Properties | undefined,
): ReasonPacket {
  return properties === undefined ? { cmd, reasonCode } : { cmd, reasonCode, properties }
}

function propertiesAt(
  bytes: Bytes,
  at: number,
  end: number,
  cmd: ReasonPacket['cmd'],
  tolerant: Tolerant,
): Properties | undefined {
  if (at >= end) return undefined
  const reader = new Reader(bytes, at, end, tolerant)
  const properties = reader.properties(cmd)
  if (reader.at !== end) leftOver(cmd, tolerant)
  return properties
}

function without(properties: Properties | undefined, skipped: string): Properties {
  return Object.fromEntries(Object.entries(properties ?? {}).filter(([name]) => name !== skipped))
}

function hasDataWithoutMethod(properties: Properties | undefined): boolean {
  if (properties?.['authenticationData'] === undefined) return false
  return properties['authenticationMethod'] === undefined
}

/** Handles bytes behind the last field of a packet. */
function leftOver(cmd: string, tolerant: Tolerant): void {
  tolerant.tolerate('LEFT_OVER_BYTES', `a ${cmd} has bytes left over behind its last field`)
}

/** Refuses the packet identifier 0 [MQTT-2.2.1-4]. */
export function refuseZeroId(cmd: string): never {
  return refuse('ZERO_IDENTIFIER', `a ${cmd} has the packet identifier 0`)
}

/** @returns a message that is acknowledged and not delivered. Its payload is of no use. */
export function unreadable(
  qos: QoS,
  messageId: number | undefined,
  properties: Properties | undefined,
): ReceivedPublish {
  const packet = { cmd: 'publish', topic: '', payload: NO_BYTES, qos, dup: false, retain: false }
  return { ...packet, messageId, properties, unreadable: true } as ReceivedPublish
}
