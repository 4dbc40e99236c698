/**
 * Messages as text: NDJSON in the shape of a request, so that `sub` can be piped into `pipe`; or by a format.
 */
import { isUtf8 } from 'node:buffer'
import { type Base64, type IncomingPublish, UsageError } from '../index.ts'

/** A string where the bytes are UTF-8, base64 otherwise: what a request takes. */
export function textOf(bytes: Uint8Array): string | Base64 {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString() : { base64: buffer.toString('base64') }
}

/** What belongs to the delivery and not to the message (id, DUP, alias, subscription) is left out. */
export function jsonOf(packet: IncomingPublish): string {
  const { topic, qos, retain } = packet
  const { topicAlias, subscriptionIdentifier, correlationData, ...rest } = packet.properties ?? {}
  const properties = {
    ...rest,
    ...(correlationData === undefined ? {} : { correlationData: textOf(correlationData) }),
  }
  return JSON.stringify({
    cmd: 'publish',
    topic,
    payload: textOf(packet.payload),
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
  '%t topic, %p payload, %x payload in hex, %l its bytes, %q QoS, %r retain, %d duplicate, %j JSON, %% percent; \\t \\n'

/** @throws UsageError where the format has a placeholder that is none. */
export function formatter(format: string): (packet: IncomingPublish) => Buffer {
  const pieces = (format.match(/%.?|\\.?|[^%\\]+/gsu) ?? []).map((token): Piece => {
    if (token === '\\n') return () => '\n'
    if (token === '\\t') return () => '\t'
    if (token === '\\\\') return () => '\\'
    if (!token.startsWith('%')) return () => token
    const piece = PLACEHOLDERS[token.slice(1)]
    if (piece === undefined) {
      throw new UsageError(`--format: ${token} is no placeholder; there are ${FORMAT_HELP}`)
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
