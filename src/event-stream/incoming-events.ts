/**
 * What does a received message say: an event, an initial message, a refusal, or something that is
 * not known? (Smithy: event stream semantics)
 */
import { ConnectionError, ProtocolError, RefusedError } from '../index.ts'
import type { StreamMessage } from './codec/header-values.ts'
import { decodeEvent, type EventSet } from './event-definitions.ts'

/** What a message says. */
type Said =
  | {
      readonly kind: 'event'
      readonly type: string
      readonly value: unknown
      readonly headers: unknown
    }
  | { readonly kind: 'initial'; readonly value: unknown }
  | { readonly kind: 'unknown'; readonly type: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'raw' }

/** Which message begins what the other side sends. */
export const INITIAL_TYPES = { client: 'initial-response', server: 'initial-request' } as const

/** Protocol error (2.4). */
const PROTOCOL_ERROR = 0x82

/** @returns the error of a message that has not the headers that it must have. */
export function protocolFault(clause: string, problem: string, code = 'MALFORMED_MESSAGE') {
  return new ProtocolError(`a message of an event stream ${problem}`, {
    ...{ code, clause, reasonCode: PROTOCOL_ERROR, retryable: false },
  })
}

/** @returns the text of a header, or undefined if it is not there or no text. */
function textHeader({ headers }: StreamMessage, name: string): string | undefined {
  const header = headers.get(name)
  return header?.type === 'string' ? header.value : undefined
}

function requiredText(message: StreamMessage, name: string): string {
  const text = textHeader(message, name)
  if (text !== undefined && text !== '') return text
  throw protocolFault(name, `has no header ${name} with a text`)
}

/**
 * @param role which side reads
 * @throws RefusedError for an exception or an error of the other side; ProtocolError
 */
export function interpret(
  message: StreamMessage,
  { events, others }: EventSet,
  role: 'client' | 'server',
): Said {
  if (!message.headers.has(':message-type')) return { kind: 'raw' }
  const messageType = requiredText(message, ':message-type')
  if (messageType === 'exception') throw exceptionOf(message, others.exceptions ?? {})
  if (messageType === 'error') {
    const code = requiredText(message, ':error-code')
    throw refused(code, textHeader(message, ':error-message') ?? '', undefined)
  }
  if (messageType !== 'event') {
    const problem = 'has a :message-type that is not event, exception or error'
    throw protocolFault(':message-type', problem)
  }
  const type = requiredText(message, ':event-type')
  if (type === INITIAL_TYPES[role]) {
    const initial = role === 'client' ? others.initialResponse : others.initialRequest
    if (initial === undefined) return { kind: 'nothing' }
    return { kind: 'initial', value: decodeEvent(type, initial, message).value }
  }
  const definition = Object.hasOwn(events, type) ? events[type] : undefined
  if (definition === undefined) return { kind: 'unknown', type }
  return { kind: 'event', type, ...decodeEvent(type, definition, message) }
}

function exceptionOf(message: StreamMessage, exceptions: EventSet['events']): RefusedError {
  const type = requiredText(message, ':exception-type')
  const definition = Object.hasOwn(exceptions, type) ? exceptions[type] : undefined
  const data = exceptionData(message, type, definition)
  const text = (data as { message?: unknown; Message?: unknown } | null | undefined) ?? {}
  const said = text.message ?? text.Message
  return refused(type, typeof said === 'string' ? said : '', data)
}

/** An exception is reported in any case: what cannot be decoded stays as it is. */
function exceptionData(
  message: StreamMessage,
  type: string,
  definition: EventSet['events'][string] | undefined,
): unknown {
  try {
    if (definition !== undefined) return decodeEvent(type, definition, message).value
  } catch {}
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(message.payload))
  } catch {
    return message.payload.length === 0 ? undefined : message.payload
  }
}

/** Texts of others are kept up to so many characters. */
const TEXT_MAX = 4096
/** The names of exceptions are short. */
const CODE_MAX = 128

function refused(code: string, text: string, data: unknown): RefusedError {
  const name = code.slice(0, CODE_MAX)
  const message = text.slice(0, TEXT_MAX)
  return new RefusedError(`the other side of an event stream ended it: ${name}: ${message}`, {
    ...{ code: name, reasonCode: 0, remote: { code: name, message, data } },
  })
}

/** @returns the error of an end that came too early. */
export function incomplete(problem: string): ConnectionError {
  return new ConnectionError(`an event stream ended ${problem}`, { code: 'INCOMPLETE' })
}
