/** What the bundles talk to: brokers with WebSocket, and a web server for the pages. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { Aedes } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { createBroker } from '../../src/testing/index.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
}

export interface Servers {
  /** The origin of the pages in the folder. */
  readonly origin: string
  /** Brokers with WebSocket, by the version of MQTT: 4 is 3.1.1. */
  readonly brokers: Readonly<Record<4 | 5, string>>
  close(): Promise<void>
}

/** Serves a folder, aedes (MQTT 3.1.1) at /mqtt4, and the broker of it-mqtt/testing at /mqtt5. */
export async function openServers(folder: string): Promise<Servers> {
  const [aedes, own] = [await Aedes.createBroker(), createBroker()]
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'mqtt' })
  const server = createServer(async ({ url = '/' }, response) => {
    const path = normalize(decodeURIComponent(url.split('?')[0]!))
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path)
    try {
      const contents = await readFile(file)
      response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream')
      response.end(contents)
    } catch {
      response.writeHead(404).end()
    }
  })
  server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (opened) => {
      const stream = createWebSocketStream(opened)
      stream.on('error', () => {})
      if (request.url === '/mqtt5') own.accept(stream)
      else aedes.handle(stream)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin: `http://${host}`,
    brokers: { 4: `ws://${host}/mqtt4`, 5: `ws://${host}/mqtt5` },
    async close() {
      for (const socket of sockets.clients) socket.terminate()
      own.close()
      await new Promise<void>((resolve) => aedes.close(resolve))
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
