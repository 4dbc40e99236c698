/**
 * Question: how many calls does a service answer whose handler only computes, by the number of its
 * processes?
 *
 * Method: mosquitto, one caller with a fixed number of calls open, and so many processes of one
 * program (programs/bus-worker.ts), which share the calls by a Shared Subscription. Goal: that the
 * same code goes as far as there are cores. Not a goal: a verdict; the caller and mosquitto need a
 * core too.
 *
 *   npm run bench:workers -- [--workers 1,2,8] [--seconds 10] [--rounds 20000] [--runs 3]
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { createBus, defineApi } from '../src/bus/index.ts'
import { compile } from './measure.ts'
import { broker, lacksBroker } from './met.ts'

/** More than all workers have at a time. */
const CALLS_OPEN = 32
const TIMEOUT_MS = 120_000

const { values: options } = parseArgs({
  options: {
    workers: { type: 'string', default: '1,2,8' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '20000' },
    runs: { type: 'string', default: '3' },
  },
})
const hashing = defineApi({ name: 'hashing', version: '1.0.0', rpcs: { hash: {} } })

interface Measured {
  readonly rate: number
  /** The smallest and the largest number of calls of one worker. */
  readonly least: number
  readonly most: number
  /** CPU time of all workers. */
  readonly cpuMsPerCall: number
}

/** What a worker says at its end. */
interface Share {
  readonly answered: number
  readonly cpuMs: number
}

async function started(script: string, port: number, index: number): Promise<ChildProcess> {
  const worker = fork(script, [String(port), `w${index}`, options.rounds])
  await once(worker, 'message')
  return worker
}

async function measure(script: string, count: number): Promise<Measured> {
  const { port, stop } = await broker(1000)
  const bus = createBus({
    ...{ service: 'caller', process: 'c', timeout: TIMEOUT_MS },
    client: { url: `mqtt://127.0.0.1:${port}` },
  })
  try {
    const workers: ChildProcess[] = []
    for (let i = 0; i < count; i++) workers.push(await started(script, port, i))
    const { hash } = bus.api(hashing)
    const startedAt = performance.now()
    const endsAt = startedAt + 1000 * Number(options.seconds)
    let answered = 0
    const caller = async () => {
      while (performance.now() < endsAt) {
        await hash()
        answered++
      }
    }
    await Promise.all(Array.from({ length: CALLS_OPEN }, caller))
    const seconds = (performance.now() - startedAt) / 1000
    const shares = await Promise.all(
      workers.map(async (worker) => {
        const told = once(worker, 'message') as Promise<[Share]>
        worker.kill('SIGTERM')
        return (await told)[0]
      }),
    )
    const counts = shares.map((share) => share.answered)
    const sum = counts.reduce((total, one) => total + one, 0)
    if (sum !== answered) throw new Error(`${answered} calls were answered, and ${sum} executed`)
    const cpuMs = shares.reduce((total, share) => total + share.cpuMs, 0)
    return {
      ...{ rate: answered / seconds, cpuMsPerCall: cpuMs / sum },
      ...{ least: Math.min(...counts), most: Math.max(...counts) },
    }
  } finally {
    await bus.close()
    stop()
  }
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

const lacks = lacksBroker()
if (lacks !== undefined) throw new Error(lacks)
const { scripts, remove } = await compile(['programs/bus-worker.ts'])
try {
  const counts = options.workers.split(',').map(Number)
  const all = new Map<number, Measured[]>(counts.map((count) => [count, []]))
  for (let run = 0; run < Number(options.runs); run++) {
    for (const count of counts) {
      all.get(count)!.push(await measure(scripts.get('bus-worker')!, count))
    }
  }
  const first = median(all.get(counts[0]!)!.map(({ rate }) => rate))
  const rows = [...all].map(([count, runs]) => {
    const rates = runs.map(({ rate }) => rate)
    const shown = (value: number) => Math.round(value)
    return {
      processes: count,
      'calls/s': shown(median(rates)),
      spread: `${shown(Math.min(...rates))}–${shown(Math.max(...rates))}`,
      ratio: Number((median(rates) / first).toFixed(2)),
      'CPU ms per call': Number(median(runs.map((one) => one.cpuMsPerCall)).toFixed(1)),
      'calls of one process': `${runs.at(-1)!.least}–${runs.at(-1)!.most}`,
    }
  })
  console.table(rows)
  console.log(`${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}`)
} finally {
  await remove()
}
