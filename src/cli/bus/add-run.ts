/**
 * `it-mqtt bus run`: the process of a service, from a module with its code and a configuration.
 */
import { existsSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { BusFeature } from '../../bus/index.ts'
import { MqttError } from '../../index.ts'
import { MISUSED } from '../exit-codes.ts'
import { oneLine, reportFailure, say } from '../fail.ts'

interface RunFlags {
  readonly module?: string
  readonly config?: string
  readonly only?: readonly BusFeature[]
  readonly skip?: readonly BusFeature[]
}

const RUN_FEATURES: readonly BusFeature[] = ['rpcs', 'events', 'tasks']
/** Where the configuration is, if nobody says. */
const CONFIGS = ['bus.yaml', 'bus.yml', 'bus.json']

export function addRun(bus: Command): void {
  bus
    .command('run')
    .summary('run a service: answer calls, handle events, run tasks')
    .description(
      'Run the process of a service until a signal ends it. The module exports a function ' +
        'register(bus) that adds what the service does. SIGTERM or Ctrl-C: it takes nothing ' +
        'more, lets what runs end, and ends with status 0; a second one ends it at once with ' +
        'status 130. If a listener or a task ends the run with an error, the next run begins ' +
        'after 1 to 30 s, with another bus. Standard error is a log of lines of JSON.',
    )
    .option(
      '--module <file>',
      'the module (default: bus.ts, bus.mts, bus.js or bus.mjs here, or what package.json names ' +
        'as "it-mqtt": { "bus": … })',
    )
    .option(
      '--config <file>',
      `the configuration, a file or an https: URL (default: ${CONFIGS.join(', ')} here, or ` +
        'none); IT_MQTT_BUS_… in the environment comes before it',
    )
    .addOption(
      new Option(
        '--only <features>',
        'do this part: rpcs, events, tasks, joined by commas',
      ).argParser(featureList),
    )
    .addOption(new Option('--skip <features>', 'leave out this part').argParser(featureList))
    .action(async (flags: RunFlags) => {
      const status = await runService(flags)
      // What the module has opened must not keep a service that was ended.
      process.exit(status)
    })
}

async function runService({ module, config, only, skip }: RunFlags): Promise<number> {
  try {
    const { serviceModule } = await import('./service-module.ts')
    const { ServiceRun } = await import('./service-run.ts')
    const { loadConfig } = await import('../../bus/index.ts')
    const register = await serviceModule(module)
    const path = config ?? CONFIGS.find((name) => existsSync(name))
    const options = await loadConfig(path ?? {})
    return await new ServiceRun(register, options, { only, skip }).ended()
  } catch (error) {
    if (!(error instanceof MqttError) || error.code !== 'INVALID_CONFIG')
      return reportFailure(error)
    // Each fault is a line of its own.
    for (const line of error.message.split('\n')) say(oneLine(line))
    return MISUSED
  }
}

function featureList(text: string): readonly BusFeature[] {
  const features = text.split(',').map((one) => one.trim()) as BusFeature[]
  if (features.every((one) => RUN_FEATURES.includes(one))) return features
  throw new InvalidArgumentError(`${RUN_FEATURES.join(', ')} are expected, joined by commas.`)
}
