/**
 * As ../service.ts, with MQTT.js. Messages are acknowledged when they come: a publish that is
 * awaited before that would never be settled, because its acknowledgement waits behind the message.
 */
import mqtt, { type MqttClient } from 'mqtt'

type Handler = (topic: string, payload: Buffer) => Promise<void>

/** A part of the service: it gets the client, and ends when its signal is aborted. */
export type Module = (client: Client, signal: AbortSignal) => Promise<void>

/** Switches the light of a room on when somebody moves there. */
export const lights: Module = (client, signal) =>
  client.consume('rooms/+/motion', signal, async (topic) => {
    await client.publish(`rooms/${topic.split('/')[1]}/light`, 'on')
  })

/** Counts who moves, and publishes the counts. */
export const counter: Module = async (client, signal) => {
  const counts = new Map<string, number>()
  await client.consume('rooms/+/motion', signal, async (topic) => {
    const room = topic.split('/')[1]!
    const count = (counts.get(room) ?? 0) + 1
    counts.set(room, count)
    await client.publish(`rooms/${room}/motions`, String(count), true)
  })
}

/** @returns whether a topic belongs to a filter. */
function matches(filter: string, topic: string): boolean {
  const levels = topic.split('/')
  const parts = filter.split('/')
  for (const [i, part] of parts.entries()) {
    if (part === '#') return true
    if (part !== '+' && part !== levels[i]) return false
    if (i >= levels.length) return false
  }
  return parts.length === levels.length
}

/** A connection that modules share. */
class Client {
  readonly #mqtt: MqttClient
  readonly #consumers = new Set<{ filter: string; take: Handler }>()

  constructor(url: string) {
    this.#mqtt = mqtt.connect(url)
    this.#mqtt.on('error', (error) => console.error(error))
    this.#mqtt.on('message', (topic, payload) => {
      for (const { filter, take } of this.#consumers) {
        if (matches(filter, topic)) void take(topic, payload)
      }
    })
  }

  async publish(topic: string, payload: string, retain = false) {
    await this.#mqtt.publishAsync(topic, payload, { qos: 1, retain })
  }

  /** Calls `handler` with one message after the other until the signal is aborted. */
  async consume(filter: string, signal: AbortSignal, handler: Handler) {
    let handling = Promise.resolve()
    await new Promise<void>((resolve, reject) => {
      const take: Handler = async (topic, payload) => {
        handling = handling.then(() => handler(topic, payload))
        await handling.catch(reject)
      }
      const consumer = { filter, take }
      const others = () => [...this.#consumers].some((one) => one.filter === filter)
      if (!others()) this.#mqtt.subscribeAsync(filter, { qos: 1 }).catch(reject)
      this.#consumers.add(consumer)
      signal.addEventListener('abort', () => {
        this.#consumers.delete(consumer)
        if (others()) resolve()
        else this.#mqtt.unsubscribeAsync(filter).then(() => resolve(), reject)
      })
    })
    await handling
  }

  close() {
    return this.#mqtt.endAsync()
  }
}

/** Starts modules and stops them, on one connection. */
export class Service {
  readonly #client: Client
  readonly #running = new Map<Module, { stop: AbortController; done: Promise<void> }>()

  constructor(url: string) {
    this.#client = new Client(url)
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
