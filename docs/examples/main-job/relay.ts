/**
 * A bad link: a TCP relay in front of the broker, whose connections can be cut.
 */
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'

export interface Relay {
  readonly port: number
  /** Destroys every connection; bytes on their way are lost. */
  cut(): void
  close(): void
}

/** Relays to the host and port of this URL, or to the socket of a `unix:` URL. */
export async function openRelay(target: URL, defaultPort: number): Promise<Relay> {
  const open = new Set<Socket>()
  const dial = () =>
    target.protocol === 'unix:'
      ? createConnection(target.pathname)
      : createConnection(Number(target.port || defaultPort), target.hostname.replace(/[[\]]/g, ''))
  const server = createServer((near) => {
    const far = dial()
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.pipe(to)
      from.on('error', () => {})
      from.once('close', () => {
        open.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const cut = () => {
    for (const socket of open) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close: () => {
      server.close()
      cut()
    },
  }
}
