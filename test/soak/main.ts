/**
 * `npm run soak -- [--minutes 60] [--seed 1] [--every 4] [--record folder] [--consumer-ms 1]`: faults
 * on real sockets, one every few seconds; mosquitto is needed.
 *
 * With `--consumer-ms` the consumers take that long for each message, and a connection that is lost
 * by anything but a fault is a failure. At the end it prints which fault cost how many connections.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { soak } from './soak.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /**
     * Mean seconds without a fault between two faults of a transport. Default: 4, or 15 if the
     * consumers are slow, because they have to catch up.
     */
    every: { type: 'string' },
    /** How many ms a consumer takes for each message. */
    'consumer-ms': { type: 'string', default: '0' },
    /**
     * The folder for the recordings of the loops if a promise was broken: `it-mqtt replay` reads
     * them.
     */
    record: { type: 'string' },
  },
})
const { record } = values
const seed = Number(values.seed)
const consumerMs = Number(values['consumer-ms'])
const slow = consumerMs > 0
console.log(
  `${values.minutes} minutes, seed ${seed}${slow ? `, consumers of ${consumerMs} ms` : ''}`,
)
const { problems, ...figures } = await soak({
  ms: Number(values.minutes) * 60_000,
  seed,
  faultEveryMs: Number(values.every ?? (slow ? 15 : 4)) * 1000,
  pace: { everyMs: 10, batch: slow ? 2 : 3 },
  consumerMs,
  say: console.log,
  ...(record === undefined
    ? {}
    : { record: (name: string, text: string) => writeFileSync(join(record, name), text) }),
})
console.log(JSON.stringify(figures, null, 1))
if (slow) printLosses()
const [early, late] = figures.heap
// A recording fills until it has as many inputs as it keeps.
const grew = record === undefined && late > early * 1.2 + 2
const left = figures.handles[1] > figures.handles[0]
if (grew) console.error(`the heap grew from ${early} to ${late} MB`)
if (left) console.error('handles are left')
for (const problem of problems) console.error(problem)
const good = slow
  ? 'nothing lost or doubled, and no connection but by a fault'
  : 'nothing lost, doubled or reordered'
console.log(problems.length > 0 || grew || left ? 'FAILED' : good)
if (problems.length > 0 || grew || left) process.exitCode = 1

function printLosses(): void {
  console.log('connections lost, by the fault that explains it:')
  for (const [fault, codes] of Object.entries(figures.losses)) {
    const count = Object.values(codes).reduce((sum, n) => sum + n, 0)
    console.log(`  ${fault}: ${count} (${Object.keys(codes).join(', ')})`)
  }
  console.log('messages, by the pair of loops:')
  for (const [name, { arrived, late, repeated }] of Object.entries(figures.traffic)) {
    const [, one, two] = arrived
    const counts = `${one} at QoS 1 and ${two} at QoS 2 arrived, ${figures.lost[name]} lost`
    console.log(`  ${name}: ${counts}, ${late[1] + late[2]} late, ${repeated[1]} repeated at QoS 1`)
  }
}
