/**
 * `it-mqtt pub`: how is one message delivered?
 */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { checkRequest, type Outcome, publish, UsageError } from '../index.ts'
import { deliver } from './deliver.ts'
import { counted, FAILED, printable, reportFailure, say } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  protocolVersionOf,
  qosFlag,
  qosOption,
} from './flags.ts'
import { openSavedSession } from './session-file.ts'

interface PubFlags extends ConnectionFlags {
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
}

export function addPub(program: Command): void {
  const command = program
    .command('pub')
    .description(
      'publish one message; with --session, what an earlier run did not deliver comes first',
    )
    .argument('<topic>')
    .argument('[payload]', 'text; - reads standard input', '')
    .addOption(qosOption('--qos <qos>', 'default: 0'))
    .option('--retain', 'ask the server to retain the message')
  addConnectionFlags(command).action(async (topic: string, payload: string, flags: PubFlags) => {
    process.exitCode = await pub(topic, payload, flags)
  })
}

async function pub(topic: string, payload: string, flags: PubFlags): Promise<number> {
  const message = publish(topic, payload === '-' ? await buffer(process.stdin) : payload, {
    qos: qosFlag(flags.qos),
    retain: flags.retain ?? false,
  })
  checkRequest(message, protocolVersionOf(flags.mqtt))
  const { file: sessionFile, session } = await openSavedSession(flags.session)
  sessionFile?.refuseUnfinished()
  const outcomes: Outcome[] = []
  let isReported = false
  const { error, held, interrupted, status } = await deliver({
    options: connectionOptions(flags, session),
    requests: [message],
    onSettled: (request, outcome) => {
      outcomes.push(outcome)
      isReported ||= request === message
      if (!outcome.ok) say(`${requestName(request)}: ${printable(outcome.error)}`)
    },
    onTrouble: (text) => flags.quiet || say(text),
    disconnectTimeout: flags.disconnectTimeout,
    sessionFile,
    position: async () => null,
  })
  const undelivered = held.length + (isReported || held.includes(message) ? 0 : 1)
  if (error !== undefined) {
    if (error instanceof UsageError || outcomes.length + held.length === 0)
      return reportFailure(error)
    say(`${printable(error)} ${counted(undelivered, 'message')} not delivered.`)
    return FAILED
  }
  if (undelivered > 0) say(`${counted(undelivered, 'message')} not delivered`)
  if (interrupted) return status
  return undelivered > 0 || outcomes.some(({ ok }) => !ok) ? FAILED : 0
}

function requestName(request: { readonly cmd: string; readonly topic?: string }): string {
  return request.topic === undefined ? request.cmd : `message for ${request.topic}`
}
