/**
 * `npm run simulate -- --digest [--seeds 500] [--from 1]`: prints a line for each seed, with a hash
 * of everything that the reducers decided in it. Two versions of the engine that print the same
 * lines decided the same.
 */
import { createHash } from 'node:crypto'
import { scenarioOf } from './scenario.ts'
import { type Subject, simulate } from './world.ts'

/** More events than any scenario has. */
const ALL_INPUTS = 10_000_000

/**
 * @returns a hash of the effects of every step, in each run of the client in this seed's scenario.
 */
export async function digestOf(seed: number, subject: Subject): Promise<string> {
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
  const hash = createHash('sha256')
  for (const loop of loops) {
    for (const line of loop.recording()?.split('\n') ?? []) {
      if (!line.startsWith('{"inputs"')) continue
      const { effects } = JSON.parse(line) as { effects: object[] }
      const comparable = effects.map(withoutId)
      if (effects.length > 0) hash.update(`${JSON.stringify(comparable)}\n`)
    }
  }
  return hash.digest('hex').slice(0, 16)
}

/** Versions differ in how they number pings. */
function withoutId(effect: object): object {
  if (!('type' in effect) || effect.type !== 'pong') return effect
  return { type: 'pong' }
}
