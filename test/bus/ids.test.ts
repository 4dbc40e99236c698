/** The names by which the bus knows a call or an event again, and how many of them it remembers. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { uuid } from '../../src/bus/bus-parts.ts'
import { RecentIds } from '../../src/bus/recent-ids.ts'
import { systemPlatform } from '../../src/index.ts'

/** The largest number that `random()` gives. */
const LARGEST = 1 - 2 ** -53

const drawing = (random: () => number) => ({ ...systemPlatform, random })

test.each([
  [0, '00000000-0000-4000-8000-000000000000'],
  [0.5, '80000000-8000-4000-8000-000080000000'],
  [LARGEST, 'ffffffff-ffff-4fff-bfff-ffffffffffff'],
])('a clock whose random numbers are all %d gives the UUID %s', (random, text) => {
  expect(uuid(drawing(() => random))).toBe(text)
})

test('all 122 bits of a UUID that are random come from the clock, each from one number', () => {
  const bit = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 31 }))
  fc.assert(
    fc.property(bit, ([word, shift]) => {
      const numbers = [0, 0, 0, 0]
      numbers[word] = 2 ** (shift - 32)
      const digits = uuid(drawing(() => numbers.shift()!)).replaceAll('-', '')
      const others = BigInt(`0x${digits}`) ^ 0x40008000000000000000n
      const fixed = [...[12, 13, 14, 15].map((one) => `1,${one}`), '2,30', '2,31']
      const place = BigInt(32 * (3 - word) + shift)
      expect(others).toBe(fixed.includes(`${word},${shift}`) ? 0n : 1n << place)
    }),
  )
})

test('[B7] as many handled events are remembered as was said, and the oldest is forgotten', () => {
  const ids = fc.array(fc.integer({ min: 0, max: 12 }).map(String), { maxLength: 60 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), ids, (max, handled) => {
      const recent = new RecentIds(max)
      const expected: string[] = []
      for (const id of handled) {
        expect(recent.seen(id)).toBe(expected.includes(id))
        recent.done(id)
        if (!expected.includes(id)) expected.push(id)
        if (expected.length > max) expected.shift()
      }
      for (let id = 0; id <= 12; id++) {
        expect(recent.seen(String(id))).toBe(expected.includes(String(id)))
      }
    }),
  )
})
