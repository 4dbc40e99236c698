/**
 * A broker that does what the test says, at the other end of transports in memory.
 *
 * By default it accepts every dial, answers CONNECT with a good CONNACK and acknowledges
 * everything; each of these can be switched off, for all connections (on the server) or for one.
 * What the client wrote is decoded by mqtt-packet, which is not the engine's own decoder, and is
 * kept as bytes too.
 */
import type { Duplex } from 'node:stream'
import mqtt, { type IConnackPacket, type Packet } from 'mqtt-packet'
import type { Endpoint, OpenTransport } from '../../src/platform/byte-stream.ts'
import { memoryPair } from '../../src/platform/node/memory-pair.ts'
import type { VirtualClock } from './clock.ts'

export type Command = Packet['cmd']
/** What the client sent, and when. */
export type Sent = Packet & { readonly at: number }
export type SentAs<C extends Command> = Extract<Packet, { cmd: C }> & { readonly at: number }

export interface ServerOptions {
  /** Whether each CONNECT is answered; an object gives fields of the CONNACK. Default true. */
  autoConnack?: boolean | Partial<IConnackPacket>
  /** Whether everything else that needs an answer gets one; a function chooses. Default true. */
  autoAck?: boolean | ((packet: Packet) => boolean)
  /**
   * Whether the server closes when the client sends DISCONNECT or closes its side. Default true.
   */
  autoClose?: boolean
}

export interface Dial {
  readonly at: number
  readonly endpoint: Endpoint
  readonly signal: AbortSignal
}

export class ScriptedServer {
  readonly clock: VirtualClock
  readonly connections: ServerConnection[] = []
  readonly dials: Dial[] = []
  autoConnack: boolean | Partial<IConnackPacket>
  autoAck: boolean | ((packet: Packet) => boolean)
  autoClose: boolean
  /** Is called for each connection before any byte has arrived. */
  onConnection: ((connection: ServerConnection) => void) | undefined
  /** Decides about a dial; index 0 is the first. Replaced by `refuse`, `hang` and `accept`. */
  onDial: (index: number) => 'accept' | 'hang' | Error = () => 'accept'

  constructor(clock: VirtualClock, options: ServerOptions = {}) {
    this.clock = clock
    this.autoConnack = options.autoConnack ?? true
    this.autoAck = options.autoAck ?? true
    this.autoClose = options.autoClose ?? true
  }

  /** The function for `options.transport`. */
  readonly transport: OpenTransport = async (endpoint, signal): Promise<Duplex> => {
    const index = this.dials.length
    this.dials.push({ at: this.clock.now(), endpoint, signal })
    const answer = this.onDial(index)
    if (answer === 'hang') {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    }
    if (answer !== 'accept') throw answer
    const connection = new ServerConnection(this)
    this.connections.push(connection)
    this.onConnection?.(connection)
    return connection.client
  }

  /** Makes every dial from now on fail with this error. */
  refuse(error: Error): void {
    this.onDial = () => error
  }

  /** Makes every dial from now on stay open until it is given up. */
  hang(): void {
    this.onDial = () => 'hang'
  }

  accept(): void {
    this.onDial = () => 'accept'
  }

  /** The connection opened last. */
  get current(): ServerConnection {
    const last = this.connections.at(-1)
    if (last === undefined) throw new Error('nobody has connected')
    return last
  }

  /** Connections whose client side is not closed. */
  get open(): number {
    return this.connections.filter(({ closed }) => !closed).length
  }

  /** All packets that clients sent, over all connections. */
  get packets(): readonly Sent[] {
    return this.connections.flatMap(({ packets }) => packets)
  }

  /** Waits until there are `count` connections. */
  async connection(count: number): Promise<ServerConnection> {
    await this.clock.advance(0)
    const connection = this.connections[count - 1]
    if (connection === undefined) {
      throw new Error(`connection ${count}: there have been ${this.connections.length}`)
    }
    return connection
  }
}

export class ServerConnection {
  readonly server: ScriptedServer
  /** The loop's end of the connection. */
  readonly client: Duplex
  readonly packets: Sent[] = []
  readonly openedAt: number
  /** The protocol version; 0 before CONNECT. */
  version: 0 | 3 | 4 | 5 = 0
  autoConnack: boolean | Partial<IConnackPacket>
  autoAck: boolean | ((packet: Packet) => boolean)
  autoClose: boolean
  /** Whether the client closed its writing side in order. */
  finished = false
  /** When the client side was closed for good, or undefined if it is open. */
  closedAt: number | undefined
  /** Errors of mqtt-packet about what the client sent. */
  error: Error | undefined
  readonly #end: Duplex
  readonly #chunks: Uint8Array[] = []
  readonly #settings: { protocolVersion?: number } = {}
  readonly #parser = mqtt.parser(this.#settings)
  #seen = 0

