/** The page and a broker for it at one port; the broker's WebSocket listener is at /mqtt. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Aedes } from 'aedes'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import { buildPage } from './build-page.ts'

export interface Demo {
  readonly pageUrl: string
  readonly brokerUrl: string
  /** Cuts all connections of the broker, forgets what it had, and refuses new ones. */
  stopBroker(): Promise<void>
  startBroker(): Promise<void>
  close(): Promise<void>
}

/** @param port 0 takes any. */
export async function openDemo(port: number): Promise<Demo> {
  const files = await buildPage()
  let broker: Aedes | null = null
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'mqtt' })
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    const file = files.get(pathname === '/' ? 'index.html' : pathname.slice(1))
    if (file === undefined) response.writeHead(404).end('There is no such file.')
    else response.setHeader('content-type', `${file.type}; charset=utf-8`).end(file.contents)
  })
  server.on('upgrade', (request, socket, head) => {
    const running = broker
    if (running === null || !request.url?.startsWith('/mqtt')) {
      socket.destroy()
      return
    }
    sockets.handleUpgrade(request, socket, head, (opened: WebSocket) => {
      const stream = createWebSocketStream(opened)
      // A connection that breaks ends with an error, which aedes has seen too.
      stream.on('error', () => {})
      running.handle(stream)
    })
  })

  async function startBroker(): Promise<void> {
    broker ??= await Aedes.createBroker()
  }

  async function stopBroker(): Promise<void> {
    const stopped = broker
    broker = null
    for (const socket of sockets.clients) socket.terminate()
    if (stopped !== null) await new Promise<void>((resolve) => stopped.close(resolve))
  }

  await startBroker()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    pageUrl: `http://${host}/`,
    brokerUrl: `ws://${host}/mqtt`,
    startBroker,
    stopBroker,
    async close() {
      await stopBroker()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
