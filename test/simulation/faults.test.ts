/**
 * Goal: the simulation finds faults. Method: copies of the engine with one deliberate fault each;
 * some seed must find it.
 */
import { expect, test } from 'vitest'
import * as healthy from '../../src/index.ts'
import { FAULTS, faulty } from './faults.ts'
import { examine, simulationOf } from './shrink.ts'

/** Seeds that CI can afford. */
const SEEDS = 2000

test.each(FAULTS)('found: $name', { timeout: 120_000 }, async (fault) => {
  const broken = simulationOf(await faulty(fault))
  for (let seed = 1; seed <= SEEDS; seed++) {
    const failure = await examine(broken, seed)
    if (failure === null) continue
    const whole = await examine(simulationOf(healthy), seed)
    expect(whole, 'what fails without the fault proves nothing').toBeNull()
    console.log(`${fault.name}: seed ${seed}, ${failure.problems[0]}`)
    return
  }
  expect.fail(`${SEEDS} seeds did not find it`)
})
