/**
 * How is standard error written? Messages are lines that stay. A terminal has one more line below
 * them, the status, which is written over.
 *
 * A file is written immediately, and not by Node's stream, which after one error (a full disk)
 * would drop every later message.
 */
import { fstatSync, writeSync } from 'node:fs'

const STDERR = 2

/** Whether a person sees standard error on a terminal. */
export const isTerminal: boolean = process.stderr.isTTY === true

const isFile = !isTerminal && fstatSync(STDERR).isFile()

/** Erases the line that the cursor is in. */
const ERASE = '\r\u001b[K'

let status: string | null = null
/** Whether the status is on the screen. */
let isShown = false

/** Writes one line to standard error. */
export function say(text: string): void {
  clearStatus()
  writeText(`it-mqtt: ${text}\n`)
  showStatus(status)
}

/** Shows the status below all messages, or removes it with null. Only a terminal has one. */
export function showStatus(text: string | null): void {
  if (!isTerminal) return
  clearStatus()
  status = text
  if (text === null) return
  const { columns = 80 } = process.stderr
  writeText([...text].slice(0, Math.max(columns, 2) - 1).join(''))
  isShown = true
}

/** Removes the status from the screen until the next `showStatus`, so that others may write. */
export function clearStatus(): void {
  if (!isShown) return
  isShown = false
  writeText(ERASE)
}

function writeText(text: string): void {
  if (!isFile) {
    process.stderr.write(text)
    return
  }
  try {
    writeSync(STDERR, text)
  } catch {
    // A message for which there is no room is lost. The next one is tried again.
  }
}
