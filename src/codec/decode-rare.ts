/**
 * How are the packets of a server decoded, except PUBLISH?
 *
 * Each function gets `bytes[at, end)`, which is one packet without its fixed header; the fixed
 * header was checked before. It returns the packet or refuses it.
 *
 * A packet that answers a request has `request: undefined`. The loop sets the field later. It
 * exists from the start, so that V8 does not have to change the shape of the object.
 */
import type { Bytes } from '../platform/bytes.ts'
import type {
  AckPacket,
  Properties,
  ReasonPacket,
  ReceivedConnack,
  SubscriptionAckPacket,
} from '../protocol/facts.ts'
import * as reasons from './allowed-reasons.ts'
import { Reader } from './reader.ts'
import { MALFORMED, PROTOCOL_ERROR, refuse, refuseCut } from './refuse.ts'

type AckCmd = AckPacket['cmd']

export function decodeAck(cmd: AckCmd, bytes: Bytes, at: number, end: number): AckPacket {
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
      reasons.checkReason(table, reasonCode, ACK_CLAUSES[cmd], cmd)
    }
    if (end - at > 3) {
      const reader = new Reader(bytes, at + 3, end)
      properties = reader.properties('ack')
      if (reader.at !== end) refuseLeftOver(cmd)
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
): ReceivedConnack {
  if (end - at < 2) refuseCut('a connack')
  const flags = bytes[at]!
  const code = bytes[at + 1]!
  if (flags > 1) refuse(MALFORMED, 'MQTT-3.2.2-1', 'a connack has reserved flags set')
  const sessionPresent = flags === 1
  if (version !== 5) {
    reasons.checkReason(reasons.CONNACK_CODES_311, code, 'MQTT-3.2.2-8', 'connack')
    return { cmd: 'connack', sessionPresent, returnCode: code }
  }
  if (end - at === 2 && flags === 0 && code === 1) {
    // A server that supports only 3.1.1 refuses version 5 with the return code 1 of 3.1.1, which
    // means the same as 0x84 in MQTT 5. (malformed input C12)
    return { cmd: 'connack', sessionPresent, reasonCode: 0x84, returnCode: 1 }
  }
  reasons.checkReason(reasons.CONNACK_CODES, code, 'MQTT-3.2.2-8', 'connack')
  const reader = new Reader(bytes, at + 2, end)
  const properties = reader.properties('connack')
  if (reader.at !== end) refuseLeftOver('connack')
  checkAuthentication(properties, 'connack')
  return (
    properties === undefined
      ? { cmd: 'connack', sessionPresent, reasonCode: code }
      : { cmd: 'connack', sessionPresent, reasonCode: code, properties }
  ) satisfies ReceivedConnack
}

export function decodeSubscriptionAck(
  cmd: SubscriptionAckPacket['cmd'],
  version: number,
  bytes: Bytes,
  at: number,
  end: number,
): SubscriptionAckPacket {
  const reader = new Reader(bytes, at, end)
  const messageId = reader.uint16(`a ${cmd}`)
  if (messageId === 0) refuseZeroId(cmd)
  const properties = version === 5 ? reader.properties(cmd) : undefined
  const granted: number[] = []
  if (cmd === 'suback' || version === 5) {
    const table =
      cmd === 'unsuback'
        ? reasons.UNSUBACK_CODES
        : version === 5
          ? reasons.SUBACK_CODES
          : reasons.SUBACK_CODES_311
    const clause = cmd === 'suback' ? 'MQTT-3.9.3-2' : 'MQTT-3.11.3-2'
    if (reader.at === end) {
      const counts = cmd === 'suback' ? 'MQTT-3.8.4-6' : 'MQTT-3.11.3-1'
      refuse(PROTOCOL_ERROR, counts, `a ${cmd} has no reason code`)
    }
    for (let i = reader.at; i < end; i++) {
      reasons.checkReason(table, bytes[i]!, clause, cmd)
      granted.push(bytes[i]!)
    }
  }
  return { cmd, messageId, granted, properties, request: undefined } as SubscriptionAckPacket
}

export function decodeDisconnect(bytes: Bytes, at: number, end: number): ReasonPacket {
  // 3.14.2.1: without a body the code is 0x00; without a second byte there are no properties.
  const reasonCode = end > at ? bytes[at]! : 0
  reasons.checkReason(reasons.DISCONNECT_CODES, reasonCode, 'MQTT-3.14.2-1', 'disconnect')
  const properties = propertiesAt(bytes, at + 1, end, 'disconnect')
  if (properties?.sessionExpiryInterval !== undefined) {
    refuse(PROTOCOL_ERROR, 'MQTT-3.14.2-2', 'a server may not send sessionExpiryInterval here')
  }
  return reasonPacket('disconnect', reasonCode, properties)
}

export function decodeAuth(bytes: Bytes, at: number, end: number): ReasonPacket {
  // 3.15.2.1: an empty AUTH means 0x00 without properties. The reducers know whether it may come
  // now.
  if (at === end) return reasonPacket('auth', 0, undefined)
  const reasonCode = bytes[at]!
  reasons.checkReason(reasons.AUTH_CODES, reasonCode, 'MQTT-3.15.2-1', 'auth')
  if (end - at === 1) refuseCut('an auth')
  const properties = propertiesAt(bytes, at + 1, end, 'auth')
  checkAuthentication(properties, 'auth')
  if (properties?.authenticationMethod === undefined) {
    refuse(PROTOCOL_ERROR, '3.15.2.2.2', 'an auth has no authenticationMethod')
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
): Properties | undefined {
  if (at >= end) return undefined
  const reader = new Reader(bytes, at, end)
  const properties = reader.properties(cmd)
  if (reader.at !== end) refuseLeftOver(cmd)
  return properties
}

function checkAuthentication(properties: Properties | undefined, cmd: string): void {
  if (properties?.authenticationData === undefined) return
  if (properties.authenticationMethod === undefined) {
    refuse(PROTOCOL_ERROR, '3.15.2.2.3', `a ${cmd} has authenticationData without a method`)
  }
}

/** Refuses a packet that has bytes behind its last field. */
export function refuseLeftOver(cmd: string): never {
  return refuse(MALFORMED, '2.1.4', `a ${cmd} has bytes left over behind its last field`)
}

/** Refuses the packet identifier 0 [MQTT-2.2.1-4]. */
export function refuseZeroId(cmd: string): never {
  return refuse(PROTOCOL_ERROR, 'MQTT-2.2.1-4', `a ${cmd} has the packet identifier 0`)
}
