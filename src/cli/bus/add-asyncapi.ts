/** `it-mqtt bus asyncapi`: what do services do, in the words of AsyncAPI? */
import { type Command, Option } from 'commander'
import type { Api } from '../../bus/index.ts'
import { reportFailure } from '../fail.ts'
import { isClosedPipe } from '../output.ts'
import { apisIn } from './documented-apis.ts'
import {
  addSchemaSource,
  apisOfModule,
  isFromModule,
  type SchemaSourceFlags,
  withPublished,
  writeResult,
} from './schema-source.ts'

interface AsyncApiFlags extends SchemaSourceFlags {
  readonly server?: string
  readonly title?: string
  readonly envelope?: 'itm' | 'cloudevents'
}

export function addAsyncApi(bus: Command): void {
  const command = bus
    .command('asyncapi')
    .summary('write an AsyncAPI document of APIs')
    .description(
      'Write an AsyncAPI 3.1 document, as JSON: of what services have published, or of the APIs ' +
        'that a module exports. If nothing is published, the status is 1.',
    )
    .option('--server <url>', 'the server that the document names; without its credentials')
    .option('--title <text>', 'the title of the document (default: the names of the APIs)')
    .addOption(
      new Option('--envelope <name>', 'how events say what they are (default: itm)').choices([
        'itm',
        'cloudevents',
      ]),
    )
  addSchemaSource(command).action(async (flags: AsyncApiFlags) => {
    process.exitCode = await describeApis(flags)
  })
}

async function describeApis(flags: AsyncApiFlags): Promise<number> {
  const { toAsyncApi } = await import('../../bus/index.ts')
  const { server, title, prefix, envelope } = flags
  const writeAll = async (apis: readonly Api[]) => {
    const servers = server === undefined ? {} : { main: server }
    const document = toAsyncApi(apis, { servers, title, prefix, envelope })
    await writeResult(`${JSON.stringify(document, null, 2)}\n`, flags)
  }
  if (!isFromModule(flags)) {
    return withPublished(flags, async (documents) => writeAll(await apisIn(documents)))
  }
  try {
    await writeAll(await apisOfModule(flags))
    return 0
  } catch (error) {
    return isClosedPipe(error) ? 0 : reportFailure(error)
  }
}
