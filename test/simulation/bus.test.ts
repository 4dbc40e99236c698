/**
 * Goal: what `it-mqtt/bus` promises holds for services that are killed, closed and cut off, whose
 * handlers are slow and fail. Method: scenarios drawn from seeds, with every promise checked as soon
 * as it can be. `npm run simulate -- --bus` takes more seeds.
 */
import { expect, test } from 'vitest'
import { BUS_SIMULATION } from './bus/bus-simulation.ts'
import { examine, report, shrink } from './shrink.ts'

const SEEDS = 8

test(`[B1] [B2] [B3] [B4] [B5] [B6] [B7] [B8] [B9] [B10] [B11] [B12] [B13] [B14] [B15] [B18] [B19] [B20] [B21] [B22] ${SEEDS} seeds keep every promise of the bus`, {
  timeout: 280_000,
}, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const failure = await examine(BUS_SIMULATION, seed)
    if (failure === null) continue
    expect.fail(report(BUS_SIMULATION, await shrink(BUS_SIMULATION, failure)))
  }
})

test('a seed gives the same run of all services every time', async () => {
  const tellOnce = async () => {
    const lines: string[] = []
    const scenario = BUS_SIMULATION.scenarioOf(7)
    await BUS_SIMULATION.simulate(scenario, (line) => lines.push(line))
    return lines
  }
  const story = await tellOnce()
  expect(story.length).toBeGreaterThan(20)
  expect(await tellOnce()).toEqual(story)
})
