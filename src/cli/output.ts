/**
 * How is standard output written? So that a slow reader slows the loop down and never costs memory.
 */

/**
 * Writes to standard output.
 * @returns undefined if the system took the text immediately, or a promise that resolves once it
 *   did. The promise rejects if there is no reader any more (EPIPE).
 */
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
  // The usual case: the system took the text immediately. It must be fast, so it makes no promise.
  if (stdout.writableLength === 0 && !stdout.errored) return undefined
  return new Promise((resolve, reject) => {
    if (failed) reject(failed)
    done = resolve
    fail = reject
  })
}

/** Errors are handled by whoever writes. Without a listener they would end the process. */
export function guardOutput(): void {
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
}

export function isClosedPipe(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED'
}
