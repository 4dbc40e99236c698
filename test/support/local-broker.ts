/**
 * aedes in this process, at a port that stays the same when it is unreachable for a while, and
 * somebody at it who sees every message.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Aedes } from 'aedes'
import mqtt, { type IClientPublishOptions, type MqttClient } from 'mqtt'

interface Scope {
  onTestFinished(done: () => Promise<void> | void): void
}

export class LocalBroker {
  readonly aedes: Aedes
  port = 0
  #server: Server | null = null
  readonly #sockets = new Set<Socket>()

  private constructor(aedes: Aedes) {
    this.aedes = aedes
  }

  static async start({ onTestFinished }: Scope): Promise<LocalBroker> {
    const broker = new LocalBroker(await Aedes.createBroker())
    await broker.listen()
    onTestFinished(async () => {
      await broker.vanish()
      broker.aedes.close()
    })
    return broker
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  /** Is reachable again, at the same port, with all sessions. */
  async listen(): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      this.aedes.handle(socket)
    })
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.port = (server.address() as AddressInfo).port
    this.#server = server
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Cuts all connections, and takes no new ones. */
  async vanish(): Promise<void> {
    const server = this.#server
    this.#server = null
    const closed = new Promise((resolve) =>
      server === null ? resolve(null) : server.close(resolve),
    )
    this.cut()
    await closed
  }
}

/** Somebody who sees every message of a broker: `topic payload`. */
export class Probe {
  readonly seen: string[] = []
  readonly #mqtt: MqttClient
  #look = () => {}

  private constructor(client: MqttClient) {
    this.#mqtt = client
    client.on('error', () => {})
    client.on('message', (topic, payload) => {
      this.seen.push(`${topic} ${payload}`)
      this.#look()
    })
  }

  static async at(url: string, { onTestFinished }: Scope): Promise<Probe> {
    const client = await mqtt.connectAsync(url, {
      clientId: 'probe',
      clean: false,
      reconnectPeriod: 20,
    })
    onTestFinished(() => client.endAsync(true))
    const probe = new Probe(client)
    await client.subscribeAsync('#', { qos: 1 })
    return probe
  }

  async publish(topic: string, payload: string, options: IClientPublishOptions = { qos: 1 }) {
    await this.#mqtt.publishAsync(topic, payload, options)
  }

  /** Resolves when this has been seen so many times. */
  sees(message: string, times = 1): Promise<void> {
    return this.until((seen) => seen.filter((one) => one === message).length >= times)
  }

  async until(condition: (seen: readonly string[]) => boolean): Promise<void> {
    while (!condition(this.seen)) {
      await new Promise<void>((resolve) => {
        this.#look = resolve
      })
    }
  }
}
