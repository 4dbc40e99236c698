/**
 * Who is at fault, and can trying again help? Every error that leaves the package belongs to one of
 * six families, which say who is at fault.
 *
 * `code` names the case and is stable: error-codes.ts lists all of them. `retryable` says whether
 * the same thing may succeed later. The message says what is wrong, where, and what to do. `cause`
 * keeps the underlying error. Passwords and payloads never appear in a message.
 */
import type { ErrorCode } from './error-codes.ts'

export type { ErrorCode, ErrorCodes, WarningCode, WarningCodes } from './error-codes.ts'

/** A code of this package, or one that is passed on: Node's, or that of a transport of the user. */
type AnyErrorCode = ErrorCode | (string & {})

interface ErrorDetails {
  readonly code: AnyErrorCode
  readonly retryable?: boolean
  readonly cause?: unknown
}

/** The base of all families. Programs test `code`, people read `message`. */
export abstract class MqttError extends Error {
  /** Names the case. docs/ERRORS.md lists the codes; they are stable. */
  readonly code: AnyErrorCode
  /** Whether the same attempt may succeed later without anyone changing anything. */
  readonly retryable: boolean
  /**
   * The `RunResult` that `run()` had reached before this error ended it. It is not enumerable,
   * because it holds requests with their payloads, and errors are printed and logged.
   */
  declare result?: unknown

  constructor(message: string, { code, retryable = false, cause }: ErrorDetails) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
  }
}

/** What is wrong with one part of a payload. It holds no values of the payload. */
export interface PayloadIssue {
  /** The way to the part: names of properties and positions in arrays. Empty: the whole value. */
  readonly path: readonly (string | number)[]
  /** What is wrong there. What a schema repeats of the value is replaced by `…`. */
  readonly message: string
}

/** An error keeps its issues out of sight of `console.log`, since schemas write their texts. */
function keepIssues(error: MqttError, issues: readonly PayloadIssue[] | undefined): void {
  if (issues === undefined) return
  Object.defineProperty(error, 'issues', { value: issues, configurable: true })
}

/** The caller is at fault: an option, a request or a call cannot be used. Never retryable. */
export class UsageError extends MqttError {
  /** The name of the class. */
  override readonly name = 'UsageError'
  /** What is wrong with the value, if the code is `INVALID_PAYLOAD`. It is not enumerable. */
  declare readonly issues?: readonly PayloadIssue[]

  constructor(
    message: string,
    details: {
      readonly code?: AnyErrorCode
      readonly cause?: unknown
      readonly issues?: readonly PayloadIssue[]
    } = {},
  ) {
    super(message, { code: details.code ?? 'USAGE', cause: details.cause })
    keepIssues(this, details.issues)
  }
}

/** The server broke a rule of the standard. */
export class ProtocolError extends MqttError {
  /** The name of the class. */
  override readonly name = 'ProtocolError'
  /** The reason code of the DISCONNECT that answers the violation, 0x80 to 0xFF. */
  readonly reasonCode: number
  /** The clause of the standard that was broken, such as `MQTT-3.2.2-4`, or a rule's name. */
  readonly clause: string
  /** With `MALFORMED_MESSAGE`: where a rule is broken, in bytes from the start of the stream. */
  declare readonly offset?: number
  /** What is wrong with the payload, if the code is `INVALID_PAYLOAD`. It is not enumerable. */
  declare readonly issues?: readonly PayloadIssue[]

  constructor(
    message: string,
    details: {
      readonly reasonCode: number
      readonly clause: string
      readonly code?: AnyErrorCode
      readonly retryable?: boolean
      readonly cause?: unknown
      readonly issues?: readonly PayloadIssue[]
      readonly offset?: number
    },
  ) {
    super(message, {
      code: details.code ?? 'PROTOCOL',
      retryable: details.retryable ?? true,
      cause: details.cause,
    })
    this.reasonCode = details.reasonCode
    this.clause = details.clause
    if (details.offset !== undefined) this.offset = details.offset
    keepIssues(this, details.issues)
  }
}

/** A topic filter and the reason code that the server gave for it. */
export interface FilterAnswer {
  /** The topic filter. */
  readonly topic: string
  /** 0x80 and above is a refusal; 0, 1 and 2 are the QoS that was granted. */
  readonly reasonCode: number
}

const NO_FILTERS: readonly FilterAnswer[] = []

