/**
 * `npm run simulate -- --digest [--seeds 500] [--from 1]`: a line for each seed, the seed and a
 * hash of everything that the reducers decided in it. Two versions of the engine that print the
 * same lines decided the same.
 */
import { createHash } from 'node:crypto'
import { scenarioOf } from './scenario.ts'
import { type Subject, simulate } from './world.ts'

/** More events than any scenario has. */
const ALL_INPUTS = 10_000_000

/** @returns the recording of each run of the client in this seed's scenario. */
export async function recordingsOf(seed: number, subject: Subject): Promise<string[]> {
  const loops: ReturnType<Subject['eventloop']>[] = []
  const recording: Subject = {
    ...subject,
    eventloop: (options, requests, controls) => {
      const loop = subject.eventloop(
        { ...(options as object), recorder: { inputs: ALL_INPUTS } } as typeof options,
        requests,
        controls,
      )
      loops.push(loop)
      return loop
    },
  }
  await simulate(scenarioOf(seed), recording)
  return loops.map((loop) => loop.recording() ?? '')
}

/**
 * @returns a hash of the effects of every step, in each run of the client in this seed's scenario.
 */
export async function digestOf(seed: number, subject: Subject): Promise<string> {
  const hash = createHash('sha256')
  for (const recording of await recordingsOf(seed, subject)) {
    for (const line of recording.split('\n')) {
      if (!line.startsWith('{"inputs"')) continue
      const { effects } = JSON.parse(line) as { effects: object[] }
      const comparable = effects.map(comparableOf)
      if (effects.length > 0) hash.update(`${JSON.stringify(comparable)}\n`)
    }
  }
  return hash.digest('hex').slice(0, 16)
}

/** The names of effects in earlier versions. */
const EARLIER_NAMES: Readonly<Record<string, string>> = {
  holdBack: 'withhold',
  releaseHeldBack: 'unwithhold',
}

/**
 * @returns the effect as every version has it: with its first name, without what only some versions
 * add.
 */
function comparableOf(effect: object): object {
  const { type, ...rest } = effect as { type: string; facts?: object }
  if (type === 'pong') return { type }
  if (type === 'transition') delete (rest as { sessionPresent?: unknown }).sessionPresent
  if (type !== 'unsubscribe') return { type: EARLIER_NAMES[type] ?? type, ...rest }
  const { properties, ...facts } = rest.facts as { properties?: object }
  return { type, ...rest, facts }
}
