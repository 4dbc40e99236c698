/** `it-mqtt bus shell`: call services by hand, from a terminal or a script. */
import { type Command, Option } from 'commander'
import { addConnectionFlags, number } from '../flags.ts'
import type { ShellFlags } from './shell-flags.ts'

const SHELL_CALL_MS = 5000
/** A shell has no session, and leaves nothing behind. */
const WITHOUT_TRACE = [
  ...['--session', '--disable-clean-session', '--session-expiry', '--property', '-L'],
  ...['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
]

export function addShell(bus: Command): void {
  const command = bus
    .command('shell')
    .summary('call services by hand, in JavaScript')
    .description(
      'Read JavaScript, with await, and write what it results in. There are bus, and api with ' +
        'each API: await api.auth.checkPassword(…). On a terminal the tab key completes names, ' +
        'what was typed is kept in it-mqtt/bus-shell-history of $XDG_STATE_HOME or ' +
        '~/.local/state, and Ctrl-D ends it. Otherwise standard input is read whole, the last ' +
        'value is written as JSON, and an error gives its status.',
    )
    .option(
      '--module <file>',
      'a JavaScript module that exports APIs; its code runs (default: what services have ' +
        'published, whose values are then not validated here)',
    )
    .option('--prefix <topic>', 'the levels before all topics of the bus (default: bus)')
    .addOption(
      new Option('--timeout <ms>', 'how long a call waits for its answer')
        .argParser(number)
        .default(SHELL_CALL_MS),
    )
  addConnectionFlags(command, { without: WITHOUT_TRACE }).action(async (flags: ShellFlags) => {
    const { runShell } = await import('./shell-run.ts')
    process.exitCode = await runShell(flags)
  })
}
