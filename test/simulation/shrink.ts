/** Finds fewer events that still fail: what is left tells how the failure comes about. */
import { type Scenario, scenarioOf } from './scenario.ts'
import { type Subject, simulate } from './world.ts'

/** The most runs that shrinking may cost. */
const TRIALS_MAX = 400

/** What a simulation draws from a seed. */
export interface Drawn {
  readonly setup: unknown
  readonly events: readonly { readonly after: number; readonly what: unknown }[]
}

/** A simulation: of the engine, or of its clients. */
export interface Simulation<S extends Drawn> {
  /** The options of `npm run simulate` that choose it. */
  readonly flags: string
  scenarioOf(seed: number): S
  /** @returns the problems in the order in which they were seen. */
  simulate(scenario: S, trace?: ((line: string) => void) | null): Promise<readonly string[]>
}

export interface Failure<S extends Drawn = Scenario> {
  readonly seed: number
  /** Indices of the events that are left. */
  readonly only: readonly number[]
  readonly scenario: S
  readonly problems: readonly string[]
}

/** @returns the simulation of the engine, or of a copy of it. */
export function simulationOf(subject: Subject): Simulation<Scenario> {
  return {
    flags: '',
    scenarioOf,
    simulate: (scenario, trace = null) => simulate(scenario, subject, trace),
  }
}

/** @returns the scenario of a seed with only these of its events. */
export function partOf<S extends Drawn>(
  simulation: Simulation<S>,
  seed: number,
  only: readonly number[] | null,
): S {
  const scenario = simulation.scenarioOf(seed)
  if (only === null) return scenario
  return { ...scenario, events: only.map((index) => scenario.events[index]!) }
}

/** @returns the first problem of this seed, or null if there is none. */
export async function examine<S extends Drawn>(
  simulation: Simulation<S>,
  seed: number,
): Promise<Failure<S> | null> {
  const scenario = simulation.scenarioOf(seed)
  const problems = await simulation.simulate(scenario)
  if (problems.length === 0) return null
  return { seed, only: scenario.events.map((_, index) => index), scenario, problems }
}

/** Leaves events out, first half of them, then fewer, as long as the same promise is broken. */
export async function shrink<S extends Drawn>(
  simulation: Simulation<S>,
  failure: Failure<S>,
): Promise<Failure<S>> {
  let best = failure
  const promise = idOf(failure.problems)
  let trials = 0
  for (let size = Math.ceil(best.only.length / 2); size >= 1; size = size > 1 ? size >> 1 : 0) {
    for (let at = 0; at < best.only.length && trials < TRIALS_MAX; ) {
      const only = [...best.only.slice(0, at), ...best.only.slice(at + size)]
      const scenario = partOf(simulation, failure.seed, only)
      trials++
      const problems = await simulation.simulate(scenario)
      const candidate = { seed: failure.seed, only, scenario, problems }
      if (problems.length > 0 && idOf(problems) === promise) best = candidate
      else at += size
    }
  }
  return best
}

function idOf(problems: readonly string[]): string {
  return /^\[(.*?)\]/.exec(problems[0] ?? '')?.[1] ?? ''
}

/**
 * @returns what a person needs: what broke, which events led there, and the command that repeats
 * it.
 */
export function report<S extends Drawn>(
  { flags }: Simulation<S>,
  { seed, only, scenario, problems }: Failure<S>,
): string {
  const events = scenario.events.map(({ after, what }) => `  +${after} ms ${JSON.stringify(what)}`)
  return [
    `seed ${seed}: ${problems[0]}`,
    JSON.stringify(scenario.setup),
    ...events,
    `again: npm run simulate -- ${flags}--seed ${seed} --only ${only.join(',') || 'none'}`,
  ].join('\n')
}
