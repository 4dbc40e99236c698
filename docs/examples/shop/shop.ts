/** The whole shop in one process: a broker, the page, and the services. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Bus, createBus } from 'it-mqtt/bus'
import { spool } from 'it-mqtt/disk'
import { createBroker } from 'it-mqtt/testing'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { buildPage } from './build-page.ts'
import * as mail from './mail.ts'
import * as orders from './orders.ts'
import * as packing from './packing.ts'
import * as reports from './reports.ts'
import * as stock from './stock.ts'

/** In the order in which they start: who listens is there before who fires. */
const SERVICES = { mail, packing, stock, orders, reports }
/** Refused calls, warnings and errors are lines on standard error. */
const say = (_fields: unknown, message: string) => console.error(message)
const logger = { debug() {}, info() {}, warn: say, error: say }

/**
 * @param port 0 takes any.
 * @param folder for what must not be lost: the outbox, and what was packed.
 */
export async function openShop(port: number, folder: string) {
  const site = await openSite(port)
  // Orders wait here until the broker has them.
  const outbox = await spool(join(folder, 'outbox'))
  const buses: Bus[] = []
  const runs: Promise<void>[] = []
  for (const [service, { register }] of Object.entries(SERVICES)) {
    const bus = createBus({
      ...{ service, process: `${service}-1`, client: site.brokerUrl, logger },
      ...(service === 'orders' ? { outbox } : {}),
    })
    const registered = await register(bus, folder)
    runs.push(bus.run())
    // What it answers and listens to is ready then.
    await Promise.all(registered.map(({ granted }) => granted))
    buses.push(bus)
  }
  return {
    ...site,
    /** Resolves when all services have ended, and rejects with what ended one of them. */
    ended: Promise.all(runs),
    async close() {
      for (const bus of buses.reverse()) await bus.close()
      await outbox.close()
      await site.close()
    },
  }
}

/** The page and a broker at one port. */
async function openSite(port: number) {
  // It has Shared Subscriptions and forgets all when it ends: a broker for tests and for trying out.
  const broker = createBroker({ logLimit: 0 })
  const files = await buildPage()
  const server = createServer(({ url = '/' }, response) => {
    const file = files.get(url)
    if (file === undefined) response.writeHead(404).end('There is no such file.')
    else response.setHeader('content-type', `${file.type}; charset=utf-8`).end(file.contents)
  })
  const sockets = new WebSocketServer({ server, path: '/mqtt', handleProtocols: () => 'mqtt' })
  sockets.on('connection', (socket) => broker.accept(createWebSocketStream(socket)))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    pageUrl: `http://${host}/`,
    brokerUrl: `ws://${host}/mqtt`,
    async close() {
      broker.close()
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
