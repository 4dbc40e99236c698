/**
 * `it-mqtt bus`: which commands work with the services of a bus? Each has a file of its own.
 */
import type { Command } from 'commander'
import { addDumpConfigSchema } from './add-dumpconfigschema.ts'
import { addForget } from './add-forget.ts'
import { addBusList } from './add-list.ts'
import { addRedrive } from './add-redrive.ts'
import { addRun } from './add-run.ts'
import { addBusStats } from './add-stats.ts'

export function addBus(program: Command): void {
  const bus = program.command('bus').summary('work with the services of a bus')
  const commands = [addRun, addBusList, addBusStats, addRedrive, addForget, addDumpConfigSchema]
  for (const add of commands) add(bus)
}
