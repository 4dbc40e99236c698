/** Finds fewer events that still fail: what is left tells how the failure comes about. */
import { type Scenario, scenarioOf } from './scenario.ts'
import { type Subject, simulate } from './world.ts'

/** The most runs that shrinking may cost. */
const TRIALS_MAX = 400

export interface Failure {
  readonly seed: number
  /** Indices of the events that are left. */
  readonly only: readonly number[]
  readonly scenario: Scenario
  readonly problems: readonly string[]
}

/** @returns the scenario of a seed with only these of its events. */
export function partOf(seed: number, only: readonly number[] | null): Scenario {
  const scenario = scenarioOf(seed)
  if (only === null) return scenario
  return { ...scenario, events: only.map((index) => scenario.events[index]!) }
}

/** @returns the first problem of this seed, or null if there is none. */
export async function examine(seed: number, subject: Subject): Promise<Failure | null> {
  const scenario = scenarioOf(seed)
  const problems = await simulate(scenario, subject)
  if (problems.length === 0) return null
  return { seed, only: scenario.events.map((_, index) => index), scenario, problems }
}

/** Leaves events out, first half of them, then fewer, as long as the same promise is broken. */
export async function shrink(failure: Failure, subject: Subject): Promise<Failure> {
  let best = failure
  const promise = idOf(failure)
  let trials = 0
  for (let size = Math.ceil(best.only.length / 2); size >= 1; size = size > 1 ? size >> 1 : 0) {
    for (let at = 0; at < best.only.length && trials < TRIALS_MAX; ) {
      const only = [...best.only.slice(0, at), ...best.only.slice(at + size)]
      const scenario = partOf(failure.seed, only)
      trials++
      const problems = await simulate(scenario, subject)
      const candidate = { seed: failure.seed, only, scenario, problems }
      if (problems.length > 0 && idOf(candidate) === promise) best = candidate
      else at += size
    }
  }
  return best
}

function idOf({ problems }: Failure): string {
  return /^\[(.*?)\]/.exec(problems[0] ?? '')?.[1] ?? ''
}

/**
 * @returns what a person needs: what broke, which events led there, and the command that repeats
 * it.
 */
export function report({ seed, only, scenario, problems }: Failure): string {
  const events = scenario.events.map(({ after, what }) => `  +${after} ms ${JSON.stringify(what)}`)
  return [
    `seed ${seed}: ${problems[0]}`,
    JSON.stringify(scenario.setup),
    ...events,
    `again: npm run simulate -- --seed ${seed} --only ${only.join(',') || 'none'}`,
  ].join('\n')
}
