/**
 * A client that sends exactly the bytes that it is told and obeys nothing: it shows what a broker
 * does by itself.
 */
import { connect, type Socket } from 'node:net'
import mqtt, { type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import { until } from './process.ts'

export class RawClient {
  /** Every packet that came and could be read. */
  readonly packets: Packet[] = []
  /** All bytes that came. */
  bytes: Buffer = Buffer.alloc(0)
  /** Whether the connection has ended. */
  closed = false
  readonly version: 4 | 5
  readonly #socket: Socket

  private constructor(url: string, version: 4 | 5) {
    this.version = version
    const { hostname, port } = new URL(url)
    const parser = mqtt.parser({ protocolVersion: version })
    // A packet that the parser refuses is still among `bytes`.
    parser.on('error', () => {})
    parser.on('packet', (packet) => this.packets.push(packet))
    this.#socket = connect(Number(port), hostname)
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.closed = true
    })
    this.#socket.on('data', (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk])
      parser.parse(chunk)
    })
  }

  /** Opens a connection and sends a CONNECT, with the user name of the URL if it has one. */
  static open(
    url: string,
    version: 4 | 5,
    clientId: string,
    connectPacket: Partial<IConnectPacket> = {},
  ): RawClient {
    const client = new RawClient(url, version)
    const { username, password } = new URL(url)
    client.send({
      ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clientId },
      ...{ clean: true, keepalive: 60 },
      ...(username === '' ? {} : { username, password: Buffer.from(password) }),
      ...connectPacket,
    } as IConnectPacket)
    return client
  }

  send(packet: Packet | Buffer): void {
    if (Buffer.isBuffer(packet)) this.#socket.write(packet)
    else this.#socket.write(mqtt.generate(packet, { protocolVersion: this.version }))
  }

  /** @returns the packets of a type that came so far. */
  of<T extends Packet['cmd']>(cmd: T): Extract<Packet, { cmd: T }>[] {
    return this.packets.filter(
      (packet): packet is Extract<Packet, { cmd: T }> => packet.cmd === cmd,
    )
  }

  /** Waits for the `count`-th packet of a type. */
  async got<T extends Packet['cmd']>(cmd: T, count = 1): Promise<Extract<Packet, { cmd: T }>> {
    await until(() => this.of(cmd).length >= count || this.closed, `${count} of ${cmd}`)
    const packet = this.of(cmd)[count - 1]
    if (packet === undefined) throw new Error(`the broker closed before ${count} of ${cmd}`)
    return packet
  }

  async subscribe(filter: string, qos: 0 | 1 | 2): Promise<readonly unknown[]> {
    const count = this.of('suback').length + 1
    this.send({ cmd: 'subscribe', messageId: count, subscriptions: [{ topic: filter, qos }] })
    return (await this.got('suback', count)).granted as readonly unknown[]
  }

  /** Publishes messages and waits until all of them at QoS 1 are acknowledged. */
  async publish(messages: readonly Partial<IPublishPacket>[]): Promise<void> {
    const before = this.of('puback').length
    let messageId = before
    for (const message of messages) {
      const common = { cmd: 'publish', topic: 't', payload: '', qos: 1, dup: false, retain: false }
      this.send({ ...common, messageId: ++messageId, ...message } as IPublishPacket)
    }
    const count = messages.filter(({ qos = 1 }) => qos === 1).length
    if (count > 0) await this.got('puback', before + count)
  }

  /** Ends the connection without DISCONNECT. */
  cut(): void {
    this.#socket.destroy()
  }
}
