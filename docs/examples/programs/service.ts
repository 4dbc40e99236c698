/**
 * A service that runs for long: its modules subscribe and unsubscribe as they come and go, several
 * may have the same filter, and each publish is awaited.
 */
import { type Client, type ClientTarget, createClient } from 'it-mqtt/client'

/** A part of the service: it gets the client, and ends when its signal is aborted. */
export type Module = (client: Client, signal: AbortSignal) => Promise<void>

/** Switches the light of a room on when somebody moves there. */
export const lights: Module = async (client, signal) => {
  const motions = client.subscribe('rooms/{room}/motion')
  signal.addEventListener('abort', () => void motions.return())
  for await (const { params } of motions) await client.publish(`rooms/${params.room}/light`, 'on')
}

/** Counts who moves, and publishes the counts. */
export const counter: Module = async (client, signal) => {
  const counts = new Map<string, number>()
  const motions = client.subscribe('rooms/{room}/motion')
  signal.addEventListener('abort', () => void motions.return())
  for await (const { params } of motions) {
    const count = (counts.get(params.room) ?? 0) + 1
    counts.set(params.room, count)
    await client.publish(`rooms/${params.room}/motions`, String(count), { retain: true })
  }
}

/** Starts modules and stops them, on one connection. */
export class Service {
  readonly #client: Client
  readonly #running = new Map<Module, { stop: AbortController; done: Promise<void> }>()

  constructor(options: ClientTarget) {
    this.#client = createClient(options)
  }

  start(module: Module) {
    const stop = new AbortController()
    this.#running.set(module, { stop, done: module(this.#client, stop.signal) })
  }

  async stop(module: Module) {
    const { stop, done } = this.#running.get(module)!
    stop.abort()
    await done
    this.#running.delete(module)
  }

  async close() {
    await Promise.all([...this.#running.keys()].map((module) => this.stop(module)))
    await this.#client.close()
  }
}
