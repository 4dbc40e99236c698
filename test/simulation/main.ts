/**
 * `npm run simulate -- [--seeds 2000] [--from 1]`, or one scenario again: `--seed n [--only 3,7]
 * [--trace]`. Exits with 1 at the first failure, which is printed with its events shrunk.
 * `--digest` prints what each seed made the reducers decide, as a hash.
 */
import { parseArgs } from 'node:util'
import * as engine from '../../src/index.ts'
import { digestOf } from './digest.ts'
import { examine, partOf, report, shrink } from './shrink.ts'
import { simulate } from './world.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    only: { type: 'string' },
    trace: { type: 'boolean', default: false },
    digest: { type: 'boolean', default: false },
  },
})

async function one(seed: number): Promise<boolean> {
  const named = values.only === 'none' ? [] : values.only?.split(',').map(Number)
  const scenario = partOf(seed, named ?? null)
  const problems = await simulate(scenario, engine, values.trace ? console.log : null)
  const only = named ?? scenario.events.map((_, index) => index)
  if (problems.length === 0) console.log(`seed ${seed}: every promise was kept`)
  else console.error(report({ seed, only, scenario, problems }))
  return problems.length === 0
}

/** For comparing two versions of the engine. */
async function digests(from: number, seeds: number): Promise<boolean> {
  for (let seed = from; seed < from + seeds; seed++) {
    console.log(`${seed} ${await digestOf(seed, engine)}`)
  }
  return true
}

async function many(from: number, seeds: number): Promise<boolean> {
  const startedAt = performance.now()
  for (let seed = from; seed < from + seeds; seed++) {
    const failure = await examine(seed, engine)
    if (failure === null) continue
    console.error(report(await shrink(failure, engine)))
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
const range = [Number(values.from), Number(values.seeds)] as const
const kept =
  values.seed !== undefined
    ? await one(Number(values.seed))
    : await (values.digest ? digests(...range) : many(...range))
process.exit(kept ? 0 : 1)
