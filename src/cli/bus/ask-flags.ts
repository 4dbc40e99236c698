/**
 * Which flags have the commands that ask the processes of a bus?
 */
import { type Command, Option } from 'commander'
import { addConnectionFlags, type ConnectionFlags, number } from '../flags.ts'

export interface AskFlags extends ConnectionFlags {
  readonly prefix?: string
  readonly api?: string
  readonly service?: string
  readonly timeout: number
  readonly json?: boolean
}

const ANSWERS_MS = 1000
/** A question has no session, and leaves nothing behind. */
const NEVER_TAKEN = [
  ...['--session', '--disable-clean-session', '--property', '-L'],
  ...['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
]

export function addAskFlags(command: Command): Command {
  command
    .option('--json', 'write each process as a line of JSON, with all that it says')
    .option('--service <name>', 'only processes of this service')
    .option('--api <name>', 'only processes that serve this API')
    .option('--prefix <topic>', 'the levels before all topics of the bus (default: bus)')
    .addOption(
      new Option('--timeout <ms>', 'how long answers are waited for')
        .argParser(number)
        .default(ANSWERS_MS),
    )
  return addConnectionFlags(command, { without: NEVER_TAKEN })
}
