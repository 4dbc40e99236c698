/**
 * `it-mqtt spool`: what is in the spool of `pipe --spool`, or of a program?
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { spool } from '../disk/index.ts'
import { type Request, type SentRequest, UsageError } from '../index.ts'
import { counted, say } from './fail.ts'
import { write } from './output.ts'
import { textOrBase64 } from './packet-text.ts'

export function addSpool(program: Command): void {
  program
    .command('spool')
    .description('show the requests in a spool, oldest first; nothing is removed')
    .argument('<directory>')
    .option('--json', 'write the requests, one JSON object in each line, as pipe takes them')
    .action(async (directory: string, { json = false }: { json?: boolean }) => {
      await show(directory, json)
    })
}

async function show(directory: string, json: boolean): Promise<void> {
  if (!existsSync(join(directory, 'data'))) throw new UsageError(`${directory} is no spool`)
  await using queue = await spool(directory, { onWarning: ({ message }) => say(message) })
  if (!json) {
    await write(`${counted(queue.size, 'request')}, ${counted(queue.bytes, 'byte')}\n`)
    return
  }
  queue.end()
  for await (const requests of queue) {
    for (const request of requests) await write(`${summaryJson(request)}\n`)
  }
}

function summaryJson(request: Request): string {
  const { key, ...rest } = request as SentRequest
  if (rest.cmd !== 'publish' || !(rest.payload instanceof Uint8Array)) return JSON.stringify(rest)
  return JSON.stringify({ ...rest, payload: textOrBase64(rest.payload) })
}
