/**
 * How are the bytes of a TCP socket read? Into one buffer that all sockets share, from which each
 * chunk is copied: what is small costs no buffer of its own. Bun reads each socket in its own way.
 */
import type { OnReadOpts, Socket } from 'node:net'

/** As many bytes as Node reads at most. */
const CHUNK_BYTES = 65_536

const shared = Buffer.allocUnsafeSlow(CHUNK_BYTES)

/** Gives the bytes to those who listen to `data`, or to the stream if nobody does yet. */
function onRead(this: Socket, length: number): boolean {
  const chunk = Buffer.from(shared.subarray(0, length))
  if (this.readableFlowing === true && this.readableLength === 0) this.emit('data', chunk)
  else this.push(chunk)
  return true
}

/** Bun calls the callback without the socket, so nothing says whose bytes they are. */
const SHARES = !('bun' in process.versions)

/** The options of a socket that is read so. */
export const READING: { readonly onread?: OnReadOpts } = SHARES
  ? { onread: { buffer: shared, callback: onRead as OnReadOpts['callback'] } }
  : {}

const RESTS_WELL = Symbol('reading stops at once')

/** Marks a socket that reads so: after `pause()` it reads nothing more, and not one more chunk. */
export function markReading(socket: Socket, readsSo = SHARES): Socket {
  return readsSo ? Object.assign(socket, { [RESTS_WELL]: true }) : socket
}

export function restsWell(stream: object): boolean {
  return RESTS_WELL in stream
}
