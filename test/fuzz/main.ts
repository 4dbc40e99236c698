/**
 * A soak: `npm run fuzz -- [--inputs 10000000] [--seconds 60] [--seed 1] [--from 0]
 * [--event-stream]`
 *
 * One input in 200 passes the whole loop, the others the decoder. With `--event-stream` the inputs
 * are those of event streams, and one in 200 passes `decodeStream`. A failure prints the bytes and
 * the command that repeats it.
 */
import { parseArgs } from 'node:util'
import { checkDecoder, checkLoop } from './check.ts'
import { checkFrames, checkStream, frameInputOf } from './frames.ts'
import { inputOf } from './inputs.ts'

/** Two of so many inputs in a row pass the whole loop, one with each tolerance. */
const LOOP_EVERY = 400
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '10000000' },
    seconds: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    from: { type: 'string', default: '0' },
    'event-stream': { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed)
const first = Number(values.from)
const last = first + Number(values.inputs)
const endsAt = performance.now() + Number(values.seconds) * 1000

/** What is tried with one input: what was read, and how it ended. */
interface Trial {
  /** The input, for the message of a failure. */
  show(): string
  run(isWhole: boolean): Promise<Verdict>
}

interface Verdict {
  readonly read: number
  readonly end: string
}

function packetTrial(number: number): Trial {
  const input = inputOf(seed, number)
  const tolerance = number % 2 === 0 ? 'field' : 'strict'
  const run = async (isWhole: boolean) => {
    const { packets, refused } = checkDecoder(input, tolerance)
    if (isWhole) await checkLoop(input, tolerance)
    return { read: packets, end: refused === 0 ? 'accepted' : `0x${refused.toString(16)}` }
  }
  return { show: () => `MQTT ${input.version}: ${input.bytes.toString('hex')}`, run }
}

function frameTrial(number: number): Trial {
  const input = frameInputOf(seed, number)
  const run = async (isWhole: boolean) => {
    const { messages, rule, isCut } = checkFrames(input, number)
    if (isWhole) await checkStream(input)
    return { read: messages, end: rule ?? (isCut ? 'cut' : 'accepted') }
  }
  return { show: () => Buffer.from(input.bytes).toString('hex'), run }
}

// Most inputs are refused, and a stack costs more than a decoding.
if (last - first > 1) Error.stackTraceLimit = 0
const trialOf = values['event-stream'] ? frameTrial : packetTrial
const ends = new Map<string, number>()
let read = 0
let wholes = 0
let number = first

for (; number < last && performance.now() < endsAt; number++) {
  const trial = trialOf(number)
  const isWhole = number % LOOP_EVERY < 2
  try {
    if (isWhole) wholes++
    const verdict = await trial.run(isWhole)
    read += verdict.read
    ends.set(verdict.end, (ends.get(verdict.end) ?? 0) + 1)
  } catch (error) {
    console.error(error)
    console.error(trial.show())
    const kind = values['event-stream'] ? ' --event-stream' : ''
    console.error(`again: npm run fuzz -- --seed ${seed} --from ${number} --inputs 1${kind}`)
    process.exit(1)
  }
}
const whole = values['event-stream'] ? 'decodeStream' : 'the whole loop'
const what = values['event-stream'] ? 'messages' : 'packets'
console.log(
  `${number - first} inputs (seed ${seed}), ${wholes} of them through ${whole}: no defect`,
)
console.log(`${read} ${what} read; ${[...ends].map(([name, n]) => `${name} ${n}`).join(', ')}`)
