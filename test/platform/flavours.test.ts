/** Goal: both flavours give the same results. Method: each function of the web beside Node's. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import * as node from '../../src/platform/node/bytes.ts'
import * as nodeRuntime from '../../src/platform/node/runtime.ts'
import * as nodeTransport from '../../src/platform/node/transport.ts'
import { textOfBytes } from '../../src/platform/text-of-bytes.ts'
import * as web from '../../src/platform/web/bytes.ts'
import * as webRuntime from '../../src/platform/web/runtime.ts'
import * as webTransport from '../../src/platform/web/transport.ts'

/** Texts of every plane, with halves of pairs, short and long. */
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((n) => String.fromCharCode(n)) }),
  fc.string({ unit: fc.constantFrom('a', 'é', '€', '🙂', '\ud800', '\udc00', '\ufeff', '\0') }),
  fc.string({ unit: 'binary', minLength: 80, maxLength: 400 }),
)

/** Bytes that are UTF-8, nearly so, or anything. */
const bytes = fc
  .oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(
      fc.constantFrom(0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc1, 0xc2, 0xe0, 0xa0, 0xed, 0x9f, 0xef, 0xbb),
      { maxLength: 200 },
    ),
    fc.array(fc.constantFrom(0xf0, 0x90, 0x8f, 0xf4, 0xf5, 0x80, 0xbf, 0xed, 0xa0, 0x41, 0xff), {
      maxLength: 200,
    }),
    text.map((one) => new TextEncoder().encode(one)),
  )
  .map((list) => Uint8Array.from(list))

const plain = (found: Uint8Array): number[] => Array.from(found)

function same<Values extends [unknown, ...unknown[]]>(
  property: (...values: Values) => void,
  ...values: { [Index in keyof Values]: fc.Arbitrary<Values[Index]> }
): void {
  fc.assert(fc.property(...values, property), { numRuns: 500 })
}

test('both flavours export the same names', () => {
  expect(Object.keys(web).sort()).toEqual(Object.keys(node).sort())
  expect(Object.keys(webRuntime).sort()).toEqual(Object.keys(nodeRuntime).sort())
  expect(Object.keys(webTransport).sort()).toEqual(Object.keys(nodeTransport).sort())
})

describe('bytes', () => {
  test('a text has the same UTF-8, and the same length', () => {
    same((one: string) => {
      expect(web.byteLength(one)).toBe(node.byteLength(one))
      expect(plain(web.utf8Bytes(one))).toEqual(plain(node.utf8Bytes(one)))
      const length = node.byteLength(one)
      const [ours, theirs] = [web.allocate(length + 4), node.allocate(length + 4)]
      web.writeUtf8(ours, one, 2, length)
      node.writeUtf8(theirs, one, 2, length)
      expect(plain(ours)).toEqual(plain(theirs))
    }, text)
  })

  test('bytes are the same text, whole and in part, also if they are no UTF-8', () => {
    same(
      (all: Uint8Array, from: number, length: number) => {
        const start = Math.min(from, all.length)
        const end = Math.min(all.length, start + length)
        const buffer = node.asBytes(all)
        expect(web.utf8Text(all, start, end)).toBe(node.utf8Text(buffer, start, end))
        expect(web.latin1Text(all, start, end)).toBe(node.latin1Text(buffer, start, end))
        expect(web.isUtf8(all, start, end)).toBe(node.isUtf8(buffer, start, end))
      },
      bytes,
      fc.nat(3),
      fc.nat(400),
    )
  })

  test('a long text of bytes, each a character, is the same', () => {
    const all = Uint8Array.from({ length: 20_000 }, (_, i) => i)
    const expected = node.latin1Text(node.asBytes(all), 1, 19_999)
    expect(web.latin1Text(all, 1, 19_999)).toBe(expected)
  })

  test('without TextEncoder and TextDecoder long texts are the same too', async () => {
    const long = 'Größe 🙂 '.repeat(50)
    const { TextDecoder, TextEncoder } = globalThis
    const globals = globalThis as { TextDecoder?: unknown; TextEncoder?: unknown }
    delete globals.TextDecoder
    delete globals.TextEncoder
    try {
      const encoded = web.utf8Bytes(long)
      expect(plain(encoded)).toEqual(plain(node.utf8Bytes(long)))
      expect(web.utf8Text(encoded, 0, encoded.length)).toBe(long)
    } finally {
      Object.assign(globals, { TextDecoder, TextEncoder })
    }
  })

  test('Base64 both ways, also with other characters in between', () => {
    same((all: Uint8Array) => {
      const encoded = node.base64Text(all)
      expect(web.base64Text(all)).toBe(encoded)
      expect(plain(web.base64Bytes(encoded))).toEqual(plain(all))
      const broken = encoded.replace(/(.{3})/g, '$1 \n')
      expect(plain(web.base64Bytes(broken))).toEqual(plain(node.base64Bytes(broken)))
    }, bytes)
  })

  test('copies, views, and characters below U+0100', () => {
    same((all: Uint8Array) => {
      const [ours, theirs] = [web.allocate(all.length + 1), node.allocate(all.length + 1)]
      web.copyBytes(all, 0, all.length, ours, 1)
      node.copyBytes(node.asBytes(all), 0, all.length, theirs, 1)
      expect(plain(ours)).toEqual(plain(theirs))
      const latin1 = node.latin1Text(node.asBytes(all), 0, all.length)
      web.writeLatin1(ours, latin1, 1, all.length)
      expect(plain(ours)).toEqual(plain(theirs))
      expect(plain(new web.BytesView(ours.buffer, 1, all.length))).toEqual(plain(all))
    }, bytes)
  })
})

