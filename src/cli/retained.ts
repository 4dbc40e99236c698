/**
 * `it-mqtt retained`: which messages does the server retain, and how are they saved, restored and
 * removed?
 *
 * A server does not say that it has sent the last retained message. It sends them as it takes the
 * subscription, so they are complete once none came for a while (`--idle`).
 */
import { type Command, Option } from 'commander'
import { type Pushable, pushable } from 'it-pushable'
import {
  eventloop,
  type IncomingPublish,
  type Outcome,
  publish,
  type Request,
  subscribe,
  UsageError,
} from '../index.ts'
import { checkFlags } from './check-flags.ts'
import { FAILED } from './exit-codes.ts'
import { counted, printable, reportFailure, say } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  number,
  protocolVersionOf,
  severalTimes,
  topicOfUrl,
} from './flags.ts'
import { ConnectionFollower } from './follow-connection.ts'
import { writerOf } from './format.ts'
import { Interrupt } from './interrupt.ts'
import { abandonOutput, isClosedPipe, write } from './output.ts'
import { jsonOf } from './packet-text.ts'
import type { PipeFlags } from './pipe-flags.ts'
import { addOutputFlags, type ReceiveFlags, selectorOf } from './receive-flags.ts'

interface RetainedFlags extends ConnectionFlags, ReceiveFlags {
  readonly topic?: readonly string[]
  readonly idle: number
  readonly output?: string
  readonly dryRun?: boolean
}

/** How `list` writes a message if the user does not say. */
const LIST_FORMAT = '%t\\t%l bytes\\tQoS %q'
const IDLE_MS = 1_000

export function addRetained(program: Command): void {
  const retained = program
    .command('retained')
    .summary('list, save, restore or remove retained messages')
    .description('List, save, restore or remove the messages that the server retains.')
  addList(retained)
  addSave(retained)
  addRestore(retained)
  addRemove(retained)
}

function addList(retained: Command): void {
  const command = addSelection(retained.command('list'))
    .summary('write which messages are retained')
    .description('Write which messages are retained: topic, size and QoS, or as -F says.')
  addOutputFlags(command)
  addConnectionFlags(command).action(async (filters: string[], flags: RetainedFlags) => {
    const isPlain = !flags.json && !flags.verbose && flags.format === undefined
    const textOf = writerOf(isPlain ? { ...flags, format: LIST_FORMAT } : flags)
    process.exitCode = await collected(filters, flags, async (packet) => {
      await write(textOf(packet))
    })
  })
}

function addSave(retained: Command): void {
  const command = addSelection(retained.command('save'))
    .summary('write the retained messages as NDJSON')
    .description('Write the retained messages, one JSON object in each line, as restore reads it.')
    .option('-o, --output <file>', 'write this file, once all is there (default: standard output)')
  addConnectionFlags(command).action(async (filters: string[], flags: RetainedFlags) => {
    const { output } = flags
    const lines: string[] = []
    const status = await collected(filters, flags, async (packet) => {
      const line = `${jsonOf(packet)}\n`
      if (output === undefined) await write(line)
      else lines.push(line)
    })
    process.exitCode = status
    if (output === undefined || status !== 0) return
    const { replaceFile } = await import('../disk/index.ts')
    await replaceFile(output, lines.join(''), 'The file of --output')
    if (!flags.quiet) say(`${counted(lines.length, 'message')} saved`)
  })
}

function addRestore(retained: Command): void {
  const command = retained
    .command('restore')
    .summary('publish saved messages again')
    .description('Publish the messages that save wrote, so that the server retains them again.')
    .argument('[file]', '- is standard input; a .gz is unpacked', '-')
  addConnectionFlags(command).action(async (file: string, flags: PipeFlags) => {
    if (flags.L !== undefined) {
      throw new UsageError('-L gives a topic, and each saved message has its own; write --url')
    }
    const { checkLines, pipe } = await import('./pipe.ts')
    // Half of a backup would be worse than none, so a file is checked before anything is sent.
    if (file !== '-') await checkLines(file, flags)
    process.exitCode = await pipe(file, { ...flags, retain: true, onInvalid: 'stop' })
  })
}

