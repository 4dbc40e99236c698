/** As ../dashboard.ts, with MQTT.js: one subscription for all browsers, and a queue for each. */
import mqtt from 'mqtt'
import type { WebSocket, WebSocketServer } from 'ws'

const FILTERS = ['plant/+/temperature', 'plant/+/door', 'plant/+/alarm']

/** Serves until the server is closed. */
export async function dashboard(url: string, server: WebSocketServer) {
  const client = mqtt.connect(url)
  const latest = new Map<string, string>()
  const browsers = new Map<WebSocket, string[]>()

  function push(browser: WebSocket, queue: string[], text: string) {
    queue.push(text)
    if (queue.length === 1) sendNext(browser, queue)
    // The first one is being sent.
    else if (queue.length > 101) queue.splice(1, 1)
  }

  function sendNext(browser: WebSocket, queue: string[]) {
    browser.send(queue[0]!, () => {
      queue.shift()
      if (queue.length > 0) sendNext(browser, queue)
    })
  }

  client.on('error', (error) => console.error(error))
  client.on('message', (topic, payload) => {
    const text = JSON.stringify({ topic, line: topic.split('/')[1], value: payload.toString() })
    // What is retained comes once, and not for each browser that connects later.
    latest.set(topic, text)
    for (const [browser, queue] of browsers) push(browser, queue, text)
  })
  server.on('connection', (browser) => {
    const queue: string[] = []
    browsers.set(browser, queue)
    browser.once('close', () => browsers.delete(browser))
    for (const text of latest.values()) push(browser, queue, text)
  })
  try {
    await client.subscribeAsync(FILTERS, { qos: 0 })
    await new Promise((closed) => server.once('close', closed))
  } finally {
    await client.endAsync()
  }
}
