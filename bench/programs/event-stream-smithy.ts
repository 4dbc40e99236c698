/**
 * @smithy/core at the work of event-stream.ts: MODE SIZE COUNT. Messages are cut out of a stream as
 * its own clients do it.
 */
import type { Readable } from 'node:stream'
import { EventStreamCodec, EventStreamMarshaller } from '@smithy/core/event-streams'
import {
  AT,
  chunksOf,
  HEADERS,
  measured,
  payloadOf,
  SEQUENCE,
  workOf,
} from './event-stream-report.ts'

const work = workOf(process.argv.slice(2))
const { mode, size } = work
const utf8Encoder = (input: unknown) => {
  if (typeof input === 'string') return input
  const { buffer, byteOffset, byteLength } = input as Uint8Array
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('utf8')
}
const utf8Decoder = (text: string) => {
  const { buffer, byteOffset, byteLength } = Buffer.from(text, 'utf8')
  return new Uint8Array(buffer, byteOffset, byteLength)
}
const codec = new EventStreamCodec(utf8Encoder, utf8Decoder)
const marshaller = new EventStreamMarshaller({ utf8Encoder, utf8Decoder })
const text = (value: string) => ({ type: 'string' as const, value })
const message = {
  headers: {
    ':message-type': text(HEADERS[':message-type']),
    ':event-type': text(HEADERS[':event-type']),
    ':content-type': text(HEADERS[':content-type']),
    sequence: { type: 'integer' as const, value: SEQUENCE },
    at: { type: 'timestamp' as const, value: AT },
  },
  body: payloadOf(size),
}
const encoded = codec.encode(message)

function fail(got: unknown): never {
  throw new Error(`the result is wrong: ${String(got)}`)
}

const runs = {
  encode(count: number) {
    let bytes = 0
    for (let i = 0; i < count; i++) bytes += codec.encode(message).length
    return bytes
  },
  decode(count: number) {
    let bytes = 0
    for (let i = 0; i < count; i++) {
      const { headers, body } = codec.decode(encoded)
      if (headers['sequence']?.value !== SEQUENCE) fail(headers)
      bytes += body.length
    }
    return bytes
  },
  checksum: () => fail('it has no row of this kind'),
  stream: (count: number) => streamed(count, 65_536),
  bytes: (count: number) => streamed(count, 1),
}

async function* later(chunks: Iterable<Uint8Array>) {
  yield* chunks
}

async function streamed(count: number, chunkBytes: number): Promise<number> {
  let messages = 0
  const events = marshaller.deserialize(
    // Any async iterable of chunks does, as in a browser.
    later(chunksOf(encoded, chunkBytes, count)) as unknown as Readable,
    async (event) => event,
  )
  for await (const event of events) {
    const [only] = Object.values(event as Record<string, { body: Uint8Array }>)
    if (only?.body.length !== size) fail(only?.body.length)
    messages++
  }
  return messages === count ? count * encoded.length : fail(messages)
}

await measured(work, runs[mode])
