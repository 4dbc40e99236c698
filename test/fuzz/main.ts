/**
 * A soak: `npm run fuzz -- [--inputs 10000000] [--seconds 60] [--seed 1] [--from 0]`
 *
 * One input in 200 passes the whole loop, the others the decoder. A failure prints the bytes and
 * the command that repeats it.
 */
import { parseArgs } from 'node:util'
import { checkDecoder, checkLoop, type Verdict } from './check.ts'
import { inputOf } from './inputs.ts'

/** Two of so many inputs in a row pass the whole loop, one with each tolerance. */
const LOOP_EVERY = 400
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '10000000' },
    seconds: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    from: { type: 'string', default: '0' },
  },
})
const seed = Number(values.seed)
const first = Number(values.from)
const last = first + Number(values.inputs)
const endsAt = performance.now() + Number(values.seconds) * 1000
const refusals = new Map<string, number>()
let packets = 0
let loops = 0
let number = first

for (; number < last && performance.now() < endsAt; number++) {
  const input = inputOf(seed, number)
  let verdict: Verdict
  try {
    const tolerance = number % 2 === 0 ? 'field' : 'strict'
    verdict = checkDecoder(input, tolerance)
    if (number % LOOP_EVERY < 2) {
      loops++
      await checkLoop(input, tolerance)
    }
  } catch (error) {
    console.error(error)
    console.error(`MQTT ${input.version}: ${input.bytes.toString('hex')}`)
    console.error(`again: npm run fuzz -- --seed ${seed} --from ${number} --inputs 1`)
    process.exit(1)
  }
  packets += verdict.packets
  const name = verdict.refused === 0 ? 'accepted' : `0x${verdict.refused.toString(16)}`
  refusals.set(name, (refusals.get(name) ?? 0) + 1)
}
console.log(
  `${number - first} inputs (seed ${seed}), ${loops} of them through the whole loop: no defect`,
)
console.log(
  `${packets} packets read; ${[...refusals].map(([name, n]) => `${name} ${n}`).join(', ')}`,
)
