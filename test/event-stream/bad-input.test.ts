/**
 * Goal: what is no message is refused, by the rule that it breaks, at the place where it breaks it,
 * and at byte 12 if it can be known there. Method: frames are built here, without the encoder, and
 * each breaks one rule.
 */
import { describe, expect, test } from 'vitest'
import { decodeMessage, decodeStream, encodeMessage } from '../../src/event-stream/index.ts'
import { ProtocolError, UsageError } from '../../src/index.ts'
import { Chunks, frame, joined, outcomeOf, run, uint32, utf8, wireHeader } from './support.ts'

const name = (length: number) => utf8('n'.repeat(length))

/** What each frame breaks, and where. */
const BAD: readonly (readonly [what: string, bytes: Uint8Array, rule: string, offset: number])[] = [
  ['a total length of 15', frame({ total: 15 }), 'total length', 0],
  ['a total length of 0', frame({ total: 0 }), 'total length', 0],
  ['headers longer than the message', frame({ headersLength: 1 }), 'headers length', 4],
  ['headers of 4 GiB', frame({ headersLength: 0xffffffff }), 'headers length', 4],
  [
    'headers over the limit',
    frame({ total: 16 + 131_073, headersLength: 131_073 }),
    'maxHeadersBytes',
    4,
  ],
  ['a payload over the limit', frame({ total: 16 + 25_165_825 }), 'maxPayloadBytes', 0],
  ['a length of 4 GiB', frame({ total: 0xffffffff }), 'maxPayloadBytes', 0],
  ['a wrong checksum of the prelude', frame({ preludeChecksum: 1 }), 'prelude checksum', 8],
  ['a wrong checksum', frame({ checksum: 1 }), 'message checksum', 12],
  [
    'a wrong checksum of 0xFFFFFFFF',
    frame({ payload: name(5), checksum: 2 ** 32 - 1 }),
    'message checksum',
    17,
  ],
  ['an empty name', frame({ headers: wireHeader('', 0) }), 'header name', 12],
  ['a name that does not end', frame({ headers: Uint8Array.of(9, 65, 66) }), 'header name', 12],
  ['a header without a type', frame({ headers: Uint8Array.of(1, 65) }), 'header name', 12],
  [
    'a name that ends in the payload',
    frame({ headers: Uint8Array.of(3, 65), payload: Uint8Array.of(66, 67, 0) }),
    'header name',
    12,
  ],
  [
    'a name that is not UTF-8',
    frame({ headers: wireHeader(Uint8Array.of(0xc3, 0x28), 0) }),
    'header name',
    13,
  ],
  [
    'a name twice',
    frame({ headers: joined([wireHeader('a', 0), wireHeader('a', 1)]) }),
    'header twice',
    15,
  ],
  [
    '__proto__ twice',
    frame({ headers: joined([wireHeader('__proto__', 0), wireHeader('__proto__', 0)]) }),
    'header twice',
    23,
  ],
  [
    'text that is not UTF-8',
    frame({ headers: wireHeader('a', 7, run(Uint8Array.of(0xff))) }),
    'header value',
    17,
  ],
  [
    'text of 32,768 bytes',
    frame({ headers: wireHeader('a', 7, run(name(32_768))) }),
    'header value',
    15,
  ],
  [
    'bytes of 65,535 bytes',
    frame({ headers: wireHeader('a', 6, run(name(65_535))) }),
    'header value',
    15,
  ],
  ['a bool with a byte behind it', frame({ headers: wireHeader('a', 0, [1]) }), 'header name', 15],
  [
    'a bool with bytes behind it that look like a name',
    frame({ headers: wireHeader('a', 1, [1, 65, 12]) }),
    'header type',
    17,
  ],
  ...[2, 3, 4, 5, 8, 9].map((type) => {
    const short = [0, 0, 0, 0, 1, 1, 2, 4, 8, 16][type === 8 ? 8 : type]! - 1
    const headers = wireHeader('a', type, new Uint8Array(type === 5 ? 7 : Math.max(short, 0)))
    const payload = new Uint8Array(16)
    return [
      `a value of type ${type} that ends in the payload`,
      frame({ headers, payload }),
      'header value',
      15,
    ] as const
  }),
  ...[6, 7].flatMap((type) => [
    [
      `half a length of type ${type}`,
      frame({ headers: wireHeader('a', type, [0]), payload: new Uint8Array(9) }),
      'header value',
      15,
    ] as const,
    [
      `a run of type ${type} that ends in the payload`,
      frame({ headers: wireHeader('a', type, run(name(4), 5)), payload: name(9) }),
      'header value',
      17,
    ] as const,
  ]),
]

