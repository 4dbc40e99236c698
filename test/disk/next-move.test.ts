/** Goal: a replaced file is left neither too early nor never. Method: a table of looks. */
import { expect, test } from 'vitest'
import { moveAfter, paceMs } from '../../src/disk/file/next-move.ts'

const quiet = { quietMs: 60_000, replacedMs: 0, otherHasContent: false, leftHasGrown: false }

test.each([
  ['nothing has changed', { named: 'same' }, 'wait'],
  ['the name is gone', { named: 'none' }, 'wait'],
  ['replaced by an empty file', { named: 'other', replacedMs: 3_600_000 }, 'wait'],
  ['replaced just now', { named: 'other', otherHasContent: true }, 'wait'],
  ['replaced a while ago', { named: 'other', otherHasContent: true, replacedMs: 1_000 }, 'leave'],
  [
    'replaced, and still written',
    { named: 'other', otherHasContent: true, replacedMs: 9_000, quietMs: 10 },
    'wait',
  ],
  [
    'replaced, and written for too long',
    { named: 'other', otherHasContent: true, replacedMs: 10_000, quietMs: 10 },
    'leave',
  ],
  ['a file that was left has grown', { named: 'same', leftHasGrown: true }, 'back'],
] as const)('%s', (_, look, move) => {
  expect(moveAfter({ ...quiet, ...look })).toBe(move)
})

test('looks are frequent while there is movement', () => {
  expect([0, 1_999, 2_000, 3_600_000].map(paceMs)).toEqual([20, 20, 200, 200])
})
