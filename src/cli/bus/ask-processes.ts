/**
 * How are the processes of a bus asked, once or again and again? With a connection of its own, as a
 * bus that serves nothing; a signal ends it in order.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type Bus, createBus, type DiscoveredProcess } from '../../bus/index.ts'
import { MqttError } from '../../index.ts'
import { FAILED } from '../exit-codes.ts'
import { oneLine, printable, reportFailure, say } from '../fail.ts'
import { connectionOptions } from '../flags.ts'
import { Interrupt } from '../interrupt.ts'
import { abandonOutput, isClosedPipe, write } from '../output.ts'
import type { AskFlags } from './ask-flags.ts'

/** @returns what a process says of itself, as a line of JSON. */
export function jsonLine(one: DiscoveredProcess): string {
  return `${JSON.stringify(one)}\n`
}

/**
 * Writes each process that answers: all in order of their names, then again after `everyS` seconds,
 * until a signal comes, unless that is null.
 * @returns the exit status.
 */
export async function withProcesses(
  flags: AskFlags,
  textOf: (one: DiscoveredProcess) => string,
  everyS: number | null = null,
): Promise<number> {
  const bus = createBus({
    // Two commands on one machine must not take the connection of each other.
    ...{ service: 'it-mqtt', process: `cli-${randomBytes(6).toString('hex')}` },
    ...(flags.prefix === undefined ? {} : { prefix: flags.prefix }),
    client: { ...connectionOptions(flags, null), onWarning: warnedOf(flags) },
  })
  const ending = new AbortController()
  const interrupt = new Interrupt(() => {
    ending.abort()
    abandonOutput()
  })
  try {
    for (;;) {
      const found = await processesOf(bus, flags, ending.signal).catch((error: unknown) => {
        // A connection that was lost comes back.
        if (everyS === null || !isWithoutConnection(error)) throw error
        say(printable(error))
        return []
      })
      if (found.length === 0 && everyS === null) {
        say(`no process of a bus has answered within ${flags.timeout} ms`)
        return FAILED
      }
      for (const one of found) await write(textOf(one))
      if (everyS === null) return 0
      if (!flags.json) await write('\n')
      await pause(everyS * 1000, undefined, { signal: ending.signal })
    }
  } catch (error) {
    if (ending.signal.aborted || isClosedPipe(error)) return interrupt.status
    return reportFailure(causeOfEnd(error))
  } finally {
    await bus.close({ timeout: flags.disconnectTimeout }).catch(() => {})
    interrupt.close()
  }
}

async function processesOf(
  bus: Bus,
  { api, service, timeout }: AskFlags,
  signal: AbortSignal,
): Promise<readonly DiscoveredProcess[]> {
  const found: DiscoveredProcess[] = []
  for await (const one of bus.discover({ api, service, timeoutMs: timeout, signal }))
    found.push(one)
  const nameOf = (one: DiscoveredProcess) => `${one.service}/${one.process}`
  return found.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}

function warnedOf({ quiet }: AskFlags) {
  return ({ message }: { readonly message: string }) => {
    if (!quiet) say(oneLine(message))
  }
}

function isWithoutConnection(error: unknown): boolean {
  return error instanceof MqttError && error.code === 'TIMEOUT'
}

/** @returns the error that ended the client, if another one only says that it has ended. */
function causeOfEnd(error: unknown): unknown {
  const isEnd = error instanceof MqttError && error.code === 'ENDED'
  return isEnd && error.cause instanceof Error ? error.cause : error
}
