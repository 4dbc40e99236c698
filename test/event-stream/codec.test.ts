/**
 * Goal: the codec reads and writes the format as @smithy/core does, whatever the cuts. Method:
 * messages at random, beside @smithy/core; and the faults of it that are avoided here, each with a
 * test that shows both.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeMessage,
  decodeStream,
  encodeMessage,
  encodeMessageParts,
  encodeStream,
  type HeaderValue,
  header,
  type Message,
} from '../../src/event-stream/index.ts'
import { UsageError } from '../../src/index.ts'
import {
  anyMessage,
  cutAt,
  frame,
  joined,
  outcomeOf,
  run,
  smithy,
  smithyBytes,
  smithyMessage,
  utf8,
  wireHeader,
} from './support.ts'

describe('messages at random', () => {
  test('[V1] are read as they were written', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const bytes = encodeMessage(message)
        expect(decodeMessage(bytes)).toEqual(message)
        expect(joined(encodeMessageParts(message))).toEqual(bytes)
      }),
    )
  })

  test('[V1] agree with @smithy/core byte for byte, both ways', () => {
    // A float cannot hold a timestamp of 64 bits, and `__proto__` sets a prototype there.
    const sane = anyMessage.filter(
      ({ headers }) =>
        !headers.has('__proto__') &&
        ![...headers.values()].some(
          ({ type, value }) => type === 'timestamp' && !(value instanceof Date),
        ),
    )
    fc.assert(
      fc.property(sane, (message) => {
        const bytes = encodeMessage(message)
        // Names that look like numbers come first in an object.
        const inOrder = smithyMessage(bytes)
        expect(smithyBytes(inOrder)).toEqual(encodeMessage(inOrder))
        expect(inOrder).toEqual(message)
      }),
    )
  })

  test('[V3] any cut gives the same messages, and a bad end the same error', async () => {
    const stream = fc.record({
      messages: fc.array(anyMessage, { maxLength: 5 }),
      // What follows the messages: nothing, a part of one, or one with a wrong byte.
      tail: fc.option(fc.tuple(anyMessage, fc.nat(), fc.boolean()), { nil: undefined }),
      places: fc.array(fc.nat(3000), { maxLength: 12 }),
      detach: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(stream, async ({ messages, tail, places, detach }) => {
        const parts = messages.map(encodeMessage)
        if (tail !== undefined) {
          const [message, place, isCut] = tail
          const bytes = encodeMessage(message)
          if (!isCut) bytes[place % bytes.length]! ^= 0x55
          parts.push(isCut ? bytes.slice(0, place % bytes.length) : bytes)
        }
        const bytes = joined(parts)
        const whole = await outcomeOf([bytes], { detach })
        expect(whole.messages.slice(0, messages.length)).toEqual(messages)
        const single = Array.from(bytes, (byte) => Uint8Array.of(byte))
        for (const chunks of [cutAt(bytes, places), single]) {
          const cut = await outcomeOf(chunks, { detach })
          expect(cut.messages).toEqual(whole.messages)
          expect(cut.error?.message).toEqual(whole.error?.message)
          expect(cut.error?.code).toEqual(whole.error?.code)
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('headers', () => {
  test('[V1] a plain boolean, text, bytes and Date say their type', () => {
    const at = new Date(1_700_000_000_123)
    const { headers } = decodeMessage(
      encodeMessage({ headers: { a: true, b: 'é', c: Uint8Array.of(1, 2), d: at, e: false } }),
    )
    expect([...headers]).toEqual([
      ['a', { type: 'bool', value: true }],
      ['b', { type: 'string', value: 'é' }],
      ['c', { type: 'bytes', value: Uint8Array.of(1, 2) }],
      ['d', { type: 'timestamp', value: at }],
      ['e', { type: 'bool', value: false }],
    ])
  })

  test('[V1] the edges of each type come back', () => {
    const values: HeaderValue[] = [
      ...[-128, -1, 0, 127].map(header.byte),
      ...[-32768, -1, 0, 255, 256, 32767].map(header.short),
      ...[-(2 ** 31), -1, 0, 2 ** 31 - 1].map(header.int),
      ...[-(2n ** 63n), -1n, 0n, 2n ** 53n + 1n, 2n ** 63n - 1n].map(header.long),
      ...['', '\u0000', '\ufeffx', '\u{1f600}', 'x'.repeat(32_767)].map(header.string),
      ...[new Uint8Array(0), new Uint8Array(32_767).fill(7)].map(header.bytes),
      ...[-8.64e15, -1, 0, 8.64e15].map((ms) => header.timestamp(new Date(ms))),
      ...[8_640_000_000_000_001n, -8_640_000_000_000_001n, -(2n ** 63n)].map(header.timestamp),
      header.uuid('0191d4a1-7c1e-7c4a-9a63-0d2f5a8f5c11'),
    ]
    for (const value of values) {
      const { headers } = decodeMessage(encodeMessage({ headers: { value } }))
      expect(headers.get('value')).toEqual(value)
    }
  })

  test('[V1] a UUID in upper case is taken, and comes in lower case', () => {
    const uuid = header.uuid('0191D4A1-7C1E-7C4A-9A63-0D2F5A8F5C11')
    const { headers } = decodeMessage(encodeMessage({ headers: { uuid } }))
    expect(headers.get('uuid')?.value).toBe('0191d4a1-7c1e-7c4a-9a63-0d2f5a8f5c11')
  })

  test('[V1] texts that share a place in the cache are told apart', () => {
    // More texts than places, twice, so that each meets another one.
    const texts = Array.from({ length: 3000 }, (_, i) => `k${(i * 7919) % 1000}`)
    for (const text of texts) {
      const { headers } = decodeMessage(encodeMessage({ headers: { [text]: text } }))
      expect([...headers]).toEqual([[text, { type: 'string', value: text }]])
    }
  })

  test('[V1] a Map is written in its order, and `__proto__` of an object as a name', () => {
    const headers = JSON.parse('{"__proto__":"x"}')
    expect([...decodeMessage(encodeMessage({ headers })).headers.keys()]).toEqual(['__proto__'])
    const map = new Map<string, HeaderValue>([
      ['b', header.int(1)],
      ['1', header.int(2)],
    ])
    expect([...decodeMessage(encodeMessage({ headers: map })).headers.keys()]).toEqual(['b', '1'])
  })

  test('an error names the header and not its value', () => {
    const encode = () => encodeMessage({ headers: { token: { type: 'uuid', value: 'secret' } } })
    expect(encode).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('secret') }),
    )
    expect(encode).toThrow(/"token" has type uuid/)
  })
})

describe('memory', () => {
  test('[V2] a payload is a part of its chunk, and of nothing else if it is to be detached', async () => {
    const large = joined([frame({ payload: utf8('abc') }), new Uint8Array(0)])
    const buffer = new Uint8Array(100_000)
    buffer.set(large, 1000)
    const chunk = buffer.subarray(1000, 1000 + large.length)
    const [shared] = (await outcomeOf([chunk])).messages
    expect(shared!.payload.buffer).toBe(buffer.buffer)
    const [detached] = (await outcomeOf([chunk], { detach: true })).messages
    expect(detached!.payload).toEqual(utf8('abc'))
    expect(detached!.payload.buffer.byteLength).toBe(3)
  })

  test('[V2] detached bytes of headers keep no chunk either', async () => {
    const headers = wireHeader('b', 6, run(utf8('abc')))
    const [message] = (
      await outcomeOf([frame({ headers, payload: new Uint8Array(20_000) })], { detach: true })
    ).messages
    const value = message!.headers.get('b')!.value as Uint8Array
    expect([value, value.buffer.byteLength]).toEqual([utf8('abc'), 3])
  })

  test('[V2] a message in many chunks is one array of its own length', async () => {
    const bytes = frame({ payload: new Uint8Array(3_000_000).fill(5) })
    const chunks = cutAt(bytes, [5, 12, 1_000_000, 1_500_000, 1_500_001])
    const [message] = (await outcomeOf(chunks)).messages
    expect(message!.payload.length).toBe(3_000_000)
    expect(message!.payload.every((byte) => byte === 5)).toBe(true)
    expect(message!.payload.buffer.byteLength).toBe(bytes.length)
  })

  test('[V1] encodeMessageParts does not copy the payload', () => {
    const payload = utf8('abc')
    expect(encodeMessageParts({ payload })[1]).toBe(payload)
  })
})

test('encodeStream is read by decodeStream', async () => {
  const messages: Message[] = [1, 2, 3].map((n) => ({
    headers: new Map([['n', header.int(n)]]),
    payload: Uint8Array.of(n),
  }))
  const { messages: read } = await outcomeOf(encodeStream(messages))
  expect(read).toEqual(messages)
  const wrong = encodeStream([{ payload: 5 as never }])
  await expect(wrong.next()).rejects.toBeInstanceOf(UsageError)
})

/** What 2.3 of the design found in @smithy/core 3, beside what is done here. */
describe('differences from @smithy/core, on purpose', () => {
  test('[V1] headers that run into the payload', () => {
    const bytes = frame({ headers: wireHeader('a', 7, run(utf8('x'), 3)), payload: utf8('yz!') })
    expect(smithyMessage(bytes).headers.get('a')?.value).toBe('xyz')
    expect(() => decodeMessage(bytes)).toThrow(expect.objectContaining({ clause: 'header value' }))
  })

  test('[V1] a header twice', () => {
    const bytes = frame({ headers: joined([wireHeader('a', 0), wireHeader('a', 1)]) })
    expect(smithyMessage(bytes).headers.get('a')?.value).toBe(false)
    expect(() => decodeMessage(bytes)).toThrow(expect.objectContaining({ clause: 'header twice' }))
  })

  test('[V1] a header named __proto__', () => {
    const bytes = frame({ headers: wireHeader('__proto__', 0) })
    expect(Object.getPrototypeOf(smithy.decode(bytes).headers)).toEqual({
      type: 'boolean',
      value: true,
    })
    expect(decodeMessage(bytes).headers.get('__proto__')).toEqual(header.bool(true))
  })

  test('[V1] text that is not UTF-8', () => {
    const bytes = frame({ headers: wireHeader('a', 7, run(Uint8Array.of(0xff))) })
    expect(smithyMessage(bytes).headers.get('a')?.value).toBe('\ufffd')
    expect(() => decodeMessage(bytes)).toThrow(expect.objectContaining({ clause: 'header value' }))
  })

  test('[V1] whole numbers of 64 bits are exact', () => {
    const ms = 2n ** 62n + 1n
    const bytes = encodeMessage({ headers: { at: header.timestamp(ms), n: header.long(ms) } })
    const oracle = smithy.decode(bytes).headers
    expect(Number.isNaN((oracle['at']!.value as Date).getTime())).toBe(true)
    expect(BigInt(Number(oracle['n']!.value))).not.toBe(ms)
    const { headers } = decodeMessage(bytes)
    expect([headers.get('at')?.value, headers.get('n')?.value]).toEqual([ms, ms])
  })

  test('[V1] a UUID in upper case', () => {
    const value = '0191D4A1-7C1E-7C4A-9A63-0D2F5A8F5C11'
    const write = () =>
      smithy.encode({ headers: { u: { type: 'uuid', value } }, body: new Uint8Array(0) })
    expect(write).toThrow('Invalid UUID')
    expect(encodeMessage({ headers: { u: header.uuid(value) } }).length).toBe(16 + 3 + 16)
  })

  test('[V1] numbers that do not fit are refused, and not cut', () => {
    const value = { type: 'byte', value: 300 } as const
    const bytes = smithy.encode({ headers: { b: value }, body: new Uint8Array(0) })
    expect(smithyMessage(bytes).headers.get('b')?.value).toBe(44)
    expect(() => encodeMessage({ headers: { b: value } })).toThrow(UsageError)
  })
})

test('[V3] the cost of a message is linear in its bytes, one byte at a time', async () => {
  // Counted in bytes that are copied, since time is not the same twice.
  const { set } = Uint8Array.prototype
  let copied = 0
  Uint8Array.prototype.set = function (this: Uint8Array, source: Uint8Array, at?: number) {
    copied += source.length
    set.call(this, source, at)
  }
  try {
    for (const size of [10_000, 4_000_000]) {
      const bytes = frame({ payload: new Uint8Array(size) })
      function* single() {
        for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1)
      }
      copied = 0
      const { value } = await decodeStream(single()).next()
      expect(value?.payload.length).toBe(size)
      expect(copied, 'grown arrays are copied').toBeLessThanOrEqual(2 * size)
    }
  } finally {
    Uint8Array.prototype.set = set
  }
})
