/** Fewer events that still fail: what is left is the story of the failure. */
import { type Scenario, scenarioOf } from './scenario.ts'
import { type Subject, simulate } from './world.ts'

/** Runs that a shrink may cost. */
const TRIALS_MAX = 400

export interface Failure {
  readonly seed: number
  /** Indices of the events that are left. */
  readonly only: readonly number[]
  readonly scenario: Scenario
  readonly problems: readonly string[]
}

/** The scenario of a seed with those of its events that are named. */
export function partOf(seed: number, only: readonly number[] | null): Scenario {
  const scenario = scenarioOf(seed)
  if (only === null) return scenario
  return { ...scenario, events: only.map((index) => scenario.events[index]!) }
}

/** Null: nothing is wrong with this seed. */
export async function examine(seed: number, subject: Subject): Promise<Failure | null> {
  const scenario = scenarioOf(seed)
  const problems = await simulate(scenario, subject)
  if (problems.length === 0) return null
  return { seed, only: scenario.events.map((_, index) => index), scenario, problems }
}

/** Leaves events out, half of them, then fewer at once, as long as the same promise is broken. */
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

/** What a person needs: what broke, what led there, and the command that has it again. */
export function tell({ seed, only, scenario, problems }: Failure): string {
  const events = scenario.events.map(({ after, what }) => `  +${after} ms ${JSON.stringify(what)}`)
  return [
    `seed ${seed}: ${problems[0]}`,
    JSON.stringify(scenario.setup),
    ...events,
    `again: npm run simulate -- --seed ${seed} --only ${only.join(',') || 'none'}`,
  ].join('\n')
}
