/**
 * `it-mqtt bus list`: which services, processes and APIs are there?
 */
import type { Command } from 'commander'
import { type AskFlags, addAskFlags } from './ask-flags.ts'

export function addBusList(bus: Command): void {
  const command = bus
    .command('list')
    .summary('write which processes of services run')
    .description(
      'Write which processes of services run, and which APIs they serve: a line for each, with ' +
        'its service, its name, its APIs with their versions, its listeners and its tasks. All ' +
        'processes are asked, and who does not answer in time is not there. If nobody answers, ' +
        'the status is 1.',
    )
  addAskFlags(command).action(async (flags: AskFlags) => {
    const { jsonLine, withProcesses } = await import('./ask-processes.ts')
    const { processLine } = await import('./process-lines.ts')
    const textOf = flags.json ? jsonLine : processLine
    process.exitCode = await withProcesses(flags, textOf)
  })
}
