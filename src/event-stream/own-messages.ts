/**
 * Which messages does an event stream send beside its events, and where does it say what nobody
 * asked for?
 */
import { UsageError } from '../index.ts'
import type { MessageInput } from './codec/header-values.ts'
import { type EventDefinition, type EventSet, encodeEvent } from './event-definitions.ts'
import type { EventStreamOptions } from './event-stream-types.ts'
import { INITIAL_TYPES } from './incoming-events.ts'

/**
 * @returns the first message of this side, or null if there is none
 * @throws UsageError if `initial` is missing or not defined
 */
export function initialOf({ events, role, initial }: EventStreamOptions): MessageInput | null {
  const { initialRequest, initialResponse } = events.others
  const definition: EventDefinition | undefined =
    role === 'client' ? initialRequest : initialResponse
  if ((definition === undefined) !== (initial === undefined)) {
    const text = `a ${role} must have the option initial if and only if its events define it`
    throw new UsageError(text)
  }
  if (definition === undefined) return null
  const name = INITIAL_TYPES[role === 'client' ? 'server' : 'client']
  return encodeEvent('event', name, definition, initial, {})
}

/** What `fail()` takes, whatever the events. */
export interface AnyFailure {
  readonly code?: string
  readonly message?: string
  readonly type?: string
  readonly value?: unknown
}

/** @throws UsageError if the exception is not defined */
export function failureMessage(
  { others }: EventSet,
  { code, message, type, value }: AnyFailure,
): MessageInput {
  if (type !== undefined) {
    const { exceptions = {} } = others
    const definition = Object.hasOwn(exceptions, type) ? exceptions[type] : undefined
    if (definition !== undefined) return encodeEvent('exception', type, definition, value, {})
    throw new UsageError(`the exception "${type}" is not defined`)
  }
  if (typeof code !== 'string' || code === '' || typeof message !== 'string') {
    throw new UsageError('fail() takes { type, value } of an exception, or { code, message }')
  }
  const headers = { ':message-type': 'error', ':error-code': code, ':error-message': message }
  return { headers }
}

/** Where a warning goes that no callback takes. */
export function warnSomebody({
  code,
  message,
}: {
  readonly code: string
  readonly message: string
}): void {
  const runtime = (globalThis as { process?: Pick<NodeProcess, 'emitWarning'> })['process']
  if (runtime?.emitWarning === undefined) console.warn(message)
  else runtime.emitWarning(message, { type: 'MqttWarning', code })
}

interface NodeProcess {
  emitWarning?(message: string, details: { readonly type: string; readonly code: string }): void
}
