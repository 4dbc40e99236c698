/**
 * Goal: what `it-mqtt/presence` promises holds for members and watchers that are killed, suspended
 * and cut off, whatever the broker does with wills and with expiry. Method: scenarios drawn from
 * seeds, with every promise checked as soon as it can be. `npm run simulate -- --presence` takes
 * more seeds.
 */
import { expect, test } from 'vitest'
import { PRESENCE_SIMULATION } from './presence/presence-simulation.ts'
import { examine, report, shrink } from './shrink.ts'

const SEEDS = 20

test(`[H1] [H2] [H3] [H4] [H5] [H6] [H7] [H8] ${SEEDS} seeds keep every promise of presence`, {
  timeout: 280_000,
}, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const failure = await examine(PRESENCE_SIMULATION, seed)
    if (failure === null) continue
    expect.fail(report(PRESENCE_SIMULATION, await shrink(PRESENCE_SIMULATION, failure)))
  }
})

// Of 50,000 seeds these have found faults of presence, or of its witness (755). (JOURNAL.md)
test.each([755, 6028, 6391, 7427, 7650, 10_238, 49_080])(
  '[H2] [H3] [H6] seed %d keeps its promises',
  async (seed) => {
    const failure = await examine(PRESENCE_SIMULATION, seed)
    expect(failure === null ? '' : report(PRESENCE_SIMULATION, failure)).toBe('')
  },
)

test('a seed gives the same run of all members every time', async () => {
  const tellOnce = async () => {
    const lines: string[] = []
    const scenario = PRESENCE_SIMULATION.scenarioOf(7)
    await PRESENCE_SIMULATION.simulate(scenario, (line) => lines.push(line))
    return lines
  }
  const story = await tellOnce()
  expect(story.length).toBeGreaterThan(20)
  expect(await tellOnce()).toEqual(story)
})
