/**
 * Runs the drill for a short time: all faults of connections together, on real brokers and proxies.
 * The whole of it is `npm run drill`.
 */
import { expect, test } from 'vitest'
import { drill } from '../drill/drill.ts'
import { NGINX } from '../support/balancers.ts'
import { requireMosquitto } from '../support/mosquitto.ts'

test('[T1] [T3] [T4] [T5] [T6] [T9] servers that are killed, frozen, silent, that cut and refuse: every message arrives', async (context) => {
  requireMosquitto(context)
  if (NGINX === undefined) {
    if (process.env['IT_MQTT_REQUIRE_BROKERS'] === '1') throw new Error('nginx is required')
    console.log(`not run, nginx is not installed: ${context.task.name}`)
    return context.skip('nginx is not installed: not run')
  }
  const seed = Date.now() % 1_000_000
  const reports = await drill({ ms: 45_000, seed, pauseMs: 1500, say: () => {} })
  const problems = reports.flatMap(({ name, problems }) => problems.map((one) => `${name}: ${one}`))
  expect(problems, `npm run drill -- --seed ${seed}`).toEqual([])
  for (const { name, faults, produced } of reports) {
    expect(Object.keys(faults).length, name).toBeGreaterThan(0)
    expect(produced, name).toBeGreaterThan(0)
  }
})
