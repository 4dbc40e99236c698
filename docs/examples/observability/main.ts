/**
 * A heartbeat whose loop shows its metrics.
 *
 *   tsx main.ts                             with a broker of its own
 *   tsx main.ts mqtt://broker --port 9464   with any broker
 *
 * Its first line is the address: `curl http://127.0.0.1:9464/metrics`. It runs until Ctrl-C.
 */
import { type AddressInfo, createServer } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { eventloop, publish, type Request, subscribe } from 'it-mqtt'
import { createBroker } from 'it-mqtt/testing'
import { Registry } from 'prom-client'
import { observe, serve } from './prometheus.ts'

async function openBroker(): Promise<{ url: string; close: () => void }> {
  const broker = createBroker()
  const server = createServer((socket) => broker.accept(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.close()
    broker.close()
  }
  return { url: `mqtt://127.0.0.1:${port}`, close }
}

/** Subscribes to its own heartbeats as well, so that messages are received too. */
async function* heartbeats(everyMs: number, signal: AbortSignal): AsyncGenerator<Request> {
  const topic = `heartbeat/${hostname()}`
  yield subscribe(topic, { qos: 1 })
  while (!signal.aborted) {
    yield publish(topic, new Date().toISOString(), { qos: 1 })
    await sleep(everyMs, undefined, { signal }).catch(() => {})
  }
}

async function main(given: string | undefined, port: number, everyMs: number): Promise<void> {
  const broker = given === undefined ? await openBroker() : null
  const ending = new AbortController()
  const loop = eventloop(
    {
      url: given ?? broker?.url ?? '',
      clientId: `heartbeat-${process.pid}`,
      reconnect: 'always',
      onWarning: ({ message }) => console.error(message),
    },
    heartbeats(everyMs, ending.signal),
  )
  const registry = new Registry()
  using _ = observe(registry, [loop])
  await using server = await serve(registry, port)
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      ending.abort()
      loop.disconnect(2000)
    })
  }
  try {
    for await (const _ of loop) {
      // The metrics show everything that happens.
    }
  } finally {
    broker?.close()
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '9464' },
    every: { type: 'string', default: '1000' },
  },
})
await main(positionals[0], Number(values.port), Number(values.every))