describe('a bad message', () => {
  test.each(BAD)('[V2] [V5] %s is refused by its rule', async (_, bytes, clause, offset) => {
    const expected = { code: 'MALFORMED_MESSAGE', clause, offset, retryable: false }
    for (const chunks of [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte))]) {
      const { messages, error } = await outcomeOf(chunks)
      expect(error).toBeInstanceOf(ProtocolError)
      expect(error).toMatchObject(expected)
      expect(messages).toEqual([])
    }
    expect(() => decodeMessage(bytes)).toThrow(ProtocolError)
  })

  test('[V2] each code of a type from 10 to 255 is refused', () => {
    for (let type = 10; type < 256; type++) {
      const bytes = frame({ headers: wireHeader('a', type, new Uint8Array(20)) })
      const refused = expect.objectContaining({ clause: 'header type', offset: 14 })
      expect(() => decodeMessage(bytes), String(type)).toThrow(refused)
    }
  })

  test('[V1] [V2] one wrong bit of either checksum is found, at each position', async () => {
    const good = frame({ headers: wireHeader('a', 0), payload: name(7) })
    const places = [8, 9, 10, 11, ...[4, 3, 2, 1].map((back) => good.length - back)]
    for (const place of places) {
      for (let bit = 0; bit < 8; bit++) {
        const bad = good.slice()
        bad[place]! ^= 1 << bit
        const clause = place < 12 ? 'prelude checksum' : 'message checksum'
        expect((await outcomeOf([bad])).error, `${place}.${bit}`).toMatchObject({ clause })
      }
    }
  })

  test('[V1] one wrong bit anywhere is found', async () => {
    const good = frame({ headers: wireHeader('ab', 7, run(utf8('é'))), payload: name(7) })
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice()
      bad[bit >> 3]! ^= 1 << (bit & 7)
      expect((await outcomeOf([bad])).error, String(bit)).not.toBeNull()
    }
  })

  test('[V1] decodeMessage takes exactly one message', () => {
    const good = frame({ payload: name(3) })
    const length = expect.objectContaining({ clause: 'total length', code: 'MALFORMED_MESSAGE' })
    for (let end = 0; end < good.length; end++) {
      expect(() => decodeMessage(good.subarray(0, end)), String(end)).toThrow(length)
    }
    expect(() => decodeMessage(joined([good, Uint8Array.of(0)]))).toThrow(length)
    expect(decodeMessage(good).payload).toEqual(name(3))
  })

  test('[V2] names of Object.prototype are names like others', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const { headers } = decodeMessage(
      frame({ headers: joined(names.map((text) => wireHeader(text, 7, run(utf8('x'))))) }),
    )
    expect([...headers.keys()]).toEqual(names)
    expect(headers.get('__proto__')).toEqual({ type: 'string', value: 'x' })
    expect(({} as { x?: unknown }).x).toBeUndefined()
  })

  test('[V2] a name of 255 bytes is the longest, and 256 cannot be written', () => {
    const long = 'n'.repeat(255)
    expect([...decodeMessage(frame({ headers: wireHeader(long, 0) })).headers.keys()]).toEqual([
      long,
    ])
    expect(encodeMessage({ headers: { [long]: true } }).length).toBe(16 + 257)
    expect(() => encodeMessage({ headers: { [`${long}n`]: true } })).toThrow(UsageError)
    expect(() => encodeMessage({ headers: { '': true } })).toThrow(UsageError)
  })
})

