/**
 * `it-mqtt top`: what is published, how often and how large? On a terminal as a tree that is drawn
 * again and again, elsewhere as NDJSON. What draws is loaded only by this command.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from '../index.ts'
import { reportFailure } from './fail.ts'
import { addConnectionFlags, number, qosOption, severalTimes } from './flags.ts'
import { isClosedPipe } from './output.ts'
import { positive } from './receive-flags.ts'
import type { TopFlags } from './top/watch-topics.ts'

const MAX_TOPICS = 20_000

export function addTop(program: Command): void {
  const command = program
    .command('top')
    .summary('show live which topics have how many messages')
    .description(
      'Show which topics have how many messages, how large they are and what the last one was. ' +
        'On a terminal this is a tree with keys; ? shows them. Otherwise each topic that had a ' +
        'message in the interval is a line of JSON. MQTT does not tell who published a message.',
    )
    .argument('[filters...]', 'the topic filters; as -t (default: #, without $SYS)')
    .addOption(new Option('-t, --topic <filter>', 'may be repeated').argParser(severalTimes))
    .addOption(qosOption('-q, --qos <qos>', 'the highest QoS to receive (default: 0)'))
    .addOption(
      new Option('-T, --filter-out <filter>', 'leave out what matches; may be repeated').argParser(
        severalTimes,
      ),
    )
    .addOption(new Option('-R, --skip-retained', 'leave out what was retained before'))
    .addOption(
      new Option('-C, --count <count>', 'end after this many messages').argParser(positive),
    )
    .addOption(
      new Option(
        '-W, --timeout <seconds>',
        'end so long after connecting, with status 27',
      ).argParser(positive),
    )
    .addOption(
      new Option('--max-topics <count>', 'how many topics are kept; the others are only counted')
        .argParser(positive)
        .default(MAX_TOPICS),
    )
    .option('--json', 'write lines of JSON on a terminal too')
    .addOption(
      new Option('--interval <seconds>', 'with lines of JSON: how often they are written')
        .argParser(interval)
        .default(1),
    )
  addConnectionFlags(command, { packets: ['subscribe'] }).action(
    async (filters: string[], flags: TopFlags) => {
      process.exitCode = await top(filters, flags)
    },
  )
}

async function top(filters: readonly string[], flags: TopFlags): Promise<number> {
  const { stdout, stderr, env } = process
  const isScreen = stdout.isTTY && env['TERM'] !== 'dumb' && flags.json !== true
  if (isScreen && flags.debug && stderr.isTTY) {
    throw new UsageError('-d would write over the screen: add 2>file, or --json')
  }
  try {
    if (isScreen) return await (await import('./top/live-screen.ts')).showTopics(filters, flags)
    return await (await import('./top/ndjson-report.ts')).reportTopics(filters, flags)
  } catch (error) {
    return isClosedPipe(error) ? 0 : reportFailure(error)
  }
}

function interval(text: string): number {
  const seconds = number(text)
  if (seconds < 0.1 || seconds > 86_400) {
    throw new InvalidArgumentError('0.1 to 86400 is expected.')
  }
  return seconds
}
