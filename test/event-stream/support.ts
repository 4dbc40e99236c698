/**
 * What the tests of event streams share: frames that may break any rule, messages at random, what
 * @smithy/core makes of the same bytes, and sources of chunks that say how they were left.
 */
import { crc32 } from 'node:zlib'
import { EventStreamCodec } from '@smithy/core/event-streams'
import fc from 'fast-check'
import {
  type DecodeOptions,
  decodeStream,
  type HeaderValue,
  type Message,
} from '../../src/event-stream/index.ts'

export const utf8 = (text: string) => new TextEncoder().encode(text)

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

export function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}

/** What a frame may say wrongly. Everything that is left out is right. */
export interface Frame {
  readonly headers?: Uint8Array
  readonly payload?: Uint8Array
  readonly total?: number
  readonly headersLength?: number
  readonly preludeChecksum?: number
  readonly checksum?: number
}

/** Builds a frame without the encoder that is tested. */
export function frame(given: Frame = {}): Uint8Array {
  const { headers = new Uint8Array(0), payload = new Uint8Array(0) } = given
  const total = given.total ?? 16 + headers.length + payload.length
  const lengths = joined([uint32(total), uint32(given.headersLength ?? headers.length)])
  const prelude = joined([lengths, uint32(given.preludeChecksum ?? crc32(lengths))])
  const all = joined([prelude, headers, payload])
  return joined([all, uint32(given.checksum ?? crc32(all))])
}

/** One header as it is on the wire. `name` may be bytes that are no text. */
export function wireHeader(
  name: string | Uint8Array,
  type: number,
  value: readonly number[] | Uint8Array = [],
): Uint8Array {
  const bytes = typeof name === 'string' ? utf8(name) : name
  return joined([Uint8Array.of(bytes.length), bytes, Uint8Array.of(type), Uint8Array.from(value)])
}

/** The value of a text or of bytes, with its length. */
export function run(bytes: Uint8Array, length = bytes.length): Uint8Array {
  return joined([Uint8Array.of(length >> 8, length), bytes])
}

/** The values of all types, with what the wire can hold. */
export const anyHeaderValue: fc.Arbitrary<HeaderValue> = fc.oneof(
  fc.boolean().map((value) => ({ type: 'bool' as const, value })),
  fc.integer({ min: -128, max: 127 }).map((value) => ({ type: 'byte' as const, value })),
  fc.integer({ min: -32768, max: 32767 }).map((value) => ({ type: 'short' as const, value })),
  fc.integer().map((value) => ({ type: 'int' as const, value })),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((value) => ({ type: 'long' as const, value })),
  fc.uint8Array({ maxLength: 40 }).map((value) => ({ type: 'bytes' as const, value })),
  fc
    .string({ unit: 'grapheme', maxLength: 60 })
    .map((value) => ({ type: 'string' as const, value })),
  fc.date({ noInvalidDate: true }).map((value) => ({ type: 'timestamp' as const, value })),
  fc
    .bigInt(2n ** 60n, 2n ** 63n - 1n)
    .map((value) => ({ type: 'timestamp' as const, value: value as Date | bigint })),
  fc.uuid().map((value) => ({ type: 'uuid' as const, value })),
)

export const anyMessage: fc.Arbitrary<Message> = fc.record({
  headers: fc
    .uniqueArray(
      fc.tuple(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), anyHeaderValue),
      { selector: ([name]) => name, maxLength: 8 },
    )
    .map((entries) => new Map(entries)),
  payload: fc.uint8Array({ maxLength: 200 }),
})

/** @returns the bytes cut at these places. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  const edges = [0, ...at, bytes.length]
  return edges.slice(1).map((end, i) => bytes.slice(edges[i], end))
}

/** The oracle. */
export const smithy = new EventStreamCodec(
  (input) =>
    typeof input === 'string' ? input : Buffer.from(input as Uint8Array).toString('utf8'),
  (text) => new Uint8Array(Buffer.from(text, 'utf8')),
)

const SMITHY_TYPES: Readonly<Record<string, HeaderValue['type']>> = {
  boolean: 'bool',
  byte: 'byte',
  short: 'short',
  integer: 'int',
  long: 'long',
  binary: 'bytes',
  string: 'string',
  timestamp: 'timestamp',
  uuid: 'uuid',
}

/** What @smithy/core decodes, with the names and types of this project. */
export function smithyMessage(bytes: Uint8Array): Message {
  const { headers, body } = smithy.decode(bytes)
  const entries = Object.entries(headers).map(([name, { type, value }]) => {
    const long = () =>
      new DataView(Uint8Array.from((value as { bytes: Uint8Array }).bytes).buffer).getBigInt64(0)
    const plain = type === 'long' ? long() : value
    return [name, { type: SMITHY_TYPES[type]!, value: plain } as HeaderValue] as const
  })
  return { headers: new Map(entries), payload: body }
}

/** What @smithy/core encodes of a message of this project. */
export function smithyBytes(message: Message): Uint8Array {
  const names = Object.fromEntries(Object.entries(SMITHY_TYPES).map(([a, b]) => [b, a]))
  const headers = Object.fromEntries(
    [...message.headers].map(([name, { type, value }]) => {
      const long = () => {
        const out = new Uint8Array(8)
        new DataView(out.buffer).setBigInt64(0, value as bigint)
        return { bytes: out }
      }
      return [name, { type: names[type], value: type === 'long' ? long() : value }]
    }),
  )
  return smithy.encode({ headers: headers as never, body: message.payload })
}

/** What came of a stream. */
export interface Outcome {
  readonly messages: Message[]
  // biome-ignore lint/suspicious/noExplicitAny: what errors have is what tests look at
  readonly error: any
}

export async function outcomeOf(
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options?: DecodeOptions,
): Promise<Outcome> {
  const messages: Message[] = []
  try {
    for await (const message of decodeStream(source, options)) messages.push(message)
  } catch (error) {
    return { messages, error }
  }
  return { messages, error: null }
}

/** A source that counts what was pulled and how it was left. */
export class Chunks implements AsyncIterable<Uint8Array> {
  readonly #chunks: readonly unknown[]
  pulls = 0
  returns = 0

  constructor(chunks: readonly unknown[]) {
    this.#chunks = chunks
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        const value = this.#chunks[this.pulls++] as Uint8Array
        return this.pulls > this.#chunks.length
          ? { done: true, value: undefined }
          : { done: false, value }
      },
      return: async () => {
        this.returns++
        return { done: true, value: undefined }
      },
    }
  }
}
