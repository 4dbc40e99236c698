/** it-mqtt/event-stream at the work of event-stream-smithy.ts: MODE SIZE COUNT */
import { crc32 } from 'node:zlib'
import {
  decodeMessage,
  decodeStream,
  encodeMessage,
  header,
  type MessageInput,
} from '../../src/event-stream/index.ts'
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
const message: MessageInput = {
  headers: { ...HEADERS, sequence: header.int(SEQUENCE), at: AT },
  payload: payloadOf(size),
}
const encoded = encodeMessage(message)

function fail(got: unknown): never {
  throw new Error(`the result is wrong: ${String(got)}`)
}

const runs = {
  encode(count: number) {
    let bytes = 0
    for (let i = 0; i < count; i++) bytes += encodeMessage(message).length
    return bytes
  },
  decode(count: number) {
    let bytes = 0
    for (let i = 0; i < count; i++) {
      const { headers, payload } = decodeMessage(encoded)
      if (headers.get('sequence')?.value !== SEQUENCE) fail(headers)
      bytes += payload.length
    }
    return bytes
  },
  /** The floor of decoding: no decoder can do less than this. */
  checksum(count: number) {
    let bytes = 0
    for (let i = 0; i < count; i++) if (crc32(encoded) !== 0) bytes += size
    return bytes
  },
  stream: (count: number) => streamed(count, 65_536),
  bytes: (count: number) => streamed(count, 1),
}

async function streamed(count: number, chunkBytes: number): Promise<number> {
  let messages = 0
  for await (const { payload } of decodeStream(chunksOf(encoded, chunkBytes, count))) {
    if (payload.length !== size) fail(payload.length)
    messages++
  }
  return messages === count ? count * encoded.length : fail(messages)
}

await measured(work, runs[mode])
