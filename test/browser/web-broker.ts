/**
 * mosquitto behind a WebSocket listener of this process, and the files of a test's page at the same
 * port. (The WebSocket listener of Debian's mosquitto takes 35 kB a second.) It can be away for a
 * while, and comes back at the same ports with all sessions.
 */
import { createServer, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { aliasesOf } from '../../vitest.config.ts'
import { DURABLE, Mosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'

const TYPES = { js: 'text/javascript', html: 'text/html' }

/** Bundles a file beside this one as a browser gets it. @returns the text of the script. */
async function bundled(name: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`page/${name}.ts`, import.meta.url))],
    alias: aliasesOf('web') as Record<string, string>,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
  })
  return outputFiles[0]!.text
}

export class WebBroker {
  readonly port: number
  /** How many WebSockets were opened. */
  opened = 0
  readonly #mosquitto: Mosquitto
  readonly #files: ReadonlyMap<string, string>
  #server: Server | null = null
  readonly #sockets = new Set<Socket>()

  private constructor(mosquitto: Mosquitto, port: number, files: ReadonlyMap<string, string>) {
    this.#mosquitto = mosquitto
    this.port = port
    this.#files = files
  }

  /** @param names the scripts of test/browser/page that it serves, as `/NAME.js`. */
  static async start(names: readonly string[]): Promise<WebBroker> {
    const scripts = await Promise.all(names.map(bundled))
    const files = new Map(names.map((name, i) => [`/${name}.js`, scripts[i]!]))
    const broker = new WebBroker(await Mosquitto.start(DURABLE), await freePort(), files)
    await broker.listen()
    return broker
  }

  get pageUrl(): string {
    return `http://127.0.0.1:${this.port}/`
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/mqtt`
  }

  async listen(): Promise<void> {
    const server = createServer(({ url = '/' }, response) => {
      const text = url === '/' ? '<!doctype html><title>test</title>' : this.#files.get(url)
      const type = TYPES[url.endsWith('.js') ? 'js' : 'html']
      response.writeHead(text === undefined ? 404 : 200, { 'content-type': type }).end(text)
    })
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    const sockets = new WebSocketServer({ server, path: '/mqtt' })
    sockets.on('connection', (socket) => {
      this.opened++
      const stream = createWebSocketStream(socket)
      const upstream = connect(this.#mosquitto.port, '127.0.0.1')
      pipeline(stream, upstream, stream, () => {})
    })
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.#server = server
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Stops mosquitto, which stores its sessions. */
  async vanish(): Promise<void> {
    await this.#close()
    await this.#mosquitto.down('SIGTERM')
  }

  /** Is there again, with what mosquitto kept. */
  async comeBack(): Promise<void> {
    await this.#mosquitto.up()
    await this.listen()
  }

  async close(): Promise<void> {
    await this.#close()
    await this.#mosquitto[Symbol.asyncDispose]()
  }

  /** Cuts all connections, and takes no new ones. */
  async #close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    this.cut()
    await closed
  }
}
