/** What the tests of the codec share: feeding a decoder in every cut, and what mqtt-packet makes of the same bytes. */
import { readFileSync } from 'node:fs'
import { type Packet, parser } from 'mqtt-packet'
import { Decoder } from '../../src/codec/decode.ts'
import { ProtocolError } from '../../src/errors.ts'
import type { Tolerance } from '../../src/protocol/deviations.ts'
import type { ServerPacket } from '../../src/protocol/facts.ts'

export type Version = 3 | 4 | 5

/** The largest packet that MQTT knows, in bytes. */
export const NO_LIMIT = 268_435_460

export interface Fed {
  readonly packets: ServerPacket[]
  readonly error: ProtocolError | null
  readonly decoder: Decoder
}

export interface Feeding {
  readonly limit?: number
  readonly max?: number
  readonly tolerance?: Tolerance
}

/** Pushes the chunks one by one, reads after each, at most `max` packets at a time. */
export function feed(
  chunks: readonly Uint8Array[],
  version: Version,
  { limit = NO_LIMIT, max = Infinity, tolerance = 'strict' }: Feeding = {},
): Fed {
  const decoder = new Decoder(version, limit, tolerance)
  const packets: ServerPacket[] = []
  try {
    for (const chunk of chunks) {
      decoder.push(chunk)
      while (decoder.read(packets, max) === max);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { packets, error, decoder }
  }
  return { packets, error: null, decoder }
}

/** The same bytes, cut in ways that decoders are known to fail at. */
export function cuts(bytes: Uint8Array): { readonly [name: string]: Uint8Array[] } {
  const halves = [bytes.slice(0, bytes.length >> 1), bytes.slice(bytes.length >> 1)]
  return {
    whole: [bytes],
    halves,
    'byte by byte': Array.from(bytes, (byte) => Uint8Array.of(byte)),
  }
}

export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

export function jsonLines<T>(path: string): T[] {
  return readFileSync(new URL(`../data/${path}`, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

/** The first of mqtt-packet's packets in the bytes, or its error. */
export function theirs(bytes: Uint8Array, version: Version): Packet | Error {
  let result: Packet | Error = new Error('nothing was parsed')
  let done = false
  const theirParser = parser({ protocolVersion: version })
  const settle = (value: Packet | Error) => {
    if (!done) result = value
    done = true
  }
  theirParser.on('packet', settle)
  theirParser.on('error', settle)
  theirParser.parse(Buffer.from(bytes))
  return result
}

/** What a packet says, without how it is said: undefined left out, mqtt-packet's constant fields dropped. */
export function meaning(packet: object, version: Version): unknown {
  const fields: Record<string, unknown> = {}
  const { cmd } = packet as Packet
  for (const [name, value] of Object.entries(packet)) {
    if (value === undefined || name === 'length' || name === 'request') continue
    if (cmd !== 'publish' && ['retain', 'qos', 'dup', 'topic', 'payload'].includes(name)) continue
    fields[name] = plain(value)
  }
  if (version !== 5 && ['puback', 'pubrec', 'pubrel', 'pubcomp'].includes(cmd))
    fields.reasonCode = 0
  if (version !== 5 && cmd === 'unsuback') fields.granted = []
  return fields
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value).map(([name, item]) => [name, plain(item)])
}
