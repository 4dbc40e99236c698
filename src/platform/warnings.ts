/**
 * Where does a warning go that no callback takes? To the warnings of the process, which Node writes
 * to standard error: `process.on('warning')` hears them, `--no-warnings` silences them.
 */

/** The codes that were reported, for each loop or spool that reported some. */
const reported = new WeakMap<object, Set<string>>()

/** Reports a warning of a loop or a spool to the process: once for each code. */
export function emitWarning(owner: object, code: string, message: string): void {
  const codes = reported.get(owner) ?? new Set()
  if (codes.has(code)) return
  reported.set(owner, codes.add(code))
  process.emitWarning(message, { type: 'MqttWarning', code })
}
