/**
 * How is a process of a service written for people? Its names come from other processes, so what a
 * terminal would obey is escaped.
 */
import type { DiscoveredProcess } from '../../bus/index.ts'
import { safeText } from '../top/safe-text.ts'

/** @returns a process as a line: who it is, what it serves, listens with and runs. */
export function processLine(one: DiscoveredProcess): string {
  const apis = one.apis.map(({ name, version }) => `${name} ${version}`).join(', ')
  const listeners = one.listeners.map(({ name }) => name).join(', ')
  const serves = apis === '' ? '' : `serves ${apis}`
  const hears = listeners === '' ? '' : `listens as ${listeners}`
  const tasks = one.tasks.map(({ name }) => name).join(', ')
  const runs = tasks === '' ? '' : `runs ${tasks}`
  const parts = [serves, hears, runs].filter((part) => part !== '')
  return line(one, parts.join('; ') || 'serves nothing')
}

/** @returns a line for each API, each listener and each task of a process. */
export function statsLines(one: DiscoveredProcess): string {
  const apis = one.apis.map(({ name, version, stats }) => {
    const { received, answered, failed, running, pending, busy } = stats
    return line(
      one,
      `${name} ${version}${counts({ received, answered, failed, running, pending, busy })}`,
    )
  })
  const listeners = one.listeners.map(({ name, waiting, stats }) => {
    const { handled, running, retried, skipped, dead } = stats
    return line(one, `${name}${counts({ handled, running, waiting, retried, skipped, dead })}`)
  })
  const tasks = one.tasks.map(({ name, nextAt, stats }) => {
    const { handled, running, skipped, missed, passed } = stats
    const next = nextAt === null ? '' : `, next ${timeText(nextAt)}`
    return line(one, `${name}${counts({ handled, running, skipped, missed, passed })}${next}`)
  })
  return [...apis, ...listeners, ...tasks].join('') || line(one, 'serves nothing')
}

/** @returns a time that another process has named, in UTC; such a number may be no time. */
function timeText(at: number): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? String(at) : date.toISOString()
}

function line({ service, process }: DiscoveredProcess, rest: string): string {
  return `${safeText(`${service}/${process}`)}  ${safeText(rest)}\n`
}

function counts(numbers: Readonly<Record<string, number>>): string {
  return `: ${Object.entries(numbers)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}`
}
