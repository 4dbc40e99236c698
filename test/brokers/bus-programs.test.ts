/**
 * Goal: what a program observes on a fake bus, it observes at a real broker (B17). Method: each
 * program runs on both; the broker of the fake bus has Shared Subscriptions, and says that nobody has
 * subscribed, if the real one does (docs/BROKERS.md).
 */
import { expect, test } from 'vitest'
import { noteAtBroker, noteOnFake, PROGRAMS } from '../support/bus-programs.ts'
import { withEachBroker } from '../support/each-broker.ts'

const TEST_MS = 60_000

withEachBroker(TEST_MS, (spoken) => {
  const { kind, version } = spoken
  const like = {
    ...{ version, shares: kind.shares.includes(version) },
    ...{ saysNobody: kind.saysNobody.includes(1), resendsInOrder: kind.resendsInOrder },
  }
  for (const [name, program] of Object.entries(PROGRAMS)) {
    test(`[B17] ${name}`, async (context) => {
      const expected = await noteOnFake(program, like)
      expect(await noteAtBroker(program, spoken, context)).toEqual(expected)
    })
  }
})
