/**
 * `it-mqtt bus stats`: what became of calls and events at each process?
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { number } from '../flags.ts'
import { type AskFlags, addAskFlags } from './ask-flags.ts'

const INTERVAL_S = 2
const INTERVAL_MAX_S = 86_400

interface StatsFlags extends AskFlags {
  readonly follow?: boolean
  readonly interval: number
}

export function addBusStats(bus: Command): void {
  const command = bus
    .command('stats')
    .summary('write what became of calls and events')
    .description(
      'Write what became of the calls, events and tasks of each process since it began: a line ' +
        'for each API that it serves, for each of its listeners, and for each of its tasks. If ' +
        'nobody answers, the status is 1.',
    )
    .option('--follow', 'write it again and again, until Ctrl-C')
    .addOption(
      new Option('--interval <seconds>', 'with --follow: how often')
        .argParser(interval)
        .default(INTERVAL_S),
    )
  addAskFlags(command).action(async (flags: StatsFlags) => {
    const { jsonLine, withProcesses } = await import('./ask-processes.ts')
    const { statsLines } = await import('./process-lines.ts')
    const textOf = flags.json ? jsonLine : statsLines
    process.exitCode = await withProcesses(flags, textOf, flags.follow ? flags.interval : null)
  })
}

function interval(text: string): number {
  const value = number(text)
  if (value > 0 && value <= INTERVAL_MAX_S) return value
  throw new InvalidArgumentError(`More than 0 and at most ${INTERVAL_MAX_S} is expected.`)
}
