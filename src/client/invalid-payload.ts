/**
 * Who is at fault if a value and a payload do not become each other? The caller if the value goes
 * out, the publisher if the payload comes in. No message and no issue holds a value.
 */
import { type PayloadIssue, ProtocolError, UsageError } from '../index.ts'
import { shownText } from './levels.ts'

/** Payload format invalid. (2.4) */
const PAYLOAD_FORMAT_INVALID = 0x99

/** How many paths a message shows. */
const SHOWN_PATHS_MAX = 5

/** The fault of one value: what is wrong with it, where, and why. */
export interface PayloadFault {
  /** Completes "the value …" and "the payload …". */
  readonly problem: string
  readonly issues: readonly PayloadIssue[]
  readonly cause?: unknown
}

/**
 * @param problem says what is wrong; the path follows it, and then the reason
 * @returns the fault of one part of a value, or of the whole.
 */
export function payloadFault(
  problem: string,
  path: PayloadIssue['path'] = [],
  reason = '',
): PayloadFault {
  const where = path.length === 0 ? '' : ` at ${pathText(path)}`
  return {
    problem: `${problem}${where}${reason}`,
    issues: [{ path, message: `${problem}${reason}` }],
  }
}

/** @returns the fault of a value that a schema refuses. */
export function schemaFault(issues: readonly PayloadIssue[]): PayloadFault {
  const problem = `does not fit its schema at ${issuePlaces(issues)}; see \`issues\``
  return { problem, issues }
}

/** @returns where the issues are, for the message of an error: `.a.b, [0] and 3 more`. */
export function issuePlaces(issues: readonly PayloadIssue[]): string {
  const paths = [...new Set(issues.map(({ path }) => pathText(path)))]
  const shown = paths.slice(0, SHOWN_PATHS_MAX).join(', ')
  return paths.length > SHOWN_PATHS_MAX
    ? `${shown} and ${paths.length - SHOWN_PATHS_MAX} more`
    : shown
}

/** @returns the error of a value that cannot be published. */
export function invalidOutgoing({ problem, issues, cause }: PayloadFault): UsageError {
  return new UsageError(`the value ${problem}`, { code: 'INVALID_PAYLOAD', issues, cause })
}

/** @returns the error of a payload that was received on `topic`. */
export function invalidIncoming(
  topic: string,
  { problem, issues, cause }: PayloadFault,
): ProtocolError {
  return new ProtocolError(`the payload of a message on ${shownText(topic)} ${problem}`, {
    code: 'INVALID_PAYLOAD',
    reasonCode: PAYLOAD_FORMAT_INVALID,
    clause: '3.3.2.3.2',
    // The same message will be no better when it comes again.
    retryable: false,
    issues,
    cause,
  })
}

/** @returns a path as it is written in JavaScript, or `(top)` for the whole value. */
function pathText(path: PayloadIssue['path']): string {
  const text = path
    .map((key) =>
      typeof key === 'number' ? `[${key}]` : isPlain(key) ? `.${key}` : inBrackets(key),
    )
    .join('')
    .replace(/^\./, '')
  return text === '' ? '(top)' : text
}

function isPlain(key: string): boolean {
  return /^[\p{L}_$][\p{L}\p{N}_$]{0,79}$/u.test(key)
}

function inBrackets(key: string): string {
  return `[${shownText(key)}]`
}
