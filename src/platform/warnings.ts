/**
 * Where does a warning go that no callback takes? To the warnings of the process, or to the console
 * where there is no process.
 */
import { warnOfProcess } from '#runtime'

/** The warnings that were reported, for each loop or spool that reported some. */
const reported = new WeakMap<object, Set<string>>()

/**
 * Reports a warning of a loop or a spool to the process: once for each code, and for each kind of
 * what has one code.
 */
export function emitWarning(owner: object, code: string, message: string, kind = ''): void {
  const warnings = reported.get(owner) ?? new Set()
  if (warnings.has(code + kind)) return
  reported.set(owner, warnings.add(code + kind))
  warnOfProcess(message, code)
}