/** What another process said about a failure. It has no stack, and texts are at most 4 KiB. */
export interface RemoteFailure {
  /** Its name for the case. */
  readonly code: string
  /** Its explanation, for people; empty if it gave none. */
  readonly message: string
  /** Its data: the payload of its answer, decoded if there is a codec. */
  readonly data: unknown
}

/** The server refused, with a reason code of the standard; or another process did (`remote`). */
export class RefusedError extends MqttError {
  /** The name of the class. */
  override readonly name = 'RefusedError'
  /** The reason code or return code that the server sent; 0 if it sent none. */
  readonly reasonCode: number
  /**
   * The packet that refused, or undefined if there was none. It is not enumerable, because it may
   * have its request with it, and that a payload.
   */
  declare readonly packet: unknown
  /** The filters of a SUBSCRIBE or UNSUBSCRIBE that were refused, each with its reason code. */
  declare readonly refused: readonly FilterAnswer[]
  /** The filters of the same packet that were not refused, each with its reason code. */
  declare readonly granted: readonly FilterAnswer[]
  /** The HTTP status that refused the WebSocket upgrade, if that was refused. */
  declare readonly statusCode?: number
  /** How long the server asks to wait before the next attempt, in ms, if it does. */
  declare readonly retryAfterMs?: number
  /** What a responder said that refused a request. */
  declare readonly remote?: RemoteFailure

  constructor(
    message: string,
    details: ErrorDetails & {
      readonly reasonCode: number
      readonly packet?: unknown
      readonly refused?: readonly FilterAnswer[]
      readonly granted?: readonly FilterAnswer[]
      readonly statusCode?: number
      readonly retryAfterMs?: number
      readonly remote?: RemoteFailure
    },
  ) {
    super(message, details)
    const { reasonCode, packet, statusCode, retryAfterMs, remote } = details
    this.reasonCode = reasonCode
    Object.defineProperty(this, 'packet', { value: packet, configurable: true })
    // Most refusals are about no filter, and are printed without them.
    for (const name of ['refused', 'granted'] as const) {
      const { [name]: value = NO_FILTERS } = details
      Object.defineProperty(this, name, { value, enumerable: value.length > 0, configurable: true })
    }
    if (statusCode !== undefined) this.statusCode = statusCode
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs
    if (remote !== undefined) this.remote = remote
  }
}

/** The transport is at fault: name lookup, TCP, TLS, time-outs, a connection that was cut. */
export class ConnectionError extends MqttError {
  /** The name of the class. */
  override readonly name = 'ConnectionError'
  /**
   * With `TIMEOUT`: whether the connection was lost after the request had left, so that it may have
   * been done.
   */
  declare readonly linkLost?: boolean

  constructor(message: string, details: ErrorDetails & { readonly linkLost?: boolean }) {
    super(message, { retryable: true, ...details })
    if (details.linkLost !== undefined) this.linkLost = details.linkLost
  }
}

/** The disk is at fault: a session store or a spool could not read or write. */
export class StorageError extends MqttError {
  /** The name of the class. */
  override readonly name = 'StorageError'

  constructor(message: string, details: Partial<ErrorDetails> = {}) {
    super(message, { code: 'STORAGE', ...details })
  }
}

/** This package is at fault: one of its invariants does not hold. Please report it. */
export class BugError extends MqttError {
  /** The name of the class. */
  override readonly name = 'BugError'

  constructor(message: string, details: Partial<ErrorDetails> = {}) {
    super(`${message} (a defect of it-mqtt; please report it)`, { code: 'BUG', ...details })
  }
}

/** Guards an invariant of this package. It never checks input of a server or a caller. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new BugError(message)
}

/** Ends a `switch` over a union: a new member of the union does not compile until it has a case. */
export function unreachable(value: never): never {
  throw new BugError(`unexpected ${JSON.stringify(value)}`)
}

/** @returns the message of an error, or the text of anything else that was thrown. */
export function messageOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') {
    return cause.errors.map(messageOf).join('; ')
  }
  return cause instanceof Error ? cause.message : String(cause)
}

/**
 * @returns how a message names a value: its type, and the value itself if it is short and harmless.
 */
export function describe(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return `"${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    return String(value)
  }
  if (typeof value === 'object') {
    const name = Object.getPrototypeOf(value)?.constructor?.name
    return `an object${name && name !== 'Object' ? ` (${name})` : ''}`
  }
  return `a ${typeof value}`
}
