/** The simulation of two clients of `it-mqtt/client`: `npm run simulate -- --client`. */
import { createClient } from '../../../src/client/index.ts'
import { decodeSession, encodeSession } from '../../../src/index.ts'
import type { Simulation } from '../shrink.ts'
import type { ClientSubject } from './client-process.ts'
import { type ClientScenario, clientScenarioOf } from './client-scenario.ts'
import { simulateClient } from './client-world.ts'

const SUBJECT: ClientSubject = { createClient, encodeSession, decodeSession }

export const CLIENT_SIMULATION: Simulation<ClientScenario> = {
  flags: '--client ',
  scenarioOf: clientScenarioOf,
  simulate: (scenario, trace = null) => simulateClient(scenario, SUBJECT, trace),
}
