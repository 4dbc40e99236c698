/** The simulation of services: `npm run simulate -- --bus`. */
import { createBus } from '../../../src/bus/index.ts'
import type { Simulation } from '../shrink.ts'
import { type BusScenario, busScenarioOf } from './bus-scenario.ts'
import { type BusSubject, simulateBus } from './bus-services.ts'

/** @returns the simulation of the bus, or of a copy of it. */
export function busSimulationOf(subject: BusSubject): Simulation<BusScenario> {
  return {
    flags: '--bus ',
    scenarioOf: busScenarioOf,
    simulate: (scenario, trace = null) => simulateBus(scenario, subject, trace),
  }
}

export const BUS_SIMULATION = busSimulationOf({ createBus })
