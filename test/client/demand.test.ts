/**
 * Goal: the reducer of demand asks for a packet exactly when somebody needs the connection. Method:
 * a table of states, and random events against counters.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Demand,
  type DemandEvent,
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
  [{ calls: 1, unhandled: 9 }, true, true],
  [{ calls: 1, unhandled: 10 }, true, false],
  [{ calls: 1, lasting: 1, over: true }, false, false],
]

test.each(ROWS)('M1: %j is wanted: %j, and asks: %j', (fields, wanted, asks) => {
  const demand: Demand = Object.freeze({ ...NO_DEMAND, ...fields })
  expect(isWanted(demand)).toBe(wanted)
  expect(mayAsk(demand, 10)).toBe(asks)
})

test('M1: what begins and ends leaves nothing, and no two packets are asked for at once', () => {
  const kind = fc.constantFrom('calls' as const, 'lasting' as const, 'full' as const)
  fc.assert(
    fc.property(fc.array(fc.tuple(kind, fc.boolean())), (changes) => {
      let demand = NO_DEMAND
      const open: DemandEvent[] = []
      const apply = (event: DemandEvent) => {
        const before = { ...demand }
        const after = demandAfter(Object.freeze(demand), event)
        expect(demand).toEqual(before)
        demand = after
        if (!mayAsk(demand, 10)) return
        expect(demand.asked).toBe(false)
        demand = demandAfter(demand, { type: 'asked' })
        expect(mayAsk(demand, 10)).toBe(false)
      }
      for (const [type, answers] of changes) {
        apply({ type, by: 1 })
        open.push({ type, by: -1 })
        if (answers && demand.asked) apply({ type: 'answered' })
      }
      for (const event of open) apply(event)
      if (demand.asked) apply({ type: 'answered' })
      expect(demand).toEqual(NO_DEMAND)
      expect(isWanted(demandAfter({ ...demand, calls: 3 }, { type: 'over' }))).toBe(false)
    }),
  )
})
