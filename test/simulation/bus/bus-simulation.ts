/** The simulation of services: `npm run simulate -- --bus`. */
import { createBus } from '../../../src/bus/index.ts'
import type { Simulation } from '../shrink.ts'
import { type BusScenario, busScenarioOf } from './bus-scenario.ts'
import { type BusSubject, simulateBus } from './bus-services.ts'

const SUBJECT: BusSubject = { createBus }

export const BUS_SIMULATION: Simulation<BusScenario> = {
  flags: '--bus ',
  scenarioOf: busScenarioOf,
  simulate: (scenario, trace = null) => simulateBus(scenario, SUBJECT, trace),
}
