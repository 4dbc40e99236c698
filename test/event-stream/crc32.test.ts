/**
 * Goal: the CRC32 is right with the zlib of the runtime and without it, for all lengths. Method:
 * both ways beside `node:zlib`, the second one in a process that hides it.
 */
import { crc32 as expected } from 'node:zlib'
import { afterEach, describe, expect, test, vi } from 'vitest'

const LENGTHS = [0, 1, 7, 8, 9, 15, 16, 63, 64, 319, 320, 321, 1000, 70_001]

afterEach(() => vi.unstubAllGlobals())

describe.each([
  ['with the zlib of the runtime', false],
  ['without it, as in a browser', true],
])('%s', (_, isHidden) => {
  test('[V1] the checksum of any bytes is right, also in parts', async () => {
    if (isHidden) vi.stubGlobal('process', undefined)
    vi.resetModules()
    const { crc32 } = await import('../../src/event-stream/codec/crc32.ts')
    for (const length of LENGTHS) {
      const bytes = new Uint8Array(length + 5).map((_, i) => (i * i * 31 + 7) >>> 1)
      const own = crc32(bytes, 3, 3 + length)
      expect(own, String(length)).toBe(expected(bytes.subarray(3, 3 + length)))
      const cut = length >> 1
      expect(crc32(bytes, 3 + cut, 3 + length, crc32(bytes, 3, 3 + cut))).toBe(own)
    }
  })
})
