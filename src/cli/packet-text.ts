/**
 * How does a message become text? As NDJSON in the shape of a request, so that `sub` can be piped
 * into `pipe`, or by a format of the user's.
 */
import { isUtf8 } from 'node:buffer'
import { type Base64, type IncomingPublish, UsageError } from '../index.ts'

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

type Piece = (packet: IncomingPublish) => string | Uint8Array

const PLACEHOLDERS: Readonly<Record<string, Piece>> = {
  t: ({ topic }) => topic,
  p: ({ payload }) => payload,
  x: ({ payload }) => payload.toString('hex'),
  l: ({ payload }) => String(payload.length),
  q: ({ qos }) => String(qos),
  r: ({ retain }) => (retain ? '1' : '0'),
  d: ({ dup }) => (dup ? '1' : '0'),
  j: jsonOf,
  '%': () => '%',
}

export const FORMAT_HELP =
  '%t topic, %p payload, %x payload in hex, %l payload bytes, %q QoS, %r retain, %d ' +
  'duplicate, %j JSON, %% percent; \\t \\n'

/** @throws UsageError if the format has an unknown placeholder. */
export function formatter(format: string): (packet: IncomingPublish) => Buffer {
  const pieces = (format.match(/%.?|\\.?|[^%\\]+/gsu) ?? []).map((token): Piece => {
    if (token === '\\n') return () => '\n'
    if (token === '\\t') return () => '\t'
    if (token === '\\\\') return () => '\\'
    if (!token.startsWith('%')) return () => token
    const piece = PLACEHOLDERS[token.slice(1)]
    if (piece === undefined) {
      throw new UsageError(`--format: ${token} is not a placeholder; allowed: ${FORMAT_HELP}`)
    }
    return piece
  })
  return (packet) =>
    Buffer.concat(
      [...pieces.map((piece) => piece(packet)), '\n'].map((part) =>
        typeof part === 'string' ? Buffer.from(part) : part,
      ),
    )
}
