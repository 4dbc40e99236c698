/**
 * Goal: the promises hold on real sockets whose transport breaks. Method: the soak (test/soak),
 * short and with faults close together; `npm run soak` is the long one.
 */
import { expect, test } from 'vitest'
import { soak } from '../soak/soak.ts'
import { requireMosquitto } from '../support/mosquitto.ts'

test('[D1] [D3] [R2] [N4] forty seconds of faults between loops and mosquitto lose, double and reorder nothing', async (context) => {
  requireMosquitto(context)
  const seed = Date.now() % 1_000_000
  const figures = await soak({
    ms: 40_000,
    messages: 1000,
    seed,
    faultEveryMs: 500,
    pace: { everyMs: 5, batch: 5 },
    say: () => {},
  })
  expect(figures.problems, `npm run soak -- --every 0.5 --seed ${seed}`).toEqual([])
  for (const counts of Object.values(figures.traffic)) {
    expect(counts.arrived[1]).toBe(counts.accepted[1])
    expect(counts.arrived[2]).toBe(counts.accepted[2])
    expect(counts.arrived[2]).toBeGreaterThanOrEqual(1000)
  }
  expect(Object.values(figures.reconnections).reduce((sum, n) => sum + n, 0)).toBeGreaterThan(20)
  const [before, after] = figures.handles
  expect(after).toBeLessThanOrEqual(before)
})
