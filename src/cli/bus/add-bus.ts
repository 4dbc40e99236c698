/** `it-mqtt bus`: what can be done with the services of a bus? */
import type { Command } from 'commander'
import { addForget } from './add-forget.ts'
import { addRedrive } from './add-redrive.ts'

export function addBus(program: Command): void {
  const bus = program.command('bus').summary('work with the services of a bus')
  for (const add of [addRedrive, addForget]) add(bus)
}