function addRemove(retained: Command): void {
  const command = addSelection(retained.command('remove'))
    .summary('remove retained messages')
    .description('Remove the retained messages of topics. Each topic is written as it is removed.')
    .option('--dry-run', 'write the topics and remove nothing')
  addConnectionFlags(command).action(async (filters: string[], flags: RetainedFlags) => {
    let count = 0
    process.exitCode = await collected(filters, flags, async ({ topic }, requests) => {
      count++
      if (!flags.dryRun) requests.push(publish(topic, '', { qos: 1, retain: true }))
      // All are removed, even if nobody reads which.
      await Promise.resolve(write(`${topic}\n`)).catch((error) => {
        if (flags.dryRun || !isClosedPipe(error)) throw error
      })
    })
    const verb = flags.dryRun ? 'would be removed' : 'removed'
    if (process.exitCode === 0 && !flags.quiet) say(`${counted(count, 'message')} ${verb}`)
  })
}

function addSelection(command: Command): Command {
  return command
    .argument('[filters...]', 'the topic filters; as -t')
    .addOption(new Option('-t, --topic <filter>', 'may be repeated').argParser(severalTimes))
    .addOption(
      new Option('-T, --filter-out <filter>', 'leave out what matches; may be repeated').argParser(
        severalTimes,
      ),
    )
    .addOption(
      new Option('--idle <ms>', 'all are there once none came for so long')
        .argParser(number)
        .default(IDLE_MS),
    )
}

/**
 * Gives each retained message to `take`, and ends when the server has sent all of them and every
 * request that `take` pushed is settled.
 *
 * @returns the exit status.
 */
async function collected(
  given: readonly string[],
  flags: RetainedFlags,
  take: (packet: IncomingPublish, requests: Pushable<Request>) => Promise<void>,
): Promise<number> {
  const fromUrl = topicOfUrl(flags)
  const filters = [...given, ...(flags.topic ?? []), ...(fromUrl === null ? [] : [fromUrl])]
  if (filters.length === 0) {
    throw new UsageError("the filters are missing: write -t filter; '#' stands for all topics")
  }
  if (flags.session !== undefined || flags.disableCleanSession) {
    throw new UsageError('retained messages belong to no session; leave out --session and -c')
  }
  // The largest QoS, so that each message comes with the one it was published with.
  const subscription = subscribe(filters, { qos: 2 })
  checkFlags(subscription, protocolVersionOf(flags.mqtt))
  const selects = selectorOf(flags)
  const requests: Pushable<Request> = pushable({ objectMode: true })
  requests.push(subscription)
  let failure: unknown
  const follower = new ConnectionFollower(flags.quiet === true)
  const loop = eventloop(
    {
      ...connectionOptions(flags, null),
      until: 'settled',
      onSettled: (_: Request, outcome: Outcome) => {
        if (outcome.ok) return
        failure ??= outcome.error
        loop.shutdown()
      },
      onWarning: follower.warned,
    },
    requests,
  )
  follower.follow(loop)
  const interrupt = new Interrupt(() => {
    loop.shutdown()
    abandonOutput()
  })
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    clearTimeout(timer)
    timer = setTimeout(() => requests.end(), flags.idle)
  }
  try {
    for await (const packet of loop) {
      if (packet.cmd === 'connack') follower.accepted(packet)
      if (packet.cmd === 'suback') wait()
      if (packet.cmd !== 'publish' || !packet.retain) continue
      if (timer !== undefined) wait()
      if (selects(packet)) await take(packet, requests)
    }
  } catch (error) {
    if (!isClosedPipe(error)) return reportFailure(error)
  } finally {
    clearTimeout(timer)
    interrupt.close()
    await loop.return()
  }
  if (failure !== undefined) say(printable(failure))
  return interrupt.status || (failure === undefined ? 0 : FAILED)
}
