/** Goal: `equal` compares plain data as Node does. Method: beside `isDeepStrictEqual`. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { equal } from '../../src/platform/equal.ts'

/** Plain data: few values, so that two of them are often alike. */
const data = fc.letrec((tie) => ({
  data: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(undefined, null, true, 0, -0, 1, Number.NaN, Infinity, '', 'a'),
    fc.array(tie('data'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'length', '0'), tie('data'), { maxKeys: 3 }),
  ),
})).data

test('plain data is compared as Node compares it', () => {
  fc.assert(
    fc.property(fc.clone(data, 2), data, ([a, same], b) => {
      expect(equal(a, b)).toBe(isDeepStrictEqual(a, b))
      expect(equal(a, same)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('what is not plain data equals only itself', () => {
  for (const make of [() => () => 1, () => new Date(0), () => new Map(), () => Symbol('a')]) {
    const value = make()
    expect(equal([value], [value])).toBe(true)
    expect(equal([value], [make()])).toBe(false)
  }
})
