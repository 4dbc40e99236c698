/**
 * Goal: members that are killed, stopped and cut off are gone from every list within the bound, and
 * are there again when they come back; no ghost is left. Method: real processes, the brokers that
 * speak MQTT 5 (test/kill/presence-kill.ts); `npm run kill -- --presence` does it with 200.
 */
import { expect, test } from 'vitest'
import { killMembers } from '../kill/presence-kill.ts'
import { withEachBroker } from '../support/each-broker.ts'

const PROCESSES = 24
const SECONDS = 20

withEachBroker(200_000, (spoken) => {
  const { kind, version } = spoken
  test.skipIf(version !== 5)(
    `[H2] [H3] [H4] ${PROCESSES} members are killed, stopped and cut off`,
    async () => {
      const seed = Date.now() % 1_000_000
      const plan = { processes: PROCESSES, seconds: SECONDS, seed, say: () => {} }
      const figures = await killMembers({ ...plan, url: spoken.broker.url, version })
      const again = `npm run kill -- --presence --processes ${PROCESSES} --seed ${seed}`
      expect(figures.problems, `${kind.name}: ${again}`).toEqual([])
      expect(figures.kills + figures.stops + figures.cuts).toBeGreaterThan(PROCESSES / 2)
      expect(figures.seen).toBeGreaterThan(PROCESSES / 2)
    },
  )
})
