/**
 * The packets whose contents come from options and the session: CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT.
 */
import type { IConnectPacket, IDisconnectPacket, Packet } from 'mqtt-packet'
import type { Effect } from '../protocol/contract.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import type { Base64 } from '../requests/vocabulary.ts'
import { credentials } from './endpoint.ts'
import type { Resolved, WillOptions } from './options.ts'

/** Said only where it is less: the most that a fixed header can say needs no words. */
const MAXIMUM_PACKET_SIZE = 268_435_455

export function connectPacket(
  { options, config }: Pick<Resolved, 'options' | 'config'>,
  clientId: string,
  protocolVersion: ProtocolVersion,
  clean: boolean,
  authenticationData: Buffer | null = null,
): IConnectPacket {
  const { maximumPacketSize, topicAliasMaximum, receiveMaximum, sessionExpiryInterval } = config
  const { authenticationMethod } = config
  const properties = {
    ...options.properties,
    ...(authenticationMethod === null ? {} : { authenticationMethod }),
    ...(authenticationData === null ? {} : { authenticationData }),
    sessionExpiryInterval,
    receiveMaximum,
    ...(maximumPacketSize < MAXIMUM_PACKET_SIZE ? { maximumPacketSize } : {}),
    ...(topicAliasMaximum > 0 ? { topicAliasMaximum } : {}),
  }
  const { username, password } = credentials(options)
  return {
    cmd: 'connect',
    protocolId: protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion,
    clientId,
    clean,
    keepalive: config.keepAlive,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password as string) }),
    ...(options.will === undefined ? {} : { will: willOf(options.will) }),
    ...(protocolVersion === 5 ? { properties } : {}),
  }
}

function willOf({
  topic,
  payload,
  qos,
  retain,
  properties,
}: WillOptions): NonNullable<IConnectPacket['will']> {
  return {
    topic,
    payload: bytesOf(payload ?? ''),
    qos: qos ?? 0,
    retain: retain ?? false,
    ...(properties === undefined ? {} : { properties }),
  }
}

function bytesOf(value: string | Uint8Array | Base64): Buffer {
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.base64, 'base64')
}

export function subscriptionPacket({
  type,
  messageId,
  facts,
}: Extract<Effect, { type: 'subscribe' | 'unsubscribe' }>): Packet {
  const list =
    type === 'subscribe'
      ? { cmd: type, messageId, subscriptions: [...facts.subscriptions] }
      : { cmd: type, messageId, unsubscriptions: [...facts.unsubscriptions] }
  const { properties } = facts
  return properties === undefined ? list : { ...list, properties }
}

export function disconnectPacket({
  reasonCode,
  properties,
}: Extract<Effect, { type: 'disconnect' }>): IDisconnectPacket {
  return properties === undefined
    ? { cmd: 'disconnect', reasonCode }
    : { cmd: 'disconnect', reasonCode, properties }
}
