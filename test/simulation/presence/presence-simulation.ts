/** The simulation of members and watchers: `npm run simulate -- --presence`. */
import { createClient } from '../../../src/client/index.ts'
import { decodeSession, encodeSession } from '../../../src/index.ts'
import { presence, withPresence } from '../../../src/presence/index.ts'
import type { Simulation } from '../shrink.ts'
import { type PresenceScenario, presenceScenarioOf } from './presence-scenario.ts'
import { type PresenceSubject, simulatePresence } from './presence-world.ts'

const SUBJECT: PresenceSubject = {
  ...{ encodeSession, decodeSession },
  createClient: (options, { ttl, grace, recordTtl }) =>
    createClient(withPresence(options, { ttl, grace, recordTtl })),
  open: (client, space, { janitor }) => presence(client, space, { janitor }),
}

export const PRESENCE_SIMULATION: Simulation<PresenceScenario> = {
  flags: '--presence ',
  scenarioOf: presenceScenarioOf,
  simulate: (scenario, trace = null) => simulatePresence(scenario, SUBJECT, trace),
}
