/**
 * The backend of a dashboard: each browser that connects gets the latest values and then every
 * change. A browser that is slow gets the newest of them, and delays nobody.
 */
import { type ClientTarget, createClient } from 'it-mqtt/client'
import type { WebSocket, WebSocketServer } from 'ws'

const FILTERS = ['plant/{line}/temperature', 'plant/{line}/door', 'plant/{line}/alarm']

/** Serves until the server is closed. */
export async function dashboard(options: ClientTarget, server: WebSocketServer) {
  await using client = createClient(options)

  async function serve(browser: WebSocket) {
    const messages = client.subscribe(FILTERS, { qos: 0, overflow: { max: 100 } })
    browser.once('close', () => void messages.return())
    for await (const { topic, params, payload } of messages) {
      const text = JSON.stringify({ topic, line: params['line'], value: payload.toString() })
      await new Promise((sent) => browser.send(text, sent))
    }
  }

  server.on('connection', (browser) => void serve(browser).catch(() => browser.close()))
  await new Promise((closed) => server.once('close', closed))
}