describe('limits', () => {
  const headersOf = (bytes: number) => {
    // One header of text has 5 bytes beside its name of one byte and its value.
    const count = Math.ceil(bytes / 32_767)
    const rest = bytes - count * 5
    const each = Array.from({ length: count }, (_, i) => Math.floor((rest + i) / count))
    return joined(each.map((length, i) => wireHeader(String(i), 7, run(name(length)))))
  }

  test.each([
    { bytes: 131_071, fits: true },
    { bytes: 131_072, fits: true },
    { bytes: 131_073, fits: false },
  ])('[V2] headers of $bytes bytes: $fits', ({ bytes, fits }) => {
    const headers = headersOf(bytes)
    expect(headers.length).toBe(bytes)
    const decode = () => decodeMessage(frame({ headers })).headers.size
    if (fits) expect(decode()).toBe(5)
    else expect(decode).toThrow(expect.objectContaining({ clause: 'maxHeadersBytes' }))
  })

  test.each([
    { bytes: 25_165_823, fits: true },
    { bytes: 25_165_824, fits: true },
    { bytes: 25_165_825, fits: false },
  ])('[V2] a payload of $bytes bytes: $fits', ({ bytes, fits }) => {
    const payload = new Uint8Array(bytes)
    const decode = () => decodeMessage(frame({ payload })).payload.length
    if (fits) {
      expect(decode()).toBe(bytes)
      expect(encodeMessage({ payload }).length).toBe(bytes + 16)
    } else {
      expect(decode).toThrow(expect.objectContaining({ clause: 'maxPayloadBytes' }))
      expect(() => encodeMessage({ payload })).toThrow(UsageError)
    }
  })

  test('[V2] limits can be chosen, and 1,024 headers are the default', () => {
    const many = (count: number) =>
      frame({ headers: joined(Array.from({ length: count }, (_, i) => wireHeader(`${i}`, 0))) })
    expect(decodeMessage(many(1024)).headers.size).toBe(1024)
    const refused = expect.objectContaining({ clause: 'maxHeaders' })
    expect(() => decodeMessage(many(1025))).toThrow(refused)
    expect(decodeMessage(many(1025), { maxHeaders: 1025 }).headers.size).toBe(1025)
    expect(() => decodeMessage(many(1), { maxHeaders: 0 })).toThrow(refused)
    const payload = frame({ payload: name(3) })
    expect(decodeMessage(payload, { maxPayloadBytes: 3 }).payload.length).toBe(3)
    expect(() => decodeMessage(payload, { maxPayloadBytes: 2 })).toThrow(ProtocolError)
    expect(() => decodeMessage(many(1), { maxHeadersBytes: 2 })).toThrow(ProtocolError)
    for (const maxHeaders of [-1, 1.5, Number.NaN, '1' as never]) {
      expect(() => decodeMessage(payload, { maxHeaders }), String(maxHeaders)).toThrow(UsageError)
      expect(() => decodeStream([], { maxHeaders })).toThrow(UsageError)
    }
  })

  test('[V2] a claim of 4 GiB or of the limit is judged at byte 12, and allocates little', async () => {
    const claimed = frame({ total: 0xffffffff }).subarray(0, 12)
    const source = new Chunks([claimed, name(9)])
    expect((await outcomeOf(source)).error).toMatchObject({ clause: 'maxPayloadBytes' })
    expect([source.pulls, source.returns]).toEqual([1, 1])

    const most = frame({ total: 16 + 25_165_824 }).subarray(0, 12)
    const before = process.memoryUsage().arrayBuffers
    const open = Array.from({ length: 20 }, () => decodeStream([most, name(1)], {}))
    const ends = await Promise.allSettled(open.map((stream) => stream.next()))
    for (const end of ends) expect(end).toMatchObject({ reason: { code: 'TRUNCATED' } })
    // 1.25 MiB for each at most, although 24 MiB were announced.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(27 << 20)
    expect(open.length).toBe(20)
  })
})

