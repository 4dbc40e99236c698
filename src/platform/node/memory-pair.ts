/**
 * How do tests and simulations connect two ends in memory? The bytes that are written to one end
 * are read from the other.
 */
import { Duplex } from 'node:stream'

class MemoryEnd extends Duplex {
  peer: MemoryEnd | undefined
  #resume: (() => void) | undefined

  override _read(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  /** As over a wire, the other end gets the bytes only after the writer has gone on. */
  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    process.nextTick(() => {
      const { peer } = this
      if (peer === undefined || peer.destroyed) done(new Error('the other end is gone'))
      else if (peer.push(chunk)) done()
      else peer.#resume = done
    })
  }

  override _final(done: () => void): void {
    this.peer?.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { peer } = this
    this.peer = undefined
    done(error)
    // As over a wire, the other end sees the end later.
    if (peer !== undefined && !peer.destroyed) {
      process.nextTick(() => {
        if (!peer.readableEnded && !peer.destroyed) peer.push(null)
      })
    }
  }
}

/**
 * Makes two connected streams in memory: what is written to one is read from the other.
 * @returns both ends.
 */
export function memoryPair(): [client: Duplex, server: Duplex] {
  const client = new MemoryEnd()
  const server = new MemoryEnd()
  client.peer = server
  server.peer = client
  return [client, server]
}
