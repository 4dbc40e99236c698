/**
 * The drill: all faults of connections together. Each station has its own kinds of fault, one after
 * another, for as long as the drill lasts; then all messages must have arrived. mosquitto and nginx
 * are needed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { randomOf } from '../support/random.ts'
import { between, type Report, Scope, type Station } from './station.ts'
import { authentication, failover, frozen, tokens, webSockets } from './stations.ts'

const STATIONS = [failover, frozen, webSockets, tokens, authentication]

export interface DrillOptions {
  readonly ms: number
  readonly seed: number
  /** Mean time without a fault between two faults of a station, in seconds. */
  readonly pauseMs: number
  readonly say: (line: string) => void
}

export async function drill({ ms, seed, pauseMs, say }: DrillOptions): Promise<Report[]> {
  const scope = new Scope()
  try {
    const stations: Station[] = []
    for (const open of STATIONS) stations.push(await open(scope))
    const until = performance.now() + ms
    const reports = stations.map((station, i) =>
      run(station, until, randomOf(seed + i), pauseMs, say),
    )
    return await Promise.all(reports)
  } finally {
    await scope.end()
  }
}

async function run(
  station: Station,
  until: number,
  random: () => number,
  pauseMs: number,
  say: (line: string) => void,
): Promise<Report> {
  const faults: Record<string, number> = {}
  const problems: string[] = []
  while (performance.now() < until) {
    await sleep(between(random, pauseMs / 2, pauseMs * 1.5))
    try {
      const fault = await station.disturb(random)
      faults[fault] = (faults[fault] ?? 0) + 1
    } catch (error) {
      problems.push(String(error))
      say(`${station.name}: ${String(error)}`)
      break
    }
  }
  const report = await station.finish()
  say(`${report.name}: ${report.produced} messages, ${JSON.stringify(faults)}`)
  return { ...report, faults, problems: [...problems, ...report.problems] }
}
