/**
 * `it-mqtt bus`: which commands work with the services of a bus? Each has a file of its own.
 */
import type { Command } from 'commander'
import { addAsyncApi } from './add-asyncapi.ts'
import { addDiffSchema } from './add-diffschema.ts'
import { addDumpConfigSchema } from './add-dumpconfigschema.ts'
import { addDumpSchema } from './add-dumpschema.ts'
import { addForget } from './add-forget.ts'
import { addInspect } from './add-inspect.ts'
import { addBusList } from './add-list.ts'
import { addRedrive } from './add-redrive.ts'
import { addRun } from './add-run.ts'
import { addShell } from './add-shell.ts'
import { addBusStats } from './add-stats.ts'

export function addBus(program: Command): void {
  const bus = program.command('bus').summary('work with the services of a bus')
  const running = [addRun, addBusList, addBusStats, addInspect, addRedrive, addForget]
  const schemas = [addDumpSchema, addDiffSchema, addAsyncApi, addDumpConfigSchema]
  for (const add of [...running, addShell, ...schemas]) add(bus)
}
