/** How does a service write its log? As lines of JSON on standard error, which programs collect. */
import { writeSync } from 'node:fs'

const LOG_STDERR = 2

/** Writes a line. A line that nobody takes is lost: a log must not stop a service. */
export function logLine(
  level: 'debug' | 'info' | 'warn' | 'error',
  fields: Readonly<Record<string, unknown>>,
  message: string,
): void {
  const line = { time: new Date().toISOString(), level, ...fields, msg: message }
  try {
    writeSync(LOG_STDERR, `${JSON.stringify(line)}\n`)
  } catch {
    // EAGAIN of a pipe that is full, EPIPE of one that nobody reads.
  }
}
