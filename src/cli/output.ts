/**
 * How is standard output written? A slow reader slows the loop down, so that memory stays bounded.
 */

/**
 * Writes to standard output.
 * @returns undefined if the system took the text immediately, or a promise that resolves once it
 *   did. The promise rejects if the reader has closed the pipe (EPIPE).
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

/**
 * This listener does nothing, because the writer of each text handles its error. Without a listener
 * an error would end the process.
 */
export function guardOutput(): void {
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
}

export function isClosedPipe(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED'
}
