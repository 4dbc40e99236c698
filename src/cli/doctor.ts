/**
 * `it-mqtt doctor`: what may an application rely on at this server? It writes a table for people,
 * or the whole report as JSON. A server that deviates is no failure of the command.
 */
import type { Command } from 'commander'
import type { DoctorOptions, DoctorReport, Examination } from '../doctor/index.ts'
import { UsageError } from '../index.ts'
import { statusOfCode } from './exit-codes.ts'
import { oneLine, reportFailure, say } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  severalTimes,
} from './flags.ts'
import { Interrupt } from './interrupt.ts'
import { isClosedPipe, write } from './output.ts'
import { positive } from './receive-flags.ts'
import { showStatus } from './screen.ts'
import { inWords } from './words.ts'

interface DoctorFlags extends ConnectionFlags {
  readonly json?: boolean
  readonly evidence?: boolean
  readonly only?: readonly string[]
  readonly prefix?: string
  readonly timeout?: number
}

/** What an examination decides by itself. */
const WITHOUT = [
  ...['--client-id', '--session', '--disable-clean-session', '--session-expiry', '--property'],
  ...['--max-inflight', '--reconnect', '--disconnect-timeout', '--keep-alive', '-L'],
  ...['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
]

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('find out what an application may rely on at a server')
    .description(
      'Find out in half a minute what an application may rely on at a server: limits, order, ' +
        'sessions, wills, retained messages, shared subscriptions and what a refusal looks like. ' +
        'It sends at most ten requests a second on average, works below topics of its own, and ' +
        'removes what it made. The exit status is 0 whatever the answers are.',
    )
    .option('--json', 'write the whole report as JSON; its profile is an option of the library')
    .option('--evidence', 'write what was sent and what came, too')
    .option('--only <questions>', 'ask these alone, separated by commas', severalTimes)
    .option('--prefix <topic>', 'work below this topic (default: it-mqtt/doctor)')
    .option('-W, --timeout <seconds>', 'the longest time for all questions', positive, 25)
  addConnectionFlags(command, { without: WITHOUT }).action(async (flags: DoctorFlags) => {
    process.exitCode = await diagnose(flags)
  })
}

async function diagnose(flags: DoctorFlags): Promise<number> {
  const ending = new AbortController()
  const interrupt = new Interrupt(() => ending.abort(new Error('it was ended')))
  let left: readonly string[] = []
  try {
    const { examine } = await import('../doctor/index.ts')
    const examination = examine(optionsOf(flags, ending.signal))
    const report = await examined(examination, flags).finally(() => {
      left = examination.left
    })
    await write(flags.json ? `${JSON.stringify(report)}\n` : await tableText(report, flags))
    if (report.failure === null) return 0
    if (!flags.json) say(oneLine(inWords(report.failure.message)))
    return statusOfCode(report.failure.code)
  } catch (error) {
    if (interrupt.caught) return interrupt.status
    return isClosedPipe(error) ? 0 : reportFailure(error)
  } finally {
    showStatus(null)
    for (const what of left) say(`not removed: ${what}`)
    interrupt.close()
  }
}

async function examined(examination: Examination, flags: DoctorFlags): Promise<DoctorReport> {
  let count = 0
  for await (const { id } of examination) {
    count++
    if (!flags.quiet) showStatus(`${count} answered: ${id}`)
  }
  return examination.report()
}

async function tableText(report: DoctorReport, { evidence }: DoctorFlags): Promise<string> {
  const { doctorText } = await import('./doctor-text.ts')
  return doctorText(report, evidence === true, process.stdout.columns ?? 100)
}

function optionsOf(flags: DoctorFlags, signal: AbortSignal): DoctorOptions {
  const { only, prefix, timeout = 25, clientIdPrefix } = flags
  if (timeout > 3600) throw new UsageError('--timeout is at most 3600 s')
  const options = connectionOptions({ ...flags, disconnectTimeout: 0 }, null)
  const { url, tls, localAddress, transport, connectOptions, username, password } = options
  const { protocolVersion, connectTimeout } = options
  const where = { url, tls, localAddress, transport, connectOptions, username, password }
  return {
    ...where,
    ...{ protocolVersion, connectTimeout, prefix, clientIdPrefix, signal },
    timeout: Math.max(1000, timeout * 1000),
    only: only?.flatMap((list) => list.split(',')),
  }
}
