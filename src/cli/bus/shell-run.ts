/**
 * How does a shell come to a bus, and leave it? The bus runs while the shell is open, so that the
 * connection stays, and what is served and listened to by hand works too.
 */
import { randomBytes } from 'node:crypto'
import { type Api, type Bus, createBus } from '../../bus/index.ts'
import { MqttError } from '../../index.ts'
import { oneLine, reportFailure, say } from '../fail.ts'
import { connectionOptions } from '../flags.ts'
import { Interrupt } from '../interrupt.ts'
import { abandonOutput, isClosedPipe } from '../output.ts'
import { apisIn } from './documented-apis.ts'
import { apisOfModule } from './schema-source.ts'
import { shellApis } from './shell-apis.ts'
import type { ShellFlags } from './shell-flags.ts'
import { type ShellNames, shellOnTerminal, shellScript } from './shell-input.ts'

/** @returns the exit status. */
export async function runShell(flags: ShellFlags): Promise<number> {
  const ending = new AbortController()
  const interrupt = new Interrupt(() => {
    ending.abort()
    abandonOutput()
  })
  let bus: Bus | null = null
  try {
    const exported = flags.module === undefined ? null : await apisOfModule(flags)
    bus = shellBus(flags, exported !== null)
    const { signal } = ending
    const aborted = whenOver(signal)
    // Before there is an API: its schemas may be data of others, which nothing may compile.
    const running = bus.run().then(() => aborted)
    const apis = exported ?? (await Promise.race([published(bus, flags), running, aborted]))
    if (apis === undefined) return interrupt.status
    const names = { bus, api: shellApis(bus, apis) }
    const shell = shellOf(names, signal)
    const status = await Promise.race([shell, running, aborted])
    return interrupt.status || (status ?? 0)
  } catch (error) {
    if (interrupt.caught || isClosedPipe(error)) return interrupt.status
    return reportFailure(causeOfShell(error))
  } finally {
    ending.abort()
    await bus?.close({ timeout: flags.disconnectTimeout || 1 }).catch(() => {})
    interrupt.close()
  }
}

function shellOf(names: ShellNames, signal: AbortSignal): Promise<number> {
  return process.stdin.isTTY ? shellOnTerminal(names, signal) : shellScript(names)
}

function shellBus(flags: ShellFlags, validates: boolean): Bus {
  const { prefix, timeout, quiet } = flags
  const options = connectionOptions(flags, null)
  const isVersion5 = options.protocolVersion === undefined || options.protocolVersion === 5
  return createBus({
    // Two shells on one machine must not take the connection of each other.
    ...{ service: 'it-mqtt', process: `shell-${randomBytes(6).toString('hex')}` },
    ...(prefix === undefined ? {} : { prefix }),
    ...{ timeout, control: false, schema: false },
    validate: { outgoing: validates, incoming: validates },
    client: {
      ...options,
      ...(isVersion5 ? { sessionExpiryInterval: 0 } : {}),
      onWarning: ({ message }) => {
        if (!quiet) say(oneLine(message))
      },
    },
  })
}

/** @returns the APIs whose schemas services have published. */
async function published(bus: Bus, { timeout, quiet }: ShellFlags): Promise<readonly Api[]> {
  const apis = await apisIn(await bus.schema(undefined, { timeout }))
  if (apis.length === 0 && !quiet) say('no schema is published; --module names a module with APIs')
  return apis
}

function whenOver(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

/** @returns the error that ended the bus, if another one only says that it has ended. */
function causeOfShell(error: unknown): unknown {
  const isEnd = error instanceof MqttError && error.code === 'ENDED'
  return isEnd && error.cause instanceof Error ? error.cause : error
}