describe('what is no chunk', () => {
  test('[V5] an endless prelude ends at its twelfth byte', async () => {
    let pulled = 0
    let left = false
    function* zeros() {
      try {
        for (;;) {
          pulled++
          yield Uint8Array.of(0)
        }
      } finally {
        left = true
      }
    }
    const { error } = await outcomeOf(zeros())
    expect(error).toMatchObject({ clause: 'prelude checksum', offset: 8 })
    expect([pulled, left]).toEqual([12, true])
  })

  test('[V3] chunks without bytes change nothing', async () => {
    const empty = new Uint8Array(0)
    const bytes = frame({ payload: name(3) })
    const chunks = [empty, bytes.slice(0, 5), empty, empty, bytes.slice(5), empty, bytes, empty]
    const { messages, error } = await outcomeOf(chunks)
    expect([messages.length, error]).toEqual([2, null])
  })

  test.each([
    ['a string', 'text'],
    ['a number', 5],
    ['null', null],
    ['nothing', undefined],
    ['an ArrayBuffer', new ArrayBuffer(4)],
    ['an array', [0, 0, 0, 16]],
  ])('[V5] %s is a UsageError, after the messages before it', async (_, chunk) => {
    const source = new Chunks([frame(), chunk, frame()])
    const { messages, error } = await outcomeOf(source)
    expect(error).toBeInstanceOf(UsageError)
    expect([messages.length, source.pulls, source.returns]).toEqual([1, 2, 1])
    expect(() => decodeMessage(chunk as never)).toThrow(UsageError)
  })

  test.each([[5], [null], [undefined], [{}], [uint32(1).buffer]])(
    '%o is no source',
    async (source) => {
      await expect(decodeStream(source as never).next()).rejects.toBeInstanceOf(UsageError)
    },
  )
})

describe('what cannot be written', () => {
  test.each([
    ['a number', 5],
    ['null', null],
    ['nothing', undefined],
    ['a bigint', 5n],
    ['an object', {}],
    ['a type that there is not', { type: 'float', value: 1 }],
    ['a type of Object.prototype', { type: 'toString', value: 1 }],
    ['a byte of 128', { type: 'byte', value: 128 }],
    ['a byte of 1.5', { type: 'byte', value: 1.5 }],
    ['a short of -32769', { type: 'short', value: -32769 }],
    ['an int of 2 ** 31', { type: 'int', value: 2 ** 31 }],
    ['an int of NaN', { type: 'int', value: Number.NaN }],
    ['a long of a number', { type: 'long', value: 1 }],
    ['a long of 2 ** 63', { type: 'long', value: 2n ** 63n }],
    ['text of 32,768 bytes', 'é'.repeat(16_384)],
    ['half a surrogate pair', 'a\ud800b'],
    ['half a surrogate pair at the end', 'a\udbff'],
    ['the second half of a pair', '\udc00'],
    ['32,768 bytes', new Uint8Array(32_768)],
    ['an invalid Date', new Date(Number.NaN)],
    ['an instant of 2 ** 63 ms', { type: 'timestamp', value: 2n ** 63n }],
    ['a UUID without dashes', { type: 'uuid', value: '0'.repeat(32) }],
    ['a UUID with a wrong digit', { type: 'uuid', value: '0191d4a1-7c1e-7c4a-9a63-0d2f5a8f5c1g' }],
  ])('[V1] %s', (_, value) => {
    expect(() => encodeMessage({ headers: { a: value as never } })).toThrow(UsageError)
  })

  test('[V1] names that are no text, payloads that are no bytes, and what is no message', () => {
    expect(() => encodeMessage({ headers: { 'a\ud800': true } })).toThrow(UsageError)
    expect(() => encodeMessage({ headers: new Map([[5 as never, true]]) })).toThrow(UsageError)
    expect(() => encodeMessage({ headers: 5 as never })).toThrow(UsageError)
    expect(() => encodeMessage({ payload: 'text' as never })).toThrow(UsageError)
    expect(() => encodeMessage(null as never)).toThrow(UsageError)
  })
})
