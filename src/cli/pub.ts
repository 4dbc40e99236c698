/**
 * `it-mqtt pub`: one message.
 */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { checkRequest, type Outcome, publish, UsageError } from '../index.ts'
import { deliver } from './deliver.ts'
import { counted, FAILED, messageOf, say, tellFailure } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  protocolVersionOf,
  qosOf,
  qosOption,
} from './flags.ts'
import { openKept } from './session-file.ts'

interface PubFlags extends ConnectionFlags {
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
}

export function addPub(program: Command): void {
  const command = program
    .command('pub')
    .description('publish one message; with a session, what an earlier run left comes first')
    .argument('<topic>')
    .argument('[payload]', '- reads standard input', '')
    .addOption(qosOption('--qos <qos>', 'default: 0'))
    .option('--retain', 'have the broker keep it')
  addConnectionFlags(command).action(async (topic: string, payload: string, flags: PubFlags) => {
    process.exitCode = await pub(topic, payload, flags)
  })
}

async function pub(topic: string, payload: string, flags: PubFlags): Promise<number> {
  const message = publish(topic, payload === '-' ? await buffer(process.stdin) : payload, {
    qos: qosOf(flags.qos),
    retain: flags.retain ?? false,
  })
  checkRequest(message, protocolVersionOf(flags.mqtt))
  const { file: sessionFile, session } = await openKept(flags.session)
  sessionFile?.refuseHalfway()
  const outcomes: Outcome[] = []
  let isTold = false
  const { error, held, interrupted, status } = await deliver({
    options: connectionOptions(flags, session),
    requests: [message],
    onSettled: (request, outcome) => {
      outcomes.push(outcome)
      isTold ||= request === message
      if (!outcome.ok) say(`${nameOf(request)}: ${messageOf(outcome.error)}`)
    },
    onTrouble: (text) => flags.quiet || say(text),
    disconnectTimeout: flags.disconnectTimeout,
    sessionFile,
    position: async () => null,
  })
  const undelivered = held.length + (isTold || held.includes(message) ? 0 : 1)
  if (error !== undefined) {
    if (error instanceof UsageError || outcomes.length + held.length === 0)
      return tellFailure(error)
    say(`${messageOf(error)} ${counted(undelivered, 'message')} not delivered.`)
    return FAILED
  }
  if (undelivered > 0) say(`${counted(undelivered, 'message')} not delivered`)
  if (interrupted) return status
  return undelivered > 0 || outcomes.some(({ ok }) => !ok) ? FAILED : 0
}

function nameOf(request: { readonly cmd: string; readonly topic?: string }): string {
  return request.topic === undefined ? request.cmd : `message for ${request.topic}`
}
