/** Goal: every function of bytes.ts does what its docstring says, in ways that another runtime's version must keep to. */
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import * as bytes from '../../src/platform/node/bytes.ts'

const umlauts = 'Größe 🙂'

describe('memory', () => {
  test('memory of its own holds nothing else alive', () => {
    expect(bytes.allocateOwn(3).buffer.byteLength).toBe(3)
    expect(bytes.allocate(3)).toEqual(Buffer.alloc(3))
    expect(bytes.allocatePooled(3)).toHaveLength(3)
    expect(bytes.NO_BYTES).toHaveLength(0)
  })

  test('a view shares its memory and is of the class that users know', () => {
    const memory = Uint8Array.of(1, 2, 3, 4)
    const view = new bytes.BytesView(memory.buffer, 1, 2)
    memory[1] = 9
    expect([...view]).toEqual([9, 3])
    expect(view).toBeInstanceOf(Buffer)
    const all = bytes.asBytes(memory.subarray(2))
    memory[3] = 8
    expect([...all]).toEqual([3, 8])
    expect(all).toBeInstanceOf(Buffer)
  })

  test('bytes are copied where they are meant to go', () => {
    const into = bytes.allocate(4)
    bytes.copyBytes(Buffer.from('0102030405', 'hex'), 1, 3, into, 1)
    expect(into.toString('hex')).toBe('00020300')
  })
})

describe('what is bytes', () => {
  test.each([
    [Buffer.from('a'), true],
    [new Uint8Array(1), true],
    [runInNewContext('new Uint8Array(1)'), true],
    [new Uint16Array(1), false],
    [new ArrayBuffer(1), false],
    [{ [Symbol.toStringTag]: 'Uint8Array' }, false],
    ['a', false],
    [null, false],
    [undefined, false],
  ])('%o: %s', (value, expected) => {
    expect(bytes.isBytes(value)).toBe(expected)
  })
})

describe('text', () => {
  test('UTF-8 both ways', () => {
    const encoded = bytes.utf8Bytes(umlauts)
    expect(encoded).toHaveLength(bytes.byteLength(umlauts))
    expect(bytes.utf8Text(encoded, 0, encoded.length)).toBe(umlauts)
    const into = bytes.allocate(encoded.length + 2)
    bytes.writeUtf8(into, umlauts, 1, encoded.length)
    expect(bytes.utf8Text(into, 1, encoded.length + 1)).toBe(umlauts)
    expect([into[0], into.at(-1)]).toEqual([0, 0])
  })

  test('ill-formed UTF-8 is seen', () => {
    const broken = Buffer.from('61ff62', 'hex')
    expect(bytes.isUtf8(broken, 0, 1)).toBe(true)
    expect(bytes.isUtf8(broken, 0, 2)).toBe(false)
    expect(bytes.isUtf8(broken, 2, 3)).toBe(true)
  })

  test('Latin-1 both ways', () => {
    const into = bytes.allocate(4)
    bytes.writeLatin1(into, 'aÿ', 1, 2)
    expect(into.toString('hex')).toBe('0061ff00')
    expect(bytes.latin1Text(into, 1, 3)).toBe('aÿ')
  })

  test('Base64 both ways, in memory of its own', () => {
    const some = Uint8Array.of(0, 255, 16)
    expect(bytes.base64Text(some)).toBe('AP8Q')
    expect([...bytes.base64Bytes('AP8Q')]).toEqual([...some])
    expect([...bytes.base64Bytes('AP8')]).toEqual([0, 255])
    expect(bytes.base64Bytes('AP8Q').buffer.byteLength).toBe(3)
  })
})
