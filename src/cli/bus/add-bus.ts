/** `it-mqtt bus`: what can be done with the services of a bus? */
import type { Command } from 'commander'
import { addDumpConfigSchema } from './add-dumpconfigschema.ts'
import { addRun } from './add-run.ts'

export function addBus(program: Command): void {
  const bus = program.command('bus').summary('work with the services of a bus')
  for (const add of [addRun, addDumpConfigSchema]) add(bus)
}
