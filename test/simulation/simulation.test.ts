/**
 * Goal: the promises hold in situations that nobody thought of. Method: scenarios drawn from seeds,
 * the whole client in a simulated network with a model broker, every promise checked as soon as it
 * can be. `npm run simulate` takes more seeds.
 */
import { expect, test } from 'vitest'
import * as engine from '../../src/index.ts'
import { scenarioOf } from './scenario.ts'
import { examine, report, shrink, simulationOf } from './shrink.ts'
import { simulate } from './world.ts'

const SEEDS = 200
const SIMULATION = simulationOf(engine)

test(`[D1] [D2] [D3] [D4] [D5] [D6] [D7] [R1] [R2] [R3] [R6] [K1] [K2] [N1] [N4] [N5] [E2] [E3] ${SEEDS} seeds keep every promise`, {
  timeout: 280_000,
}, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const failure = await examine(SIMULATION, seed)
    if (failure === null) continue
    expect.fail(report(SIMULATION, await shrink(SIMULATION, failure)))
  }
})

test('a seed gives the same run every time', async () => {
  const tellOnce = async () => {
    const lines: string[] = []
    await simulate(scenarioOf(7), engine, (line) => lines.push(line))
    return lines
  }
  const story = await tellOnce()
  expect(story.length).toBeGreaterThan(20)
  expect(await tellOnce()).toEqual(story)
})
