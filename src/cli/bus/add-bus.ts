/**
 * `it-mqtt bus`: which commands work with the services of a bus? Each has a file of its own.
 */
import type { Command } from 'commander'
import { addAsyncApi } from './add-asyncapi.ts'
import { addDiffSchema } from './add-diffschema.ts'
import { addDumpSchema } from './add-dumpschema.ts'

export function addBus(program: Command): void {
  const bus = program.command('bus').summary('work with the services of a bus')
  for (const add of [addDumpSchema, addDiffSchema, addAsyncApi]) add(bus)
}
