/**
 * `it-mqtt spool`: what is in the spool of `pipe --spool`, or of a program? And what was damaged?
 */
import { existsSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Spool, SpoolWarning } from '../disk/index.ts'
import { type Request, type SentRequest, StorageError, UsageError } from '../index.ts'
import { FAILED } from './exit-codes.ts'
import { counted, say } from './fail.ts'
import { write } from './output.ts'
import { textOrBase64 } from './packet-text.ts'
import { producerName } from './pipe-position.ts'

interface SpoolFlags {
  readonly json?: boolean
  readonly clearDamaged?: boolean
  readonly saveDamaged?: string
  readonly forget?: string
}

export function addSpool(program: Command): void {
  program
    .command('spool')
    .description(
      'show the requests in a spool, oldest first, and what is damaged; no request is removed',
    )
    .argument('<directory>')
    .option('--json', 'write the requests, one JSON object in each line, as pipe takes them')
    .option('--clear-damaged', 'remove damaged records, and forget how many requests were lost')
    .option('--save-damaged <file>', 'with --clear-damaged: append the records to this file')
    .option('--forget <file>', 'forget how far this file was piped: it begins at its first line')
    .action(async (directory: string, flags: SpoolFlags) => {
      process.exitCode = await show(directory, flags)
    })
}

/** @returns the exit status. */
async function show(directory: string, flags: SpoolFlags): Promise<number> {
  if (flags.saveDamaged !== undefined && !flags.clearDamaged) {
    throw new UsageError('--save-damaged needs --clear-damaged')
  }
  if (!existsSync(join(directory, 'data')) && !existsSync(join(directory, 'head'))) {
    throw new UsageError(`${directory} is no spool`)
  }
  const warnings: SpoolWarning[] = []
  const onWarning = (warning: SpoolWarning) => {
    warnings.push(warning)
    say(warning.message)
  }
  await using queue = await readableSpool(directory, onWarning)
  await queue.verify()
  if (flags.forget !== undefined) await forget(queue, flags.forget)
  if (flags.clearDamaged) await clear(queue, flags.saveDamaged)
  if (flags.json) await listRequests(queue)
  else await write(`${counted(queue.size, 'request')}, ${counted(queue.bytes, 'byte')}\n`)
  if (queue.lost > 0) {
    say(
      `${counted(queue.lost, 'request')} lost to damage; it-mqtt spool ${directory} ` +
        '--clear-damaged sets this to 0',
    )
  }
  return queue.lost > 0 || (warnings.length > 0 && !flags.clearDamaged) ? FAILED : 0
}

/** @throws StorageError that says what can be known of a spool that another process uses. */
async function readableSpool(
  directory: string,
  onWarning: (warning: SpoolWarning) => void,
): Promise<Spool> {
  const { spool } = await import('../disk/index.ts')
  try {
    return await spool(directory, { onWarning })
  } catch (error) {
    if (!(error instanceof StorageError && error.code === 'IN_USE')) throw error
    const [, pid] = /process (\d+)/.exec(error.message) ?? []
    const ask =
      pid === undefined
        ? ''
        : `. If it is it-mqtt pipe, kill -USR1 ${pid} makes it say how many requests are in it`
    throw new StorageError(`${error.message}${ask}`, { code: 'IN_USE', cause: error })
  }
}

async function listRequests(queue: Spool): Promise<void> {
  queue.end()
  for await (const requests of queue) {
    for (const request of requests) await write(`${summaryJson(request)}\n`)
  }
}

async function clear(queue: Spool, file: string | undefined): Promise<void> {
  const save = file === undefined ? undefined : (record: Uint8Array) => appendFile(file, record)
  const { lost, records } = await queue.clearDamaged(save)
  const saved = file === undefined || records === 0 ? '' : `, saved in ${file}`
  say(
    `cleared: ${counted(records, 'damaged record')} removed${saved}; ` +
      `${counted(lost, 'request')} had been lost`,
  )
}

async function forget(queue: Spool, file: string): Promise<void> {
  const name = producerName(file)
  if (queue.positionOf(name) === null) throw new UsageError(`--forget: no position of ${name}`)
  await queue.setPosition(name, null)
  say(`forgotten: ${name} begins at its first line`)
}

function summaryJson(request: Request): string {
  const { key, ...rest } = request as SentRequest
  if (rest.cmd !== 'publish' || !(rest.payload instanceof Uint8Array)) return JSON.stringify(rest)
  return JSON.stringify({ ...rest, payload: textOrBase64(rest.payload) })
}
