/**
 * Goal: services whose processes are killed at any instant lose no event that an outbox accepted,
 * handle none again that a store knows, and every call has a result that is true. Method: real
 * processes, mosquitto, SIGKILL (test/kill/bus-kill.ts); `npm run kill -- --bus` does it a thousand
 * times.
 */
import { expect, test } from 'vitest'
import { killServices } from '../kill/bus-kill.ts'
import { requireMosquitto } from '../support/mosquitto.ts'

const KILLS = 60

test(`[B1] [B4] [B6] [B7] [B9] ${KILLS} kills: no event is lost, none is handled again, every call is answered or told`, async (context) => {
  requireMosquitto(context)
  const seed = Date.now() % 1_000_000
  const figures = await killServices({ kills: KILLS, seed, say: () => {} })
  expect(figures.problems, `npm run kill -- --bus --kills ${KILLS} --seed ${seed}`).toEqual([])
  expect(figures.kills).toBeGreaterThanOrEqual(KILLS)
  expect(figures.handled).toBe(figures.fired)
  expect(figures.fired).toBeGreaterThan(20)
  const { calls, answered, callerKilled } = figures.calls
  expect(answered, JSON.stringify(figures.calls)).toBeGreaterThan(0.3 * (calls - callerKilled))
})
