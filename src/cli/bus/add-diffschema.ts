/** `it-mqtt bus diffschema`: does a schema break those who have an older one? */
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { CompareSchemasOptions, SchemaComparison, SchemaDocument } from '../../bus/index.ts'
import { UsageError } from '../../index.ts'
import { FAILED } from '../exit-codes.ts'
import { reportFailure, say } from '../fail.ts'
import { isClosedPipe, write } from '../output.ts'

interface DiffSchemaFlags {
  readonly undeclared?: CompareSchemasOptions['undeclared']
  readonly quiet?: boolean
}

/** What was compared: one major version of an API. */
interface Compared extends SchemaComparison {
  readonly api: string
  readonly major: number
}

const STDIN = 0

export function addDiffSchema(bus: Command): void {
  bus
    .command('diffschema')
    .summary('compare schemas of APIs')
    .description(
      'Compare schema documents, as dumpschema writes them: may the new ones replace the old ' +
        'ones without breaking who has those? For each API and major version it writes a line ' +
        'of JSON, with the result (same, compatible, breaking or unknown) and the changes, and ' +
        'says on standard error what is not the same. The status is 1 if one is breaking, 2 if a ' +
        'file cannot be used, else 0. unknown is what cannot be proved either way.',
    )
    .argument('<old>', 'a file of schema documents; - is standard input')
    .argument('<new>', 'a file of schema documents; - is standard input')
    .addOption(
      new Option(
        '--undeclared <what>',
        'which properties values have that their schema does not name: any, or absent (none), so ' +
          'that a new optional property of an input is compatible (default: any)',
      ).choices(['any', 'absent']),
    )
    .option('--quiet', 'write JSON only')
    .action(async (before: string, after: string, flags: DiffSchemaFlags) => {
      process.exitCode = await diff(before, after, flags)
    })
}

async function diff(before: string, after: string, flags: DiffSchemaFlags): Promise<number> {
  try {
    const { compareSchemas } = await import('../../bus/index.ts')
    if (before === '-' && after === '-') throw new UsageError('only one of the files can be -')
    const old = await documentsIn(before)
    const recent = await documentsIn(after)
    let isBreaking = false
    for (const id of [...new Set([...old.keys(), ...recent.keys()])].sort()) {
      const one = old.get(id)
      const other = recent.get(id)
      const comparison =
        one === undefined || other === undefined
          ? inOneFile(one === undefined)
          : compareSchemas(one, other, { undeclared: flags.undeclared })
      const { api, version } = (other ?? one)!
      const compared = { api, major: Number.parseInt(version, 10), ...comparison }
      isBreaking ||= compared.result === 'breaking'
      await write(`${JSON.stringify(compared)}\n`)
      if (!flags.quiet) tell(compared)
    }
    return isBreaking ? FAILED : 0
  } catch (error) {
    return isClosedPipe(error) ? 0 : reportFailure(error)
  }
}

/** @returns the comparison of an API that is in one of the files only. */
function inOneFile(isNew: boolean): SchemaComparison {
  const result = isNew ? 'compatible' : 'breaking'
  const text = isNew ? 'it is new' : 'it is gone'
  return { result, changes: [{ path: '', kind: result, text }] }
}

function tell({ api, major, result, changes }: Compared): void {
  if (result === 'same') return
  say(`${api} v${major}: ${result}`)
  for (const { path, kind, text } of changes) say(`  ${kind} ${path}: ${text}`)
}

/** @returns the documents of a file, by API and major version. */
async function documentsIn(path: string): Promise<ReadonlyMap<string, SchemaDocument>> {
  const { loadSchema } = await import('../../bus/index.ts')
  const name = path === '-' ? 'standard input' : path
  const text = textOfFile(path, name)
  const documents = new Map<string, SchemaDocument>()
  // One document may be written over several lines.
  const isOne = isJson(text)
  const parts = isOne ? [text] : text.split('\n')
  parts.forEach((part, index) => {
    if (part.trim() === '') return
    try {
      const document = loadSchema(part)
      const id = `${document.api} v${Number.parseInt(document.version, 10)}`
      if (documents.has(id)) throw new UsageError(`${id} is there twice; choose one service`)
      documents.set(id, document)
    } catch (error) {
      const where = isOne ? name : `${name}, line ${index + 1}`
      throw new UsageError(`${where}: ${(error as Error).message}`, { cause: error })
    }
  })
  if (documents.size === 0) throw new UsageError(`${name} has no schema document`)
  return documents
}

function textOfFile(path: string, name: string): string {
  try {
    return readFileSync(path === '-' ? STDIN : path, 'utf8')
  } catch (cause) {
    // Status 1 says that a schema is breaking.
    throw new UsageError(`${name} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
