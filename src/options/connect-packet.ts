/**
 * What does the CONNECT packet say? It is built from the options and the numbers of the session.
 */
import type { ProtocolVersion } from '../protocol/facts.ts'
import type { ConnectPacket } from '../protocol/packets.ts'
import type { Base64 } from '../requests/vocabulary.ts'
import { credentials } from './endpoint.ts'
import type { WillOptions } from './options.ts'
import type { Resolved } from './resolve.ts'

/** The Maximum Packet Size is sent only if it is below this, which is what a fixed header can say. */
const MAXIMUM_PACKET_SIZE = 268_435_455

export function connectPacket(
  { options, config }: Pick<Resolved, 'options' | 'config'>,
  clientId: string,
  protocolVersion: ProtocolVersion,
  clean: boolean,
  authenticationData: Uint8Array | null = null,
): ConnectPacket {
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
}: WillOptions): NonNullable<ConnectPacket['will']> {
  return {
    topic,
    payload: willPayload(payload ?? ''),
    qos: qos ?? 0,
    retain: retain ?? false,
    ...(properties === undefined ? {} : { properties }),
  }
}

function willPayload(value: string | Uint8Array | Base64): Uint8Array {
  if (value instanceof Uint8Array) return value
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.base64, 'base64')
}
