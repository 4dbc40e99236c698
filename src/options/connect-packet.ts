/**
 * What does the CONNECT packet say? It is built from the options and the numbers of the session.
 */

import { base64Bytes, utf8Bytes } from '#bytes'
import type { Config } from '../protocol/config.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import type { ConnectPacket } from '../protocol/packets.ts'
import { REMAINING_LENGTH_MAX } from '../protocol/sizes.ts'
import type { Base64 } from '../requests/vocabulary.ts'
import { credentials } from './endpoint.ts'
import type { EventloopOptions, WillOptions } from './options.ts'

export function connectPacket(
  { options, config }: { readonly options: EventloopOptions; readonly config: Config },
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
    // The fixed header cannot express a larger size.
    ...(maximumPacketSize < REMAINING_LENGTH_MAX ? { maximumPacketSize } : {}),
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
    ...(password === undefined ? {} : { password: bytesOf(password) }),
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
    payload: bytesOf(payload ?? ''),
    qos: qos ?? 0,
    retain: retain ?? false,
    ...(properties === undefined ? {} : { properties }),
  }
}

function bytesOf(value: string | Uint8Array | Base64): Uint8Array {
  if (value instanceof Uint8Array) return value
  return typeof value === 'string' ? utf8Bytes(value) : base64Bytes(value.base64)
}
