/**
 * Goal: a process that is killed at any instant loses nothing that it accepted, and with a session
 * on disk sends nothing twice. Method: the real program, mosquitto, SIGKILL (test/kill); `npm run
 * kill` does it a thousand times.
 */
import { expect, test } from 'vitest'
import { kill } from '../kill/kill.ts'
import { requireMosquitto } from '../support/mosquitto.ts'

const KILLS = 200

test(`[S1] [D1] [D7] [R2] [C22] ${KILLS} kills: what was accepted arrives, with a session exactly once, and nothing is handled twice`, async (context) => {
  requireMosquitto(context)
  const seed = Date.now() % 1_000_000
  const figures = await kill({ kills: KILLS, seed, say: () => {} })
  expect(figures.problems, `npm run kill -- --times ${KILLS} --seed ${seed}`).toEqual([])
  expect(figures.kills).toBe(KILLS)
  for (const delivered of Object.values(figures.delivered)) expect(delivered).toBeGreaterThan(1000)
  for (const story of ['spool+session', 'pipe+session']) expect(figures.repeats[story]).toBe(0)
})
