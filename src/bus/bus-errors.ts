/**
 * How does a bus say what goes wrong, where the client has words of its own for it? A person who
 * uses a bus knows services, processes and rpcs, and has never chosen a client identifier or a
 * topic.
 */
import type { Client } from '../client/index.ts'
import { ConnectionError, RefusedError } from '../index.ts'
import type { Api } from './api-types.ts'
import type { BusParts } from './bus-parts.ts'

const TAKEN_OVER = 'SESSION_TAKEN_OVER'

interface RunningProcess {
  readonly service: string
  readonly process: string
}

/** @returns the error of a connection that was taken over, in words of the bus, or any other. */
export function nameTaken({ service, process }: RunningProcess, error: unknown): unknown {
  if (!(error instanceof RefusedError) || error.code !== TAKEN_OVER) return error
  const { cause } = error
  if (cause instanceof RefusedError && cause.code === TAKEN_OVER) return error
  const message =
    `Another process runs as ${service}/${process}, and the two take the connections from each` +
    ' other: give each a name of its own by the option `process` of createBus().'
  const { reasonCode, packet } = error
  return new RefusedError(message, {
    ...{ code: TAKEN_OVER, reasonCode, packet, cause: error },
  })
}

/** Warns of a listener whose process has another name after each restart. */
export function tellUnnamed({ warn }: Pick<BusParts, 'warn'>, listener: string): void {
  const message =
    `The listener "${listener}" has a session at the server, and this process has no name that it` +
    ' has again after a restart, so that nobody finds the session again; give createBus() the' +
    ' option `process`.'
  warn('PROCESS_UNNAMED', message)
}

/** @returns the error of a call that had no connection when its time was over, or any other. */
export function unconnectedCall(what: string, client: Client, error: unknown): unknown {
  const isTimeout = error instanceof ConnectionError && error.code === 'TIMEOUT'
  if (!isTimeout || client.state.connection.kind === 'connected') return error
  const { code, retryable, linkLost, message } = error
  const why = 'there is no connection to the server; is it up, and is this its address?'
  return new ConnectionError(`${what}: ${why} (${message})`, {
    ...{ code, retryable, cause: error },
    ...(linkLost === undefined ? {} : { linkLost }),
  })
}

/** @returns the error of a call that nobody answers, in words of the bus; any other as it is. */
export function nobodyServes(what: string, { name, major }: Api, topic: string, error: unknown) {
  const isNobody = error instanceof RefusedError && error.code === 'NO_RESPONDERS'
  if (!isNobody || error.remote !== undefined) return error
  const message =
    `${what}: no process serves it now; start a service with the API ${name} v${major} at this` +
    ` server, with the same \`prefix\` (nobody has subscribed to ${topic})`
  const { reasonCode, retryable, packet } = error
  return new RefusedError(message, {
    ...{ code: 'NO_RESPONDERS', retryable, reasonCode, packet, cause: error },
  })
}
