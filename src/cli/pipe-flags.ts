/**
 * Which options does `pipe` have, and which of them go together?
 */
import { type Command, Option } from 'commander'
import { UsageError } from '../index.ts'
import { addConnectionFlags, type ConnectionFlags, number, qosOption } from './flags.ts'

export interface PipeFlags extends ConnectionFlags {
  readonly topic?: string
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
  readonly json?: boolean
  readonly onInvalid: 'stop' | 'skip'
  readonly checkpoint?: string
  readonly follow?: boolean
  readonly complete?: boolean
  readonly spool?: string
  readonly maxMessages?: number
  readonly maxBytes?: number
  readonly overflow?: 'wait' | 'reject' | 'dropOldest' | 'dropNewest'
}

/** @returns the command `pipe`, without what it does. */
export function addPipeCommand(program: Command): Command {
  const invalid = new Option('--on-invalid <what>', 'what to do at a line that is not a request')
  const overflow = new Option(
    '--overflow <what>',
    'at a full spool: wait with reading, reject the line and end reading, or drop the oldest or ' +
      'the newest request (default: wait)',
  )
  const command = program
    .command('pipe')
    .summary('send the requests of a file or of standard input')
    .description(
      'Send the requests of a file, one JSON object in each line: ' +
        '{"topic":"a/b","payload":"21.5","qos":1,"retain":true}. A payload is text or, for ' +
        'bytes, {"base64":"AP8="}. {"cmd":"subscribe","subscriptions":[{"topic":"a/#",' +
        '"qos":1}]} is a request too, and so are lines that mosquitto_sub -F %j writes. With -t ' +
        'each line is a payload as it is. With --session, --checkpoint or --spool, an ' +
        'interrupted file goes on where it stopped.',
    )
    .argument('[file]', '- is standard input; what gzip packed is unpacked', '-')
    .option(
      '-t, --topic <topic>',
      'take each line as a payload for this topic; blank lines are skipped',
    )
    .addOption(
      qosOption(
        '-q, --qos <qos>',
        'for lines that do not give one (default: 0; with --session, --checkpoint or --spool 1)',
      ),
    )
    .option('-r, --retain', 'for lines that do not say whether to retain')
    .option('--checkpoint <file>', 'store here how far the file was delivered, and go on there')
    .option('--follow', 'wait for the file to appear, to grow and to be replaced')
    .option(
      '--complete',
      'the file does not grow any more: with --checkpoint, send a last line without line end too',
    )
    .option(
      '--spool <directory>',
      'store lines as fast as the disk takes them, and deliver them from there, whenever there ' +
        'is a connection (--reconnect always); needs the package classic-level',
    )
    .option('--max-messages <count>', 'with --spool: how many requests may be in it', number)
    .option('--max-bytes <bytes>', 'with --spool: how many bytes may be in it', number)
    .addOption(overflow.choices(['wait', 'reject', 'dropOldest', 'dropNewest']))
    .option('--json', 'write the outcomes to standard output, one JSON object in each line')
    .addOption(invalid.choices(['stop', 'skip']).default('stop'))
  return addConnectionFlags(command)
}

/** @throws UsageError if an option has no effect with what is read, or with the others. */
export function checkPipeFlags(path: string, flags: PipeFlags, isStream: boolean): void {
  const { checkpoint, follow, complete, maxMessages, maxBytes, overflow } = flags
  if (follow && complete) throw new UsageError('--complete: a file that is followed may grow')
  const given = Object.entries({ checkpoint, follow }).find(([, value]) => value !== undefined)
  if (isStream && given !== undefined) {
    throw new UsageError(`--${given[0]} needs a file: a stream cannot be read again`)
  }
  if (follow && path.endsWith('.gz')) throw new UsageError('--follow: a .gz does not grow')
  const bounds = { 'max-messages': maxMessages, 'max-bytes': maxBytes, overflow }
  const bound = Object.entries(bounds).find(([, value]) => value !== undefined)
  if (bound !== undefined && flags.spool === undefined) {
    throw new UsageError(`--${bound[0]} needs --spool: it is about what the spool may hold`)
  }
  if (overflow !== undefined && maxMessages === undefined && maxBytes === undefined) {
    throw new UsageError('--overflow needs --max-messages or --max-bytes: nothing else is a bound')
  }
}
