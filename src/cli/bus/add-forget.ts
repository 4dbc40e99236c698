/** `it-mqtt bus forget`: removes the session of a listener that is no longer needed. */
import type { Command } from 'commander'
import { say } from '../fail.ts'
import { addConnectionFlags } from '../flags.ts'
import { write } from '../output.ts'
import { type BusPlaceFlags, duringSignal, NOT_FOR_LISTENERS, placeFrom } from './bus-place.ts'

interface ForgetFlags extends BusPlaceFlags {
  readonly process?: string
  readonly dead?: boolean
  readonly force?: boolean
}

export function addForget(bus: Command): void {
  const command = bus
    .command('forget')
    .summary('remove a listener that is no longer needed')
    .description(
      'Remove what the server keeps for a listener of one process: its subscriptions and all ' +
        'events that wait for it. Run it once for each process that has had the listener, after ' +
        'the processes run without it: if the process answers that it runs the listener, nothing ' +
        'is removed, and the status is 1. It writes what there was as JSON.',
    )
    .argument('<listener>', 'the names of the service and the listener, such as mail.welcome')
    .option('--process <name>', 'the process (default: the name of this machine)')
    .option('--dead', 'remove the dead letters too that the server keeps')
    .option('--force', 'do not ask the process whether it runs the listener')
    .option('--prefix <topic>', 'the beginning of all topics of the bus (default: bus)')
  addConnectionFlags(command, { without: NOT_FOR_LISTENERS }).action(
    async (listener: string, flags: ForgetFlags) => {
      process.exitCode = await duringSignal((signal) => forgetOne(listener, flags, signal))
    },
  )
}

async function forgetOne(name: string, flags: ForgetFlags, signal: AbortSignal): Promise<number> {
  const { forgetListener } = await import('../../bus/index.ts')
  const { process, dead, force } = flags
  const place = placeFrom(name, flags, signal)
  const forgotten = await forgetListener({ ...place, process, dead, force })
  await write(`${JSON.stringify(forgotten)}\n`)
  if (!forgotten.session && !flags.quiet) {
    say(`the server had no session of ${name} in this process; --process names another one`)
  }
  return 0
}
