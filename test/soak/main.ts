/**
 * `npm run soak -- [--minutes 60] [--seed 1] [--every 4] [--record folder]`: faults on real sockets,
 * one every few seconds; mosquitto is needed.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { soak } from './soak.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** Mean seconds without a fault between two faults of a transport. */
    every: { type: 'string', default: '4' },
    /**
     * The folder for the recordings of the loops if a promise was broken: `it-mqtt replay` reads
     * them.
     */
    record: { type: 'string' },
  },
})
const { record } = values
const seed = Number(values.seed)
console.log(`${values.minutes} minutes, seed ${seed}`)
const { problems, ...figures } = await soak({
  ms: Number(values.minutes) * 60_000,
  seed,
  faultEveryMs: Number(values.every) * 1000,
  pace: { everyMs: 10, batch: 3 },
  say: console.log,
  ...(record === undefined
    ? {}
    : { record: (name: string, text: string) => writeFileSync(join(record, name), text) }),
})
console.log(JSON.stringify(figures, null, 1))
const [early, late] = figures.heap
// A recording fills until it has as many inputs as it keeps.
const grew = record === undefined && late > early * 1.2 + 2
const left = figures.handles[1] > figures.handles[0]
if (grew) console.error(`the heap grew from ${early} to ${late} MB`)
if (left) console.error('handles are left')
for (const problem of problems) console.error(problem)
console.log(problems.length > 0 || grew || left ? 'FAILED' : 'nothing lost, doubled or reordered')
if (problems.length > 0 || grew || left) process.exitCode = 1
