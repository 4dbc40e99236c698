/**
 * A WebSocket listener at `/mqtt` in front of the TCP port of a server, and the files of a page at
 * the same port.
 */
import { createServer, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { createWebSocketStream, WebSocketServer } from 'ws'

/** The text of each script, by its path. */
export type Files = ReadonlyMap<string, string>

export class Gateway {
  /** On how many connections the client sent something after the first answer of the server. */
  working = 0
  /** How many connections have ended, whoever ended them. */
  ended = 0
  readonly port: number
  readonly #upstream: number
  readonly #files: Files
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null

  constructor(port: number, upstream: number, files: Files) {
    this.port = port
    this.#upstream = upstream
    this.#files = files
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
      const type = url.endsWith('.js') ? 'text/javascript' : 'text/html'
      response.writeHead(text === undefined ? 404 : 200, { 'content-type': type }).end(text)
    })
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    const sockets = new WebSocketServer({ server, path: '/mqtt' })
    sockets.on('connection', (socket) => {
      const stream = createWebSocketStream(socket)
      const upstream = connect({ port: this.#upstream, host: '127.0.0.1', noDelay: true })
      upstream.once('data', () => stream.once('data', () => this.working++))
      pipeline(stream, upstream, stream, () => {
        this.ended++
      })
    })
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.#server = server
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Cuts all connections, and takes no new ones. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    this.cut()
    await closed
  }
}
