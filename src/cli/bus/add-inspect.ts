/** `it-mqtt bus inspect`: which events, dead letters and schema documents are there, and come? */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { addConnectionFlags, number } from '../flags.ts'
import type { InspectFlags, WantedValue } from './inspect-flags.ts'

const INSPECT_MS = 5000
/** Who looks on has no session, so that the server keeps nothing for it. */
const WITHOUT_SESSION = [
  ...['--session', '--disable-clean-session', '--session-expiry', '--property', '-L'],
  ...['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
]

export function addInspect(bus: Command): void {
  const command = bus
    .command('inspect')
    .summary('write events, dead letters and schemas of a bus')
    .description(
      'Write what lies at the server and what comes: events, dead letters and schema documents, ' +
        'a line for each. MQTT keeps no history: events that were fired before are not there, ' +
        'and of dead letters only those of listeners with retainDead. Nothing is taken from ' +
        'listeners. It ends when all that is retained was written; with --follow at Ctrl-C. If ' +
        'there was nothing, the status is 1.',
    )
    .option('--api <name>', 'only this API')
    .option(
      '--event <name>',
      'only events and dead letters of this name; * is any text, ? any letter',
    )
    .option('--id <id>', 'only the event of this name, and its dead letters')
    .addOption(
      new Option(
        '--where <path=value>',
        'only events and dead letters whose value has this, such as user.age=3; may be repeated',
      ).argParser(wantedValue),
    )
    .option('--dead', 'only dead letters')
    .option(
      '--validate',
      'say of each whether it fits the schema documents at the server; it needs the package ' +
        '@cfworker/json-schema',
    )
    .addOption(
      new Option(
        '--trust-patterns',
        'validate with the patterns of these documents too; others can write some that never end',
      ).implies({ validate: true }),
    )
    .option('--follow', 'go on with what comes, until Ctrl-C')
    .addOption(
      new Option('--format <name>', 'a line for people, a line of JSON, or indented JSON')
        .choices(['human', 'json', 'pretty'])
        .conflicts('json'),
    )
    .option('--json', 'as --format json')
    .option('--prefix <topic>', 'the levels before all topics of the bus (default: bus)')
    .addOption(
      new Option('--timeout <ms>', 'how long the server has to answer and to send what is retained')
        .argParser(number)
        .default(INSPECT_MS),
    )
  addConnectionFlags(command, { without: WITHOUT_SESSION }).action(async (flags: InspectFlags) => {
    const { inspect } = await import('./inspect-run.ts')
    process.exitCode = await inspect(flags)
  })
}

function wantedValue(given: string, before: readonly WantedValue[] = []): readonly WantedValue[] {
  const [, path, text] = /^([^=]+)=(.*)$/s.exec(given) ?? []
  if (path === undefined || text === undefined) {
    throw new InvalidArgumentError('A path and a value are expected, such as user.age=3.')
  }
  return [...before, { path: path.split('.'), text }]
}