test('`text` reads a Uint8Array, and a Buffer that is a part of larger memory', () => {
  const encoded = new TextEncoder().encode('<Größe 🙂>')
  expect(textOfBytes(encoded.subarray(1, -1))).toBe('Größe 🙂')
  expect(textOfBytes(Buffer.from(encoded).subarray(1, -1))).toBe('Größe 🙂')
})

describe('runtime', () => {
  test('SHA-256, around the limits of a block and of any text', () => {
    for (let length = 0; length < 200; length++) {
      const one = 'é'.repeat(length >> 1) + 'a'.repeat(length & 1)
      const expected = createHash('sha256').update(one).digest('hex')
      expect(webRuntime.sha256Hex(one), `${length} bytes`).toBe(expected)
    }
    same((one: string) => {
      expect(webRuntime.sha256Hex(one)).toBe(nodeRuntime.sha256Hex(one))
    }, text)
  })

  test('the name of the machine, where there is one', () => {
    expect(nodeRuntime.machineName()).toMatch(/./)
    expect(webRuntime.machineName()).toBeNull()
  })

  test('random digits: as many as asked for, and others each time', () => {
    for (const { randomHex } of [webRuntime, nodeRuntime]) {
      const all = Array.from({ length: 20 }, () => randomHex(7))
      for (const one of all) expect(one).toMatch(/^[\da-f]{14}$/)
      expect(new Set(all).size).toBe(20)
    }
  })

  test('a turn comes after the promise callbacks of the code, in order', async () => {
    for (const { soon, later } of [webRuntime, nodeRuntime]) {
      const order: string[] = []
      await new Promise<void>((resolve) => {
        soon((name) => order.push(name), 'first')
        soon(() => order.push('second'), undefined)
        void Promise.resolve().then(() => order.push('promise'))
        later(resolve)
      })
      // Node's ticks come before the promise callbacks of a module that was just called.
      expect(order.filter((name) => name !== 'promise')).toEqual(['first', 'second'])
      expect(order).toContain('promise')
    }
  })
})

describe('turns by messages, where there is no setImmediate', () => {
  test('each is a task of its own: promise callbacks run in between', async () => {
    const { setImmediate } = globalThis
    const globals = globalThis as { setImmediate?: unknown }
    delete globals.setImmediate
    try {
      const order: string[] = []
      await new Promise<void>((resolve) => {
        webRuntime.soon((name) => {
          order.push(name)
          void Promise.resolve().then(() => order.push('promise of a'))
        }, 'a')
        webRuntime.soon((name) => order.push(name), 'b')
        webRuntime.later(resolve)
        order.push('code')
        void Promise.resolve().then(() => order.push('promise of code'))
      })
      expect(order).toEqual(['code', 'promise of code', 'a', 'promise of a', 'b'])
    } finally {
      Object.assign(globals, { setImmediate })
    }
  })

  test('in Cloudflare Workers each is a timer, so that no stream starves the others', async () => {
    vi.stubGlobal('setImmediate', undefined)
    vi.stubGlobal('navigator', { userAgent: 'Cloudflare-Workers' })
    // There a message of a channel is a promise callback.
    vi.stubGlobal('MessageChannel', class {})
    onTestFinished(() => void vi.unstubAllGlobals())
    // The others have opened a channel, which a fresh module has not.
    vi.resetModules()
    const { later } = await import('../../src/platform/web/runtime.ts')
    let turns = 0
    let isOver = false
    const again = () => {
      turns++
      if (!isOver) later(again)
    }
    later(again)
    await new Promise((resolve) => setTimeout(resolve, 5))
    isOver = true
    expect(turns).toBeGreaterThan(0)
  })
})
