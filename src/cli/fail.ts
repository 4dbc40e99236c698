/**
 * What went wrong, as one line and a status: 1 where the world is at fault, 2 where the command line is.
 */
import { CommanderError } from 'commander'
import { MqttError, ProtocolError, UsageError } from '../index.ts'

export const FAILED = 1
export const MISUSED = 2

/** The exit status for what was thrown; says so on stderr, in one line where the cause is known. */
export function tellFailure(error: unknown): number {
  // Commander has said it already; help and version are no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED
  say(messageOf(error))
  return error instanceof UsageError ? MISUSED : FAILED
}

export function say(text: string): void {
  process.stderr.write(`it-mqtt: ${text}\n`)
}

/** One line for what belongs to the world; a stack only for what must be a defect. */
export function messageOf(error: unknown): string {
  if (isUnknownSession(error)) {
    return 'the broker holds a session of this client id that the session file does not know; use another --client-id'
  }
  if (error instanceof MqttError) return oneLine(error.message)
  if (!(error instanceof Error)) return oneLine(String(error))
  const known = typeof (error as NodeJS.ErrnoException).code === 'string'
  return known ? oneLine(error.message) : (error.stack ?? error.message)
}

/** Its own message speaks of options that are not on the command line. */
function isUnknownSession(error: unknown): boolean {
  return error instanceof ProtocolError && error.clause === 'MQTT-3.2.2-4' && !error.retryable
}

export function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ')
}

/** A count as people read it. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}
