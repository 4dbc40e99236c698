/**
 * How does a command say what went wrong? In one line on standard error, and with an exit status of
 * the table in exit-codes.ts.
 */
import { CommanderError } from 'commander'
import { MqttError } from '../index.ts'
import { MISUSED, statusOf } from './exit-codes.ts'

export { FAILED } from './exit-codes.ts'

/** Reports an error on standard error.
 * @returns the exit status for it.
 */
export function reportFailure(error: unknown): number {
  // Commander has written its message already. Help and version are no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED
  say(printable(error))
  return statusOf(error)
}

/** Writes one line to standard error. */
export function say(text: string): void {
  process.stderr.write(`it-mqtt: ${text}\n`)
}

/** @returns one line for a known error, or the stack of an error that must be a defect. */
export function printable(error: unknown): string {
  if (error instanceof MqttError) return oneLine(error.message)
  if (!(error instanceof Error)) return oneLine(String(error))
  const known = typeof (error as NodeJS.ErrnoException).code === 'string'
  return known ? oneLine(error.message) : (error.stack ?? error.message)
}

export function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ')
}

/** @returns a count with its noun, as people write it: `1,000 requests`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}
