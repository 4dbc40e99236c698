/**
 * An HTTP endpoint that takes messages by POST, as a cloud's ingest does, and counts each by its
 * number.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { PublishRequest } from '../../src/requests/vocabulary.ts'

export class HttpIngest {
  /** How often each payload arrived. */
  readonly arrived = new Map<string, number>()
  /** Requests from now on that are refused with 503. */
  refusing = 0
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', () => {
        if (this.refusing > 0) {
          this.refusing--
          response.writeHead(503).end()
          return
        }
        const payload = Buffer.concat(chunks).toString()
        this.arrived.set(payload, (this.arrived.get(payload) ?? 0) + 1)
        response.writeHead(204).end()
      })
    })
  }

  static async open(): Promise<HttpIngest> {
    const ingest = new HttpIngest()
    await new Promise<void>((resolve) => ingest.#server.listen(0, '127.0.0.1', resolve))
    return ingest
  }

  /** The function for `divert.to`. */
  readonly post = async (request: PublishRequest, signal: AbortSignal): Promise<void> => {
    const { port } = this.#server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/${request.topic}`
    const body = String(request.payload ?? '')
    const response = await fetch(url, { method: 'POST', body, signal })
    if (!response.ok) throw new Error(`the endpoint answers ${response.status}`)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
