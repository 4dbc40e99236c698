/**
 * `it-mqtt presence`: who is there in a space? On a terminal as a list that is drawn again and
 * again, elsewhere as lines. With `--enter` the command is there itself, and leaves at its end.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from '../../index.ts'
import { reportFailure } from '../fail.ts'
import { addConnectionFlags, number } from '../flags.ts'
import { isClosedPipe } from '../output.ts'
import type { PresenceFlags } from './space-visit.ts'

/** Presence makes the will itself, and asks for everything again at each connection. */
const NOT_TAKEN = [
  ...['--session', '--disable-clean-session', '--property', '-L'],
  ...['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
]

export function addPresence(program: Command): void {
  const command = program
    .command('presence')
    .summary('show live who is there')
    .description(
      'Show who is there in a space of it-mqtt/presence, and who enters, leaves or is lost. On a ' +
        'terminal this is a list, which q ends. Otherwise each change is a line: enter, the ' +
        'client and its data as JSON. Those who were there before are "present".',
    )
    .argument('<space>', 'the name of the space')
    .option('--plain', 'write lines on a terminal too')
    .option('--json', 'write each change as a line of JSON, and "synced" when all have come')
    .option('--once', 'write who is there now, and end')
    .addOption(
      new Option(
        '--enter <json>',
        'be there too, with this data, until the command ends',
      ).argParser(jsonValue),
    )
    .option('--prefix <topic>', 'the beginning of all topics of presence (default: presence)')
    .addOption(
      new Option(
        '--ttl <seconds>',
        'with --enter: without a sign for so long it counts as lost; 0: never (default: 300)',
      ).argParser(number),
    )
  addConnectionFlags(command, { without: NOT_TAKEN }).action(
    async (space: string, flags: PresenceFlags) => {
      process.exitCode = await attend(space, flags)
    },
  )
}

async function attend(space: string, flags: PresenceFlags): Promise<number> {
  const { stdout, stderr, env } = process
  const isPlain = flags.plain || flags.json || flags.once
  const isScreen = stdout.isTTY && env['TERM'] !== 'dumb' && !isPlain
  if (isScreen && flags.debug && stderr.isTTY) {
    throw new UsageError('-d would write over the screen: add 2>file, or --plain')
  }
  if (flags.ttl !== undefined && flags.enter === undefined) {
    throw new UsageError('--ttl is about what --enter enters; give both, or neither')
  }
  try {
    if (isScreen) return await (await import('./space-screen.ts')).showSpace(space, flags)
    return await (await import('./space-lines.ts')).writeSpace(space, flags)
  } catch (error) {
    return isClosedPipe(error) ? 0 : reportFailure(error)
  }
}

function jsonValue(text: string): { readonly data: unknown } {
  try {
    return { data: JSON.parse(text) }
  } catch (error) {
    const why = (error as Error).message
    throw new InvalidArgumentError(`JSON is expected, such as '{"name":"Ada"}': ${why}.`)
  }
}
