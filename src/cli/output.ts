/**
 * Standard output that can be waited for, so that a slow reader slows us down and never costs memory.
 */

/** Resolves once the reader's side has the text; rejects where there is no reader any more (EPIPE). */
export function write(text: string | Buffer): Promise<void> | undefined {
  const { stdout } = process
  let failed: Error | null | undefined
  let done: (() => void) | undefined
  let fail: ((error: Error) => void) | undefined
  stdout.write(text, (error) => {
    failed = error
    if (error) fail?.(error)
    else done?.()
  })
  // A write that the system took at once needs no promise: this is the usual case, and the fast one.
  if (stdout.writableLength === 0 && !stdout.errored) return undefined
  return new Promise((resolve, reject) => {
    if (failed) reject(failed)
    done = resolve
    fail = reject
  })
}

/** Errors are the business of whoever writes; without a listener they would end the process. */
export function guardOutput(): void {
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
}

export function isClosedPipe(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED'
}
