/**
 * How does a message become a line of NDJSON? In the shape of a request, so that `sub --json` can
 * be piped into `pipe`. format.ts has the other ways to write a message.
 */
import { isUtf8 } from 'node:buffer'
import type { Base64, IncomingPublish } from '../index.ts'

/** @returns the bytes as a request takes them: a string if they are UTF-8, else base64. */
export function textOrBase64(bytes: Uint8Array): string | Base64 {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString() : { base64: buffer.toString('base64') }
}

/**
 * @returns the message as JSON. What belongs to its delivery (packet identifier, DUP, topic alias,
 *   subscription identifier) is left out.
 */
export function jsonOf(packet: IncomingPublish): string {
  const { topic, qos, retain } = packet
  const { topicAlias, subscriptionIdentifier, correlationData, ...rest } = packet.properties ?? {}
  const properties = {
    ...rest,
    ...(correlationData === undefined ? {} : { correlationData: textOrBase64(correlationData) }),
  }
  return JSON.stringify({
    cmd: 'publish',
    topic,
    payload: textOrBase64(packet.payload),
    qos,
    retain,
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
  })
}
