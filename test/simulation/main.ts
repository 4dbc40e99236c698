/**
 * `npm run simulate -- [--seeds 2000] [--from 1]`, or one scenario again: `--seed n [--only 3,7]
 * [--trace]`. Exits with 1 at the first failure, which is printed with its events shrunk.
 * `--client` takes the scenarios of `it-mqtt/client` in place of those of the engine, `--presence`
 * those of `it-mqtt/presence`, and `--bus` those of `it-mqtt/bus`. `--digest` prints what each seed
 * made the reducers decide, as a hash.
 */
import { parseArgs } from 'node:util'
import * as engine from '../../src/index.ts'
import { BUS_SIMULATION } from './bus/bus-simulation.ts'
import { CLIENT_SIMULATION } from './client/client-simulation.ts'
import { digestOf } from './digest.ts'
import { PRESENCE_SIMULATION } from './presence/presence-simulation.ts'
import {
  type Drawn,
  examine,
  partOf,
  report,
  type Simulation,
  shrink,
  simulationOf,
} from './shrink.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    only: { type: 'string' },
    client: { type: 'boolean', default: false },
    presence: { type: 'boolean', default: false },
    bus: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    digest: { type: 'boolean', default: false },
  },
})

async function one<S extends Drawn>(simulation: Simulation<S>, seed: number): Promise<boolean> {
  const named = values.only === 'none' ? [] : values.only?.split(',').map(Number)
  const scenario = partOf(simulation, seed, named ?? null)
  const problems = await simulation.simulate(scenario, values.trace ? console.log : null)
  const only = named ?? scenario.events.map((_, index) => index)
  if (problems.length === 0) console.log(`seed ${seed}: every promise was kept`)
  else console.error(report(simulation, { seed, only, scenario, problems }))
  return problems.length === 0
}

/** For comparing two versions of the engine. */
async function digests(from: number, seeds: number): Promise<boolean> {
  for (let seed = from; seed < from + seeds; seed++) {
    console.log(`${seed} ${await digestOf(seed, engine)}`)
  }
  return true
}

async function many<S extends Drawn>(
  simulation: Simulation<S>,
  from: number,
  seeds: number,
): Promise<boolean> {
  const startedAt = performance.now()
  for (let seed = from; seed < from + seeds; seed++) {
    const failure = await examine(simulation, seed)
    if (failure === null) continue
    console.error(report(simulation, await shrink(simulation, failure)))
    return false
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
  console.log(`${seeds} seeds from ${from} in ${seconds} s: every promise was kept`)
  return true
}

process.on('unhandledRejection', (error) => {
  console.error('nobody heard of', error)
  process.exit(1)
})

async function run<S extends Drawn>(simulation: Simulation<S>): Promise<boolean> {
  const range = [Number(values.from), Number(values.seeds)] as const
  if (values.seed !== undefined) return one(simulation, Number(values.seed))
  return values.digest ? digests(...range) : many(simulation, ...range)
}

async function chosen(): Promise<boolean> {
  if (values.bus) return run(BUS_SIMULATION)
  if (values.presence) return run(PRESENCE_SIMULATION)
  return values.client ? run(CLIENT_SIMULATION) : run(simulationOf(engine))
}

const kept = await chosen()
process.exit(kept ? 0 : 1)
