/**
 * `it-mqtt bench`: how fast is a server? Four commands share most of their options; plan.ts says
 * what the options mean, and conduct.ts does it.
 */
import { writeFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { UsageError } from '../../index.ts'
import { say } from '../fail.ts'
import { addConnectionFlags, number, qosOption, severalTimes } from '../flags.ts'
import { write } from '../output.ts'
import { positive } from '../receive-flags.ts'
import {
  type BenchFlags,
  type BenchKind,
  longerThanZero,
  milliseconds,
  perSecond,
  planOf,
  sizeRange,
  threshold,
} from './plan.ts'

/** Options of a connection that a bench has in another form, or not at all. */
const LEFT_OUT = ['--session', '--disable-clean-session', '--local-address']
/** The packets of each bench whose properties -D sets. */
const PACKETS = {
  conn: [],
  pub: ['publish'],
  sub: ['subscribe'],
  'pub-sub': ['publish', 'subscribe'],
} as const satisfies Record<BenchKind, unknown>
const ACK_TIMEOUT_MS = 10_000

export function addBench(program: Command): void {
  const bench = program
    .command('bench')
    .summary('measure how fast a server is')
    .description('Measure connections, messages and latencies of a server.')
  const conn = bench.command('conn').summary('measure how fast clients connect')
  conn.description(
    'Connect clients and measure the time up to the CONNACK. With --duration they stay connected ' +
      'so long.',
  )
  finish(conn, 'conn', [
    new Option('--duration <time>', 'stay connected so long').argParser(milliseconds),
  ])
  const pub = bench.command('pub').summary('measure how fast messages are published')
  pub.description(
    'Publish messages and measure, at QoS 1 and 2, the time up to their acknowledgement. With ' +
      '--rate the latency counts from the time at which a message was due.',
  )
  finish(pub, 'pub', publishOptions())
  const sub = bench.command('sub').summary('measure how fast messages come')
  sub.description(
    'Receive messages and count them. Messages of bench pub carry their number and time, so that ' +
      'losses and latencies are measured too, the latter as far as the clocks agree.',
  )
  finish(sub, 'sub', [
    new Option('-t, --topic <filter>', 'may be repeated; %i is the client').argParser(severalTimes),
    qosOption('-q, --qos <qos>', 'the highest QoS to receive (default: 0)'),
    new Option('--messages <count>', 'end after so many messages').argParser(positive),
    new Option('--duration <time>', 'measure so long (default: until Ctrl-C)').argParser(
      longerThanZero,
    ),
    warmUpOption(),
  ])
  const both = bench.command('pub-sub').summary('measure the way from publishers to subscribers')
  both.description(
    'Publish messages and receive them in the same process: measure the latency from end to end, ' +
      'and count what was lost, came twice or out of order.',
  )
  finish(both, 'pub-sub', [
    new Option('--subscribers <count>', 'how many subscribers (default: as many as -c)').argParser(
      positive,
    ),
    ...publishOptions(),
  ])
}

function publishOptions(): Option[] {
  const count = new Option('--messages <count>', 'send so many, all publishers together')
  const time = new Option('--duration <time>', 'send so long: 500ms, 60s, 5m (default: 10s)')
  return [
    new Option(
      '-t, --topic <topic>',
      'may be repeated: publishers use each in turn; %i is the client, %c its identifier, %u ' +
        'the user name (default: topics of this run)',
    ).argParser(severalTimes),
    qosOption('-q, --qos <qos>', 'default: 0'),
    new Option('-r, --retain', 'ask the server to retain messages; they are removed at the end'),
    new Option(
      '-s, --size <bytes>',
      'the size of a payload, or a range: 100-2000 (default: 100)',
    ).argParser(sizeRange),
    new Option('-m, --message <text>', 'the content of each message'),
    new Option('-f, --file <file>', 'each message has the content of this file'),
    new Option(
      '--rate <per second>',
      'send so many a second, all publishers together, by a schedule that waits for nobody ' +
        '(default: as fast as the window allows)',
    ).argParser(perSecond),
    count.argParser(positive),
    time.argParser(longerThanZero),
    warmUpOption(),
    new Option(
      '--ack-timeout <time>',
      'how long an acknowledgement, or at the end a message, may take (default: 10s)',
    ).argParser(longerThanZero),
  ]
}

function warmUpOption(): Option {
  return new Option(
    '--warm-up <time>',
    'leave the messages of the first seconds out of the figures (default: 0)',
  )
    .argParser(milliseconds)
    .default(0)
}

/** Adds what all benches have, behind the options of their own. */
function finish(command: Command, kind: BenchKind, own: readonly Option[]): void {
  const all = [
    new Option('-c, --clients <count>', 'how many clients, or publishers (default: 1)')
      .argParser(positive)
      .default(1),
    ...own,
    new Option(
      '-R, --connect-rate <per second>',
      'begin so many connections a second (default: 100 at a time)',
    ).argParser(perSecond),
    new Option('--start-number <number>', 'the %i of the first client')
      .argParser(number)
      .default(1),
    new Option(
      '-A, --local-address <address>',
      'connect from this address of this machine; may be repeated, for more ports',
    ).argParser(severalTimes),
    new Option(
      '--disable-clean-session',
      'every client has a session that outlives a connection; all are ended at the end',
    ),
    new Option(
      '-W, --timeout <seconds>',
      'end after so long in any case, with status 27',
    ).argParser(positive),
    new Option(
      '--fail-above <limit>',
      'status 1 if the latency is above it: p99=50ms; may be repeated',
    ).argParser(threshold),
    new Option('--json', 'write the result as JSON'),
    new Option('--svg <file>', 'write a plot of the latencies and rates'),
  ]
  for (const option of all) command.addOption(option)
  addConnectionFlags(command, { without: LEFT_OUT, packets: PACKETS[kind] }).action(
    async (flags: BenchFlags) => {
      process.exitCode = await bench(kind, flags)
    },
  )
}

async function bench(kind: BenchKind, flags: BenchFlags): Promise<number> {
  const given = {
    ...flags,
    warmUp: flags.warmUp ?? 0,
    ackTimeout: flags.ackTimeout ?? ACK_TIMEOUT_MS,
  }
  const plan = planOf(kind, given)
  if (flags.svg !== undefined) writeSvg(flags.svg, '', 'a')
  // Loaded here, so that no other command waits for it.
  const { conduct } = await import('./conduct.ts')
  const { result, status } = await conduct(plan, flags.quiet ?? false, say)
  if (flags.svg !== undefined) {
    const { plot } = await import('./plot.ts')
    writeSvg(flags.svg, plot(result))
  }
  const { reportText } = await import('./report-text.ts')
  const { plotted: _, ...shown } = result
  await write(flags.json ? `${JSON.stringify(shown, null, 2)}\n` : reportText(result))
  return status
}

/** The file is opened before the bench too, so that a path that cannot be used is refused. */
function writeSvg(path: string, text: string, flag: 'a' | 'w' = 'w'): void {
  try {
    writeFileSync(path, text, { flag })
  } catch (error) {
    throw new UsageError(`--svg: ${(error as Error).message}`, { cause: error })
  }
}
