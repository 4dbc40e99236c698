/**
 * Which signals mean what? Imported first, so that none of them has the meaning that Node gives it:
 * SIGUSR1 would open a debugger.
 */
import { isatty } from 'node:tty'

/**
 * The signals that end a command. SIGHUP says that the terminal is gone, so it is one of them only
 * for a command that has a terminal. A command that was started by `nohup` has none: `nohup`
 * redirects each of the three descriptors that is a terminal. Whether SIGHUP was ignored at the
 * start cannot be asked, because Node sets every signal to its default.
 */
export const ENDING: readonly NodeJS.Signals[] = [0, 1, 2].some((fd) => isatty(fd))
  ? ['SIGINT', 'SIGTERM', 'SIGHUP']
  : ['SIGINT', 'SIGTERM']

if (!ENDING.includes('SIGHUP')) process.on('SIGHUP', () => {})

let answer: () => void = () => {}

if (process.platform !== 'win32') process.on('SIGUSR1', () => answer())

/** Calls this function at SIGUSR1, instead of the one before it. */
export function onStatusAsked(report: () => void): void {
  answer = report
}
