/** `it-mqtt bus dumpschema`: what do the APIs of a bus take and give, as JSON Schema? */
import type { Command } from 'commander'
import type { SchemaDocument } from '../../bus/index.ts'
import { reportFailure } from '../fail.ts'
import { isClosedPipe } from '../output.ts'
import {
  addSchemaSource,
  apisOfModule,
  isFromModule,
  type SchemaSourceFlags,
  withPublished,
  writeResult,
} from './schema-source.ts'

interface DumpSchemaFlags extends SchemaSourceFlags {
  readonly service: string
}

export function addDumpSchema(bus: Command): void {
  const command = bus
    .command('dumpschema')
    .summary('write what APIs take and give, as JSON Schema')
    .description(
      'Write schema documents of APIs, one line of JSON for each service and major version: what ' +
        'services have published, or the APIs that a module exports. If nothing is published, ' +
        'the status is 1.',
    )
    .option('--service <name>', 'with --module: the service in the documents', 'module')
  addSchemaSource(command).action(async (flags: DumpSchemaFlags) => {
    process.exitCode = await dump(flags)
  })
}

async function dump(flags: DumpSchemaFlags): Promise<number> {
  const { dumpSchema, schemaText } = await import('../../bus/index.ts')
  const linesOf = (documents: readonly SchemaDocument[]) =>
    documents.map((document) => `${schemaText(document)}\n`).join('')
  if (!isFromModule(flags)) {
    return withPublished(flags, (documents) => writeResult(linesOf(documents), flags))
  }
  try {
    const { service } = flags
    await writeResult(linesOf(dumpSchema(await apisOfModule(flags), { service })), flags)
    return 0
  } catch (error) {
    return isClosedPipe(error) ? 0 : reportFailure(error)
  }
}
