/**
 * `npm run kill -- [--times 1000] [--seed 1]`: kills the real program with SIGKILL many times;
 * mosquitto is needed.
 */
import { parseArgs } from 'node:util'
import { kill } from './kill.ts'

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const seed = Number(values.seed)
console.log(`${values.times} kills, seed ${seed}`)
const startedAt = performance.now()
const { problems, ...figures } = await kill({ kills: Number(values.times), seed, say: console.log })
console.log(JSON.stringify(figures, null, 1))
for (const problem of problems) console.error(problem)
const took = ((performance.now() - startedAt) / 1000).toFixed(0)
console.log(`${problems.length > 0 ? 'FAILED' : 'nothing lost, nothing doubled'} (${took} s)`)
if (problems.length > 0) process.exitCode = 1
