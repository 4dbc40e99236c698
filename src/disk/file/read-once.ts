/**
 * How is something opened that can be read only once?
 */
import { constants, createReadStream, openSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { UsageError } from '../../errors.ts'
import type { ReadableBytes } from './file-options.ts'

/**
 * Opens what can be read only once: a FIFO, a device, `/dev/stdin`. A writer of a FIFO is waited
 * for without a thread, so that `bytes.destroy()` ends the wait.
 * @throws UsageError if it cannot be opened.
 */
export function readOnce(path: string): ReadableBytes {
  try {
    if (!statSync(path).isFIFO()) return { name: path, bytes: createReadStream(path) }
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    return { name: path, bytes: new Socket({ fd, readable: true, writable: false }) }
  } catch (cause) {
    throw new UsageError(`${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}
