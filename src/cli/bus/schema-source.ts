/**
 * Where do the schemas come from that a command writes? From the APIs that a module exports, or
 * from what services have published.
 */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Command, Option } from 'commander'
import type { Api, SchemaDocument } from '../../bus/index.ts'
import { MqttError, UsageError } from '../../index.ts'
import { FAILED } from '../exit-codes.ts'
import { oneLine, reportFailure, say } from '../fail.ts'
import { addConnectionFlags, type ConnectionFlags, connectionOptions, number } from '../flags.ts'
import { Interrupt } from '../interrupt.ts'
import { abandonOutput, isClosedPipe, write } from '../output.ts'

export interface SchemaSourceFlags extends ConnectionFlags {
  readonly from?: 'broker' | 'module'
  readonly module?: string
  readonly api?: string
  readonly prefix?: string
  readonly timeout: number
  readonly output?: string
}

/** Whoever reads has no session, and leaves nothing behind. */
const UNUSED_FLAGS = [
  ...['--session', '--disable-clean-session', '--property', '-L'],
  ...['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
]
const SCHEMAS_MS = 5000

export function addSchemaSource(command: Command): Command {
  command
    .option('--api <name>', 'only this API (default: all)')
    .addOption(
      new Option(
        '--from <place>',
        'where APIs are read: what services have published, or a module (default: module with ' +
          '--module, else broker)',
      ).choices(['broker', 'module']),
    )
    .option('--module <file>', 'a JavaScript module that exports APIs; its code runs')
    .option('--prefix <topic>', 'the levels before all topics of the bus (default: bus)')
    .addOption(
      new Option('--timeout <ms>', 'how long the server has to answer')
        .argParser(number)
        .default(SCHEMAS_MS),
    )
    .option('-o, --output <file>', 'write this file (default: standard output)')
  return addConnectionFlags(command, { without: UNUSED_FLAGS })
}

/** @returns whether a module is read, and no server. @throws UsageError */
export function isFromModule({ from, module }: SchemaSourceFlags): boolean {
  if (from === 'broker' && module !== undefined) {
    throw new UsageError('--module is a module, and --from broker none; give one of them')
  }
  if (from === 'module' && module === undefined) {
    throw new UsageError('the module is missing: write --module file')
  }
  return module !== undefined
}

/** @returns the APIs that a module exports. @throws UsageError */
export async function apisOfModule({ module, api }: SchemaSourceFlags): Promise<readonly Api[]> {
  const path = resolve(module!)
  let exported: object
  try {
    exported = (await import(pathToFileURL(path).href)) as object
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`the module ${module} cannot be loaded: ${why}`, { cause })
  }
  const found = new Set(Object.values(exported).flat().filter(isDefinedApi))
  const wanted = [...found].filter(({ name }) => api === undefined || name === api)
  if (wanted.length > 0) return wanted
  const what = api === undefined ? 'nothing that defineApi() returned' : `no API ${api}`
  throw new UsageError(`the module ${module} exports ${what}`)
}

function isDefinedApi(value: unknown): value is Api {
  if (typeof value !== 'object' || value === null || !Object.isFrozen(value)) return false
  const { name, major, rpcs, events } = value as Partial<Api>
  return typeof name === 'string' && Number.isInteger(major) && [rpcs, events].every(isObject)
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

/**
 * Reads what services have published, and gives it to `take`.
 * @returns the exit status: 1 if there is nothing.
 */
export async function withPublished(
  flags: SchemaSourceFlags,
  take: (documents: readonly SchemaDocument[]) => Promise<void>,
): Promise<number> {
  const { createBus } = await import('../../bus/index.ts')
  const { api, prefix, timeout, quiet } = flags
  const bus = createBus({
    // Two commands on one machine must not take the connection of each other.
    ...{ service: 'it-mqtt', process: `cli-${randomBytes(6).toString('hex')}` },
    ...(prefix === undefined ? {} : { prefix }),
    client: {
      ...connectionOptions(flags, null),
      onWarning: ({ message }) => {
        if (!quiet) say(oneLine(message))
      },
    },
  })
  let ending: Promise<void> | null = null
  const end = () => {
    ending ??= bus.close({ timeout: flags.disconnectTimeout ?? 1 }).catch(() => {})
    return ending
  }
  const interrupt = new Interrupt(() => {
    void end()
    abandonOutput()
  })
  try {
    const documents = await bus.schema(api, { timeout })
    if (documents.length === 0) {
      say(api === undefined ? 'no schema is published' : `no schema of ${api} is published`)
      return FAILED
    }
    await take(documents)
    return interrupt.status
  } catch (error) {
    if (interrupt.caught || isClosedPipe(error)) return interrupt.status
    const isEnd = error instanceof MqttError && error.code === 'ENDED'
    return reportFailure(isEnd && error.cause instanceof Error ? error.cause : error)
  } finally {
    await end()
    interrupt.close()
  }
}

/** Writes to the file of `--output`, or to standard output. */
export async function writeResult(text: string, { output }: SchemaSourceFlags): Promise<void> {
  if (output === undefined) return write(text)
  const { replaceFile } = await import('../../disk/index.ts')
  await replaceFile(output, text, 'The file of --output')
}
