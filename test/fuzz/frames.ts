/**
 * Bytes of event streams that are almost right: frames built without the encoder, mutated, spliced
 * and cut, most of them with checksums that are right again, since else nothing but the checksums
 * would be tried. A slow decoder, written apart, says what has to come of them.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { ProtocolError } from '../../src/errors.ts'
import type { ResolvedLimits } from '../../src/event-stream/codec/frame-rules.ts'
import { MessageDecoder } from '../../src/event-stream/codec/message-decoder.ts'
import { decodeStream, encodeMessage, type Message } from '../../src/event-stream/index.ts'
import {
  Chunks,
  frame,
  joined,
  run,
  smithyMessage,
  uint32,
  wireHeader,
} from '../event-stream/support.ts'
import { type Random, randomOf } from './inputs.ts'

/** Small, so that limits are met often. */
const LIMITS: ResolvedLimits = { maxHeadersBytes: 90, maxPayloadBytes: 300, maxHeaders: 3 }
/** The memory that is held ahead of what has come. */
const AHEAD_BYTES_MAX = 1_310_720

export interface FrameInput {
  readonly bytes: Uint8Array
  readonly chunks: readonly Uint8Array[]
}

export interface FrameVerdict {
  readonly messages: number
  /** The rule that was broken, or null. */
  readonly rule: string | null
  /** Whether the bytes end within a message. */
  readonly isCut: boolean
}

const NAMES = ['a', ':event-type', '__proto__', 'constructor', 'é', 'n'.repeat(40), '\ufeff', 'b']
const WIDTHS = [0, 0, 1, 2, 4, 8, 0, 0, 8, 16]

const TEXTS = NAMES.map((name) => new TextEncoder().encode(name.slice(0, 8)))

function randomBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = random(256)
  return bytes
}

function randomHeader(random: Random): Uint8Array {
  const name = NAMES[random(NAMES.length)]!
  const type = random(40) === 0 ? random(256) : random(10)
  const text = TEXTS[random(TEXTS.length)]!
  const content = random(3) === 0 ? randomBytes(random, random(12)) : text
  // Lengths that are a little wrong, and now and then beyond 32,767.
  const length = random(12) === 0 ? random(4) * 0x5555 : content.length + (random(12) === 0 ? 1 : 0)
  const value =
    type === 6 || type === 7 ? run(content, length) : randomBytes(random, WIDTHS[type] ?? 3)
  const bytes = wireHeader(name, type, value)
  return random(25) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
}

function randomFrame(random: Random): Uint8Array {
  const headers = joined(Array.from({ length: random(5) }, () => randomHeader(random)))
  const payload = randomBytes(random, random(8) === 0 ? random(340) : random(20))
  const bytes = frame({ headers, payload })
  switch (random(20)) {
    case 0:
      return frame({ headers, payload, headersLength: random(headers.length + payload.length + 4) })
    case 1:
      return frame({ headers, payload, total: random(2) === 0 ? random(64) : random(2 ** 32) })
    case 2: {
      // Wrong bytes behind the prelude, under a right checksum.
      const inner = bytes.slice(0, -4)
      if (inner.length > 12) inner[12 + random(inner.length - 12)] = random(256)
      return joined([inner, uint32(crc32(inner))])
    }
    case 3:
      bytes[random(bytes.length)]! ^= 1 << random(8)
      return bytes
    default:
      return bytes
  }
}

export function frameInputOf(seed: number, number: number): FrameInput {
  const random = randomOf(seed, number)
  let bytes = joined(Array.from({ length: 1 + random(3) }, () => randomFrame(random)))
  switch (random(10)) {
    case 0:
      bytes = bytes.slice(0, random(bytes.length + 1))
      break
    case 1: {
      const at = random(bytes.length)
      bytes = joined([
        bytes.subarray(0, at),
        randomBytes(random, 1 + random(3)),
        bytes.subarray(at),
      ])
      break
    }
    case 2:
      bytes = bytes.slice(random(14))
      break
    default:
  }
  return { bytes, chunks: cut(random, bytes) }
}

function cut(random: Random, bytes: Uint8Array): Uint8Array[] {
  const longest = [1, 3, 13, 13, 64, 64, 400, 400][random(8)]!
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + random(longest + 1))
    chunks.push(bytes.slice(at, end))
    at = end
  }
  return chunks
}

/** What the slow decoder says: how many whole messages, and what is wrong behind them. */
interface Expected {
  readonly ends: readonly number[]
  readonly rule: string | null
  readonly pending: number
}

function expectedOf(bytes: Uint8Array): Expected {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const ends: number[] = []
  let at = 0
  while (bytes.length - at >= 12) {
    const total = data.getUint32(at)
    const headers = data.getUint32(at + 4)
    const stop = (rule: string): Expected => ({ ends, rule, pending: 0 })
    if (crc32(bytes.subarray(at, at + 8)) !== data.getUint32(at + 8))
      return stop('prelude checksum')
    if (total < 16) return stop('total length')
    if (headers > total - 16) return stop('headers length')
    if (headers > LIMITS.maxHeadersBytes) return stop('maxHeadersBytes')
    if (total - 16 - headers > LIMITS.maxPayloadBytes) return stop('maxPayloadBytes')
    if (bytes.length - at < total) break
    const end = at + total
    if (crc32(bytes.subarray(at, end - 4)) !== data.getUint32(end - 4))
      return stop('message checksum')
    const rule = brokenHeader(bytes.subarray(at + 12, at + 12 + headers))
    if (rule !== null) return stop(rule)
    ends.push(end)
    at = end
  }
  return { ends, rule: null, pending: bytes.length - at }
}

