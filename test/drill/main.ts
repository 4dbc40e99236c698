/**
 * `npm run drill -- [--minutes 10] [--seed 1] [--pause 2]`: runs the drill; mosquitto and nginx are
 * needed.
 */
import { parseArgs } from 'node:util'
import { drill } from './drill.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** Mean seconds without a fault between two faults of a station. */
    pause: { type: 'string', default: '2' },
  },
})
console.log(`${values.minutes} minutes, seed ${values.seed}`)
const reports = await drill({
  ms: Number(values.minutes) * 60_000,
  seed: Number(values.seed),
  pauseMs: Number(values.pause) * 1000,
  say: console.log,
})
console.log(JSON.stringify(reports, null, 1))
const problems = reports.flatMap(({ name, problems }) => problems.map((one) => `${name}: ${one}`))
for (const problem of problems) console.error(problem)
console.log(problems.length > 0 ? 'FAILED' : 'every message arrived')
if (problems.length > 0) process.exitCode = 1
