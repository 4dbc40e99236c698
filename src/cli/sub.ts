/**
 * `it-mqtt sub`: how do messages get to standard output? A message is acknowledged once it is
 * written.
 */
import { type Command, InvalidArgumentError } from 'commander'
import {
  checkRequest,
  type Eventloop,
  eventloop,
  type IncomingPublish,
  subscribe,
} from '../index.ts'
import { FAILED, printable, reportFailure, say } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  number,
  protocolVersionOf,
  qosFlag,
  qosOption,
} from './flags.ts'
import { Interrupt } from './interrupt.ts'
import { isClosedPipe, write } from './output.ts'
import { FORMAT_HELP, formatter, jsonOf } from './packet-text.ts'
import { openSavedSession } from './session-file.ts'

interface SubFlags extends ConnectionFlags {
  readonly qos?: '0' | '1' | '2'
  readonly count?: number
  readonly format?: string
}

/** How often the session is saved. */
const SAVE_EVERY_MS = 1_000

export function addSub(program: Command): void {
  const command = program
    .command('sub')
    .description('write messages to standard output, one JSON object in each line')
    .argument('<filters...>')
    .addOption(qosOption('--qos <qos>', 'the highest QoS to receive (default: 0)'))
    .option('-n, --count <count>', 'end after this many messages', messageCount)
    .option('-f, --format <format>', `instead of JSON: ${FORMAT_HELP}`)
  addConnectionFlags(command).action(async (filters: string[], flags: SubFlags) => {
    process.exitCode = await sub(filters, flags)
  })
}

async function sub(filters: readonly string[], flags: SubFlags): Promise<number> {
  const request = subscribe(filters, { qos: qosFlag(flags.qos) })
  checkRequest(request, protocolVersionOf(flags.mqtt))
  const textOrBase64 =
    flags.format === undefined
      ? (packet: IncomingPublish) => `${jsonOf(packet)}\n`
      : formatter(flags.format)
  const { file: sessionFile, session } = await openSavedSession(flags.session)
  sessionFile?.refuseUnfinished()
  let refusal: unknown
  const loop = eventloop(
    {
      ...connectionOptions(flags, session),
      acks: 'pull',
      until: 'closed',
      onSettled: (_, outcome) => {
        if (outcome.ok) return
        refusal = outcome.error
        loop.shutdown()
      },
      onWarning: ({ message }) => flags.quiet || say(message),
    },
    [request],
  )
  let stop: () => void
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  const interrupt = new Interrupt(() => {
    loop.shutdown()
    stop()
  })
  const save = () => sessionFile?.save(loop.session, null)
  let timer: NodeJS.Timeout | undefined
  try {
    await save()
    timer = setInterval(
      () => save()?.catch(({ message }: Error) => flags.quiet || say(message)),
      SAVE_EVERY_MS,
    )
    await writeMessages(loop, textOrBase64, flags.count ?? Number.POSITIVE_INFINITY, stopped)
  } catch (error) {
    if (!isClosedPipe(error)) return reportFailure(error)
  } finally {
    clearInterval(timer)
    interrupt.close()
    await loop.return()
    await save()
  }
  if (refusal === undefined) return interrupt.status
  say(printable(refusal))
  return FAILED
}

async function writeMessages(
  loop: Eventloop,
  textOrBase64: (packet: IncomingPublish) => string | Buffer,
  count: number,
  stopped: Promise<void>,
): Promise<void> {
  let isStopped = false
  stopped.then(() => {
    isStopped = true
  })
  let written = 0
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    const writing = write(textOrBase64(packet))
    // Ctrl-C does not wait for a reader of standard output that has stalled. Messages that the
    // reader did not get are not acknowledged.
    if (writing !== undefined) await Promise.race([writing, stopped])
    if (isStopped) return
    if (++written < count) continue
    if (packet.qos > 0) loop.ack(packet)
    return
  }
}

function messageCount(text: string): number {
  const count = number(text)
  if (!Number.isInteger(count) || count < 1) {
    throw new InvalidArgumentError('A whole number above 0 is expected.')
  }
  return count
}
