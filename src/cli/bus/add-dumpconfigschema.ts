/** `it-mqtt bus dumpconfigschema`: which settings can a configuration have? For editors. */
import type { Command } from 'commander'
import { write } from '../output.ts'

export function addDumpConfigSchema(bus: Command): void {
  bus
    .command('dumpconfigschema')
    .summary('write the JSON Schema of a configuration')
    .description(
      'Write the JSON Schema of a configuration of a bus (bus.yaml), with which editors complete ' +
        'and check it.',
    )
    .action(async () => {
      // Other commands start without the bus.
      const { configSchema } = await import('../../bus/index.ts')
      await write(`${JSON.stringify(configSchema, null, 2)}\n`)
    })
}
