/**
 * [I1] [I2] A small part of `npm run fuzz`, the same in every run, and a proof that it finds
 * faults.
 */
import { expect, test } from 'vitest'
import { Decoder } from '../../src/codec/decode.ts'
import { checkDecoder, checkLoop } from './check.ts'
import { inputOf } from './inputs.ts'

const TOLERANCES = ['field', 'strict'] as const

test.each(TOLERANCES)(
  '[I1] [I2] %s: 20,000 inputs pass the decoder',
  { timeout: 60_000 },
  (tolerance) => {
    let accepted = 0
    let refused = 0
    for (let number = 0; number < 20_000; number++) {
      const verdict = checkDecoder(inputOf(1, number), tolerance)
      accepted += verdict.packets
      if (verdict.refused > 0) refused++
    }
    expect([accepted > 5000, refused > 5000]).toEqual([true, true])
  },
)

test.each(TOLERANCES)(
  '[I1] [N4] %s: 150 inputs pass the whole loop',
  { timeout: 60_000 },
  async (tolerance) => {
    for (let number = 0; number < 150; number++) await checkLoop(inputOf(2, number), tolerance)
  },
)

test('a decoder that forgets a byte is found', () => {
  const { push } = Decoder.prototype
  Decoder.prototype.push = function (this: Decoder, chunk) {
    push.call(this, chunk.length === 5 ? chunk.subarray(0, 4) : chunk)
  }
  try {
    const all = () => {
      for (let number = 0; number < 2000; number++) checkDecoder(inputOf(1, number), 'strict')
    }
    expect(all).toThrow(/the cut changes/)
  } finally {
    Decoder.prototype.push = push
  }
})
