/**
 * Question: what do many connections with one message a second each cost, beside MQTT.js?
 *
 * Method: one process holds all connections, the server is another; the two libraries take turns.
 */
import { readFileSync } from 'node:fs'
import { inTurn, type Server, summary } from '../measure.ts'

/** Files that a process has open beside its connections. */
const OTHER_FILES = 100
/** A run takes half a minute. */
const RUNS_MAX = 3

/** The programs, which main.ts compiles. */
export const SOURCES = ['scale/many.ts', 'scale/many-mqttjs.ts']

/** @returns what this machine lacks for so many connections, or null. */
export function lacks(connections: number, limits = processLimits()): string | null {
  const [, soft = 'unlimited'] = /^Max open files\s+(\S+)/m.exec(limits) ?? []
  const needed = connections + OTHER_FILES
  if (soft === 'unlimited' || Number(soft) >= needed) return null
  return `a process may open ${soft} files here, and ${needed} are needed: ulimit -n ${needed}`
}

/** @returns a line for each library. */
export async function measureBeside(
  server: Server,
  scripts: ReadonlyMap<string, string>,
  connections: number,
  runs: number,
): Promise<object[]> {
  const program = (name: string, script: string) => ({
    name,
    script: scripts.get(script)!,
    args: [server.port, connections],
  })
  const programs = [program('it-mqtt', 'many'), program('mqtt.js', 'many-mqttjs')]
  const figures = await inTurn(programs, Math.min(runs, RUNS_MAX))
  return programs.map(({ name }) => {
    const of = (metric: string) => {
      const { median, low, high } = summary(figures.get(name) ?? [], metric)
      const [middle, from, to] = [median, low, high].map((value) => Number(value.toPrecision(3)))
      return `${middle} (${from}–${to})`
    }
    return {
      program: name,
      connections,
      'CPU %': of('cpuPercent'),
      'CPU µs per message': of('cpuMicros'),
      'resident MB': of('rssMB'),
      'acknowledged/s': of('rate'),
    }
  })
}

function processLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    // Without /proc nothing is known: the first connection that is refused says so.
    return ''
  }
}
