/**
 * How does a command say what went wrong? In one line on standard error, and with an exit status of
 * the table in exit-codes.ts.
 */
import { CommanderError } from 'commander'
import { MqttError, UsageError } from '../index.ts'
import { MISUSED, statusOf } from './exit-codes.ts'
import { say } from './screen.ts'
import { inFlags, inWords } from './words.ts'

export { FAILED } from './exit-codes.ts'
export { say } from './screen.ts'
export { asSentence, counted } from './words.ts'

/** Reports an error on standard error.
 * @returns the exit status for it.
 */
export function reportFailure(error: unknown): number {
  // Commander has written its message already. Help and version are no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED
  say(printable(error))
  return statusOf(error)
}

/** @returns one line for a known error, or the stack of an error that must be a defect. */
export function printable(error: unknown): string {
  if (error instanceof UsageError) return oneLine(inFlags(inWords(error.message)))
  if (error instanceof MqttError) return oneLine(inWords(error.message))
  if (!(error instanceof Error)) return oneLine(String(error))
  const known = typeof (error as NodeJS.ErrnoException).code === 'string'
  return known ? oneLine(inWords(error.message)) : (error.stack ?? error.message)
}

export function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ')
}
