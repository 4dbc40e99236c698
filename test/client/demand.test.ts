/**
 * Goal: the reducer of demand asks for a packet exactly when somebody needs the connection. Method:
 * a table of states, and random events against counters.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Demand,
  type DemandChange,
  demandAfter,
  isWanted,
  mayAsk,
  NO_DEMAND,
} from '../../src/client/demand.ts'
import '../support/seed.ts'

const ROWS: readonly [Partial<Demand>, wanted: boolean, asks: boolean][] = [
  [{}, false, false],
  [{ calls: 1 }, true, true],
  [{ lasting: 1 }, true, true],
  [{ lasting: 1, full: 1 }, false, false],
  [{ calls: 1, full: 1 }, true, true],
  [{ calls: 1, lasting: 1, full: 2 }, true, true],
  [{ full: 1 }, false, false],
  [{ calls: 1, asked: true }, true, false],
  [{ calls: 1, crowded: false }, true, true],
  [{ calls: 1, crowded: true }, true, false],
  [{ calls: 1, lasting: 1, over: true }, false, false],
]

test.each(ROWS)('[M1] %j is wanted: %j, and asks: %j', (fields, wanted, asks) => {
  const demand: Demand = Object.freeze({ ...NO_DEMAND, ...fields })
  expect(isWanted(demand)).toBe(wanted)
  expect(mayAsk(demand)).toBe(asks)
})

test('[M1] what begins and ends leaves nothing, and no two packets are asked for at once', () => {
  const kind = fc.constantFrom('calls' as const, 'lasting' as const, 'full' as const)
  fc.assert(
    fc.property(fc.array(fc.tuple(kind, fc.boolean())), (changes) => {
      let demand = NO_DEMAND
      const open: DemandChange[] = []
      const apply = (change: DemandChange, by = 0) => {
        const before = { ...demand }
        const after = demandAfter(Object.freeze(demand), change, by)
        expect(demand).toEqual(before)
        demand = after
        if (!mayAsk(demand)) return
        expect(demand.asked).toBe(false)
        demand = demandAfter(demand, 'asked', 0)
        expect(mayAsk(demand)).toBe(false)
      }
      for (const [type, answers] of changes) {
        apply(type, 1)
        open.push(type)
        if (answers && demand.asked) apply('answered')
      }
      for (const type of open) apply(type, -1)
      if (demand.asked) apply('answered')
      expect(demand).toEqual(NO_DEMAND)
      expect(isWanted(demandAfter({ ...demand, calls: 3 }, 'over', 0))).toBe(false)
    }),
  )
})