const strict = new TextDecoder('utf-8', { fatal: true })

function isText(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes)
    return true
  } catch {
    return false
  }
}

/** @returns the first rule that these headers break, or null */
function brokenHeader(headers: Uint8Array): string | null {
  const names = new Set<string>()
  let rest = headers
  for (let count = 1; rest.length > 0; count++) {
    if (count > LIMITS.maxHeaders) return 'maxHeaders'
    const name = rest.subarray(1, 1 + rest[0]!)
    if (rest[0] === 0 || rest.length < 2 + rest[0]! || !isText(name)) return 'header name'
    const type = rest[1 + name.length]!
    if (type > 9) return 'header type'
    rest = rest.subarray(2 + name.length)
    let length = WIDTHS[type]!
    if (type === 6 || type === 7) {
      if (rest.length < 2) return 'header value'
      length = 2 + ((rest[0]! << 8) | rest[1]!)
      if (length > 32_769) return 'header value'
    }
    if (rest.length < length) return 'header value'
    if (type === 7 && !isText(rest.subarray(2, length))) return 'header value'
    names.add(Buffer.from(name).toString('hex'))
    if (names.size !== count) return 'header twice'
    rest = rest.subarray(length)
  }
  return null
}

/** Decodes chunks as `decodeStream` does, without waiting. */
function decoded(chunks: readonly Uint8Array[], detach: boolean) {
  const decoder = new MessageDecoder(LIMITS, detach)
  const messages: Message[] = []
  try {
    for (const chunk of chunks) {
      decoder.push(chunk)
      for (let message = decoder.next(); message !== null; message = decoder.next()) {
        messages.push(message)
      }
      const { heldBytes, pendingBytes } = decoder
      const heldMax = Math.max(2 * pendingBytes, AHEAD_BYTES_MAX)
      assert.ok(heldBytes <= heldMax && pendingBytes <= heldBytes, 'too much is held')
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { messages, error, pending: 0 }
  }
  return { messages, error: null, pending: decoder.pendingBytes }
}

/** @throws an error that names the defect, if there is one. */
export function checkFrames({ bytes, chunks }: FrameInput, number: number): FrameVerdict {
  const expected = expectedOf(bytes)
  const whole = decoded([bytes], false)
  const again = decoded(chunks, number % 2 === 0)
  assert.equal(whole.messages.length, expected.ends.length, 'another number of messages')
  assert.equal(whole.error?.clause ?? null, expected.rule, 'another rule')
  assert.equal(whole.pending, expected.pending, 'another end')
  assert.equal(again.messages.length, expected.ends.length, 'the cut changes the messages')
  assert.equal(again.error?.message, whole.error?.message, 'the cut changes the refusal')
  assert.equal(again.pending, expected.pending, 'the cut changes the end')
  let start = 0
  for (const [index, end] of expected.ends.entries()) {
    const original = bytes.subarray(start, end)
    const message = whole.messages[index]!
    assert.ok(isSame(encodeMessage(message), original), 'a message is not what it was')
    assert.ok(isSame(encodeMessage(again.messages[index]!), original), 'the cut changes a message')
    // The oracle is slow, and knows no name that is __proto__ and no instant beyond a float.
    if (number % 16 === 0 && !message.headers.has('__proto__')) compareWithSmithy(original, message)
    start = end
  }
  return { messages: expected.ends.length, rule: expected.rule, isCut: expected.pending > 0 }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function compareWithSmithy(bytes: Uint8Array, message: Message): void {
  const theirs = smithyMessage(bytes)
  assert.ok(isSame(theirs.payload, message.payload), 'another payload than @smithy/core')
  for (const [name, { type, value }] of message.headers) {
    const other = theirs.headers.get(name)
    assert.equal(other?.type, type, 'another type than @smithy/core')
    if (type !== 'timestamp')
      assert.deepEqual(other?.value, value, 'another value than @smithy/core')
  }
}

/** The same input through `decodeStream`, which waits for each chunk. */
export async function checkStream({ bytes, chunks }: FrameInput): Promise<void> {
  const expected = expectedOf(bytes)
  const source = new Chunks(chunks)
  let messages = 0
  let code: string | null = null
  try {
    for await (const _ of decodeStream(source, LIMITS)) messages++
  } catch (error) {
    code = (error as ProtocolError).code
  }
  const cutCode = expected.pending > 0 ? 'TRUNCATED' : null
  assert.equal(messages, expected.ends.length, 'another number of messages')
  assert.equal(code, expected.rule === null ? cutCode : 'MALFORMED_MESSAGE', 'another error')
  assert.equal(source.returns, code === 'MALFORMED_MESSAGE' ? 1 : 0, 'the source was not left')
}
