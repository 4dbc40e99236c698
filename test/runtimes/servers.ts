/**
 * The brokers of a run: mosquitto where it is installed, otherwise aedes in this process, each with
 * TCP, TLS, a Unix socket and WebSocket.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { Aedes } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { Authority } from '../support/certificates.ts'
import { Mosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'
import { temporaryFolder } from '../support/process.ts'

/** What a check is given. */
export interface Given {
  readonly urls: Readonly<Record<'mqtt' | 'mqtts' | 'unix' | 'ws', string>>
  /** The certificate to trust. */
  readonly ca: string
  /** The versions of the protocol that the broker speaks. */
  readonly versions: readonly (4 | 5)[]
}

export interface Servers {
  /** The name of the broker. */
  readonly title: string
  readonly given: Given
  restart(): Promise<void>
  close(): Promise<void>
}

export async function openServers(): Promise<Servers> {
  const { path: folder, remove } = temporaryFolder()
  const authority = await Authority.create(folder, 'authority')
  const certificate = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
  const [tlsPort, wsPort] = [await freePort(), await freePort()]
  const socket = join(folder, 'broker.socket')
  const given = (port: number, versions: readonly (4 | 5)[]): Given => ({
    urls: {
      mqtt: `mqtt://127.0.0.1:${port}`,
      mqtts: `mqtts://localhost:${tlsPort}`,
      unix: `unix:${socket}`,
      ws: `ws://127.0.0.1:${wsPort}`,
    },
    ca: authority.cert,
    versions,
  })
  if (spawnSync('mosquitto', ['-h']).error === undefined) {
    const broker = await Mosquitto.start([
      ...['listener {port} 127.0.0.1', `listener 0 ${socket}`],
      ...[`listener ${wsPort} 127.0.0.1`, 'protocol websockets'],
      ...[`listener ${tlsPort} 127.0.0.1`, `certfile ${certificate.cert}`],
      ...[`keyfile ${certificate.key}`, 'persistence true', 'max_queued_messages 0'],
    ])
    return {
      title: 'mosquitto',
      given: given(broker.port, [5, 4]),
      restart: () => broker.restart('SIGTERM'),
      close: async () => {
        await broker[Symbol.asyncDispose]()
        remove()
      },
    }
  }
  const port = await freePort()
  const aedes = await openAedes({ port, tlsPort, wsPort, socket, certificate })
  return {
    title: 'aedes',
    given: given(port, [4]),
    restart: aedes.restart,
    close: async () => {
      await aedes.close()
      remove()
    },
  }
}

interface Places {
  readonly port: number
  readonly tlsPort: number
  readonly wsPort: number
  readonly socket: string
  readonly certificate: { readonly cert: string; readonly key: string }
}

/** aedes keeps its sessions in memory: restarted means that its connections and ports are gone. */
async function openAedes({ port, tlsPort, wsPort, socket, certificate }: Places) {
  const broker = await Aedes.createBroker()
  const sockets = new Set<Socket>()
  let servers: { close(): unknown }[] = []
  const up = async () => {
    const cert = readFileSync(certificate.cert)
    const key = readFileSync(certificate.key)
    const tcp = createServer(broker.handle).listen(port, '127.0.0.1')
    const tls = createTlsServer({ cert, key }, broker.handle).listen(tlsPort, '127.0.0.1')
    const unix = createServer(broker.handle).listen(socket)
    const web = new WebSocketServer({ host: '127.0.0.1', port: wsPort })
    web.on('connection', (one) => broker.handle(createWebSocketStream(one)))
    for (const one of [tcp, tls, unix]) one.on('connection', (made) => sockets.add(made))
    servers = [tcp, tls, unix, web]
    await Promise.all([tcp, tls, unix].map((one) => new Promise((r) => one.once('listening', r))))
  }
  const down = () => {
    for (const one of servers) one.close()
    for (const one of sockets) one.destroy()
    sockets.clear()
    rmSync(socket, { force: true })
  }
  await up()
  return {
    restart: async () => {
      down()
      await up()
    },
    close: async () => {
      down()
      broker.close()
    },
  }
}