  constructor(server: ScriptedServer) {
    this.server = server
    this.autoConnack = server.autoConnack
    this.autoAck = server.autoAck
    this.autoClose = server.autoClose
    this.openedAt = server.clock.now()
    const [client, end] = memoryPair()
    this.client = client
    this.#end = end
    this.#parser.on('packet', (packet) => this.#received(packet))
    this.#parser.on('error', (error: Error) => {
      this.error ??= error
    })
    end.on('data', (chunk: Buffer) => {
      server.clock.touch()
      this.#chunks.push(chunk)
      this.#parser.parse(chunk)
    })
    end.on('end', () => {
      server.clock.touch()
      this.finished = true
      if (this.autoClose) end.end()
    })
    end.on('error', () => {})
    client.on('close', () => {
      this.closedAt = server.clock.now()
    })
  }

  get closed(): boolean {
    return this.closedAt !== undefined
  }

  /** All bytes that the client wrote and this side has read. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  /** The packets of one kind. */
  of<C extends Command>(cmd: C): SentAs<C>[] {
    return this.packets.filter((packet): packet is SentAs<C> => packet.cmd === cmd)
  }

  send(...packets: (Packet | Uint8Array)[]): void {
    const protocolVersion = this.version || 5
    const bytes = packets.map((packet) =>
      packet instanceof Uint8Array ? packet : mqtt.generate(packet, { protocolVersion }),
    )
    if (this.#end.writableEnded || this.#end.destroyed) return
    this.#end.write(Buffer.concat(bytes))
  }

  /**
   * Sends one byte after the other, each in a chunk of its own, this many in a turn of Node's event
   * loop.
   */
  async drip(bytes: Uint8Array, bytesPerTurn = 1): Promise<void> {
    for (let i = 0; i < bytes.length && !this.closed; i++) {
      this.send(bytes.subarray(i, i + 1))
      if (i % bytesPerTurn === bytesPerTurn - 1) {
        await new Promise<void>((resolve) => setImmediate(resolve))
      }
    }
  }

  /** Sends a good CONNACK with these fields changed. */
  connack(fields: Partial<IConnackPacket> = {}): void {
    const code = this.version === 5 ? { reasonCode: 0 } : { returnCode: 0 }
    this.send({ cmd: 'connack', sessionPresent: false, ...code, ...fields })
  }

  /** Sends the answer that a broker would give, if the packet needs one. */
  acknowledge(packet: Packet): void {
    const { messageId } = packet
    const id = messageId === undefined ? {} : { messageId }
    switch (packet.cmd) {
      case 'publish':
        if (packet.qos === 1) this.send({ cmd: 'puback', ...id, reasonCode: 0 })
        if (packet.qos === 2) this.send({ cmd: 'pubrec', ...id, reasonCode: 0 })
        return
      case 'pubrec':
        return this.send({ cmd: 'pubrel', ...id, reasonCode: 0 })
      case 'pubrel':
        return this.send({ cmd: 'pubcomp', ...id, reasonCode: 0 })
      case 'subscribe':
        return this.send({
          cmd: 'suback',
          ...id,
          granted: packet.subscriptions.map(({ qos }) => qos),
        })
      case 'unsubscribe':
        return this.send({ cmd: 'unsuback', ...id, granted: packet.unsubscriptions.map(() => 0) })
      case 'pingreq':
        return this.send({ cmd: 'pingresp' })
    }
  }

  /**
   * @returns the next packet of this kind, or for which this holds, that no earlier call returned;
   * it must come without time passing.
   */
  async expectPacket<C extends Command>(cmd: C): Promise<SentAs<C>>
  async expectPacket(test: (packet: Sent) => boolean): Promise<Sent>
  async expectPacket(test: Command | ((packet: Sent) => boolean)): Promise<Sent> {
    await this.server.clock.advance(0)
    const from = this.#seen
    while (this.#seen < this.packets.length) {
      const packet = this.packets[this.#seen++]!
      if (typeof test === 'function' ? test(packet) : packet.cmd === test) return packet
    }
    const came = this.packets.slice(from).map(({ cmd }) => cmd)
    throw new Error(`expected ${String(test)}, the client sent [${came.join(', ')}]`)
  }

  /** @returns the packets since the last call of this or of `expectPacket`. */
  async unseen(): Promise<Sent[]> {
    await this.server.clock.advance(0)
    const packets = this.packets.slice(this.#seen)
    this.#seen = this.packets.length
    return packets
  }

  /** Ends the connection with FIN. */
  end(): void {
    this.#end.end()
  }

  /** Resets the connection: the client's end breaks with this error. */
  reset(error: Error = networkError('ECONNRESET')): void {
    this.client.destroy(error)
  }

  /** Stops reading, so that what the client writes backs up. */
  stall(): void {
    this.#end.pause()
  }

  unstall(): void {
    this.#end.resume()
  }

  /**
   * Reads this many bytes of what has backed up while stalled, so that it moves a little. @returns
   * false if there was nothing.
   */
  sip(bytes = 1024): boolean {
    return this.#end.read(Math.min(bytes, this.#end.readableLength || bytes)) !== null
  }

  #received(packet: Packet): void {
    const at = this.server.clock.now()
    this.packets.push(Object.assign(packet, { at }))
    if (packet.cmd === 'connect') {
      this.version = packet.protocolVersion ?? 4
      this.#settings.protocolVersion = this.version
      const { autoConnack } = this
      if (autoConnack !== false) this.connack(autoConnack === true ? {} : autoConnack)
      return
    }
    if (packet.cmd === 'disconnect') {
      if (this.autoClose) this.#end.end()
      return
    }
    const { autoAck } = this
    if (typeof autoAck === 'function' ? autoAck(packet) : autoAck) this.acknowledge(packet)
  }
}

/** An error in the shape of those of Node's sockets. */
export function networkError(code: string): Error {
  return Object.assign(new Error(`the network says ${code}`), { code })
}
