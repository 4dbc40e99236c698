/**
 * Who listens to the errors of a stream between its opening and the link that takes it?
 *
 * An error to which nobody listens ends the process. The link removes the guard, because two
 * listeners of one event cost each idle connection an array.
 */
import type { ByteStream } from './byte-stream.ts'

interface Guarded extends ByteStream {
  off(event: 'error', listener: () => void): unknown
}

const ignore = (): void => {}

/** Ignores the errors of a stream until `endGuard`. */
export function guardErrors(stream: ByteStream): void {
  stream.on('error', ignore)
}

/** Is called when somebody else listens from now on. A stream of the user has no guard. */
export function endGuard(stream: ByteStream): void {
  if ('off' in stream) (stream as Guarded).off('error', ignore)
}
