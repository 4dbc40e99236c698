/**
 * Who is at fault, and can trying again help? Every error that leaves the package belongs to one of six families.
 *
 * Rules of the room: `code` names the case and is stable; `retryable` says whether the same thing may succeed later;
 * the message says what, where and what to do; `cause` keeps what lay underneath. Passwords and payloads never appear.
 */

interface ErrorDetails {
  readonly code: string
  readonly retryable?: boolean
  readonly cause?: unknown
}

/** What all families share. Programs test `code`, people read `message`. */
export abstract class MqttError extends Error {
  readonly code: string
  /** Whether the same attempt may succeed later without anyone changing anything. */
  readonly retryable: boolean

  constructor(message: string, { code, retryable = false, cause }: ErrorDetails) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
  }
}

/** The caller is at fault: a wrong option, request or call. Never retryable. */
export class UsageError extends MqttError {
  override readonly name = 'UsageError'
  /** Set by `run`: what was reached before the error. */
  declare result?: unknown

  constructor(message: string, details: { readonly code?: string; readonly cause?: unknown } = {}) {
    super(message, { code: details.code ?? 'USAGE', cause: details.cause })
  }
}

/** The peer broke a rule of the standard. `reasonCode` is what a DISCONNECT of ours carries for it; `clause` says which rule. */
export class ProtocolError extends MqttError {
  override readonly name = 'ProtocolError'
  readonly reasonCode: number
  readonly clause: string
  declare result?: unknown

  constructor(
    message: string,
    details: {
      readonly reasonCode: number
      readonly clause: string
      readonly code?: string
      readonly retryable?: boolean
      readonly cause?: unknown
    },
  ) {
    super(message, {
      code: details.code ?? 'PROTOCOL',
      retryable: details.retryable ?? true,
      cause: details.cause,
    })
    this.reasonCode = details.reasonCode
    this.clause = details.clause
  }
}

/** The peer said no, with a reason code of the standard. `packet` is the packet that said it, where one did. */
export class RefusedError extends MqttError {
  override readonly name = 'RefusedError'
  readonly reasonCode: number
  readonly packet: unknown
  declare result?: unknown

  constructor(
    message: string,
    details: ErrorDetails & { readonly reasonCode: number; readonly packet?: unknown },
  ) {
    super(message, details)
    this.reasonCode = details.reasonCode
    this.packet = details.packet
  }
}

/** The road is at fault: name lookup, TCP, TLS, time-outs, a connection that was cut. */
export class ConnectionError extends MqttError {
  override readonly name = 'ConnectionError'
  declare result?: unknown

  constructor(message: string, details: ErrorDetails) {
    super(message, { retryable: true, ...details })
  }
}

/** The disk is at fault: a session store that could not load or commit. */
export class StorageError extends MqttError {
  override readonly name = 'StorageError'
  declare result?: unknown

  constructor(message: string, details: Partial<ErrorDetails> = {}) {
    super(message, { code: 'STORAGE', ...details })
  }
}

/** We are at fault: an invariant of the engine does not hold. Please report it. */
export class BugError extends MqttError {
  override readonly name = 'BugError'
  declare result?: unknown

  constructor(message: string, details: Partial<ErrorDetails> = {}) {
    super(`${message} (a defect of it-mqtt; please report it)`, { code: 'BUG', ...details })
  }
}

/** Guards an invariant of our own. Input from a peer or a caller never reaches it. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new BugError(message)
}

/** The end of a `switch` over a union: a new member does not compile until it is decided. */
export function unreachable(value: never): never {
  throw new BugError(`unexpected ${JSON.stringify(value)}`)
}

/** How a value is named in a message: its type and, where short and harmless, itself. */
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
