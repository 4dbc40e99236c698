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

type Add = (bus: Command) => void

/** Every command, in the order of the help. */
const BUS_COMMANDS: Readonly<Record<string, Add>> = {
  ...{ run: addRun, list: addBusList, stats: addBusStats, inspect: addInspect },
  ...{ redrive: addRedrive, forget: addForget, shell: addShell },
  ...{ dumpschema: addDumpSchema, diffschema: addDiffSchema, asyncapi: addAsyncApi },
  dumpconfigschema: addDumpConfigSchema,
}

/** @param words the words of the command line behind `bus`, which may need one command only. */
export function addBus(program: Command, [name = '']: readonly string[] = []): void {
  const bus = program.command('bus').summary('work with the services of a bus')
  const needed = Object.hasOwn(BUS_COMMANDS, name)
    ? [BUS_COMMANDS[name]!]
    : Object.values(BUS_COMMANDS)
  for (const add of needed) add(bus)
}
