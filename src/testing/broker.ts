/**
 * What can a test do with the broker, and what can it see?
 *
 * This file has the public object alone. Its state is in broker-state.ts, and what happens in the
 * files named after it.
 */

import { utf8Bytes } from '#bytes'
import { UsageError } from '../errors.ts'
import { bytePipe, resetError } from '../platform/byte-pipe.ts'
import type { ByteStream, OpenTransport } from '../platform/byte-stream.ts'
import { isBytes } from '../platform/is-bytes.ts'
import type { ProtocolVersion, QoS } from '../protocol/facts.ts'
import type { ConnectPacket, PublishPacket } from '../protocol/packets.ts'
import { topicNameProblem } from '../protocol/topics.ts'
import { attach, readPackets } from './attach.ts'
import { type BrokerOptions, brokerSettings } from './broker-options.ts'
import type {
  BrokerConnection,
  BrokerCore,
  BrokerMessage,
  ClientViolation,
} from './broker-state.ts'
import { BrokerTimers } from './broker-timers.ts'
import { FaultList, type Faults } from './fault-list.ts'
import { PacketLog, type PacketMatch, type PacketRecord, packetTest } from './packet-log.ts'
import type { PacketFromBroker } from './packet-types.ts'
import { retainedNow } from './retained-messages.ts'
import { routeMessage } from './routing.ts'
import { crash } from './session-life.ts'
import { cutTransport, disconnectClient, putBytes, transmit } from './wire.ts'

/** A client that is connected to the broker. */
export interface ConnectedClient {
  /** Its identifier, also the one that the broker assigned. */
  readonly clientId: string
  /** Its version of MQTT. */
  readonly protocolVersion: ProtocolVersion
  /** The CONNECT. */
  readonly connect: ConnectPacket
  /** When it was accepted, in ms of the broker's clock. */
  readonly connectedAt: number
  /** The number of its connection: 1 for the first one to this broker. */
  readonly connection: number
}

/** A session of the broker, as it is at the moment. */
export interface SessionInfo {
  /** The client to which it belongs. */
  readonly clientId: string
  /** Whether the client is connected. */
  readonly connected: boolean
  /** The QoS that was granted, by topic filter. */
  readonly subscriptions: Readonly<Record<string, QoS>>
  /** How many messages wait to be sent. */
  readonly queued: number
  /** How many messages at QoS > 0 were sent and are not acknowledged for good. */
  readonly inflight: number
  /** When it ends, in ms of the broker's clock; Infinity while it is connected, or for ever. */
  readonly expiresAt: number
}

/** A retained message. */
export interface RetainedInfo {
  /** The topic. */
  readonly topic: string
  /** The payload. */
  readonly payload: Uint8Array
  /** The QoS with which it was published. */
  readonly qos: QoS
  /** The properties that are forwarded. */
  readonly properties: NonNullable<PublishPacket['properties']>
  /** When it expires, in ms of the broker's clock, or Infinity. */
  readonly expiresAt: number
}

/** How the broker itself publishes a message. */
export interface BrokerPublishOptions {
  /** Default 0. */
  readonly qos?: QoS | undefined
  /** Default false. */
  readonly retain?: boolean | undefined
  /** The properties of MQTT 5. */
  readonly properties?: PublishPacket['properties'] | undefined
}

/** A broker in memory, with faults on demand. `createBroker()` makes one. */
export class TestBroker implements AsyncDisposable {
  readonly #core: BrokerCore

  /** Use `createBroker()`. */
  constructor(options: BrokerOptions = {}) {
    const settings = brokerSettings(options)
    const { clock } = settings
    this.#core = {
      ...{ settings, clock, timers: new BrokerTimers(clock) },
      ...{ sessions: new Map(), connections: new Set(), retained: new Map(), turns: new Map() },
      ...{ faults: new FaultList(clock), log: new PacketLog(settings.logLimit), violations: [] },
      ...{ connectionCount: 0, assignedCount: 0, refusesWith: 0 },
      ...{ dials: 'accept', hanging: false },
    }
  }

  /**
   * The option `transport` of `eventloop()` and `connect()`: opens a connection to this broker in
   * memory. The URL of the options does not matter.
   */
  readonly transport: OpenTransport = (_endpoint, signal) => {
    const { dials } = this.#core
    if (dials instanceof Error) return Promise.reject(dials)
    if (dials === 'accept') return this.open()
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }

  /** Opens a connection in memory. @returns the client's end. */
  open(): ByteStream {
    const [client, server] = bytePipe()
    attach(this.#core, server, client)
    return client
  }

  /**
   * Makes a connection of a stream that somebody opened to the broker, such as a socket of Node:
   * `net.createServer((socket) => broker.accept(socket))`.
   */
  accept(stream: ByteStream): void {
    attach(this.#core, stream, null)
  }

  /** Faults of single packets. */
  get faults(): Faults {
    return this.#core.faults
  }

  /** Every packet in both directions, oldest first. */
  get log(): readonly PacketRecord[] {
    return this.#core.log.records
  }

  /** The packets of clients, oldest first, those that a fault dropped included. */
  get received(): readonly PacketRecord[] {
    return this.log.filter(({ direction }) => direction === 'toBroker')
  }

  /** The packets to clients, oldest first, those that a fault dropped included. */
  get sent(): readonly PacketRecord[] {
    return this.log.filter(({ direction }) => direction === 'toClient')
  }

  /** The rules of the standard that clients broke. A test expects it to be empty. */
  get violations(): readonly ClientViolation[] {
    return this.#core.violations
  }

  /** The clients that are connected, by client identifier. */
  get clients(): ReadonlyMap<string, ConnectedClient> {
    const found = new Map<string, ConnectedClient>()
    for (const connection of this.#core.connections) {
      const { clientId, version, connect, connectedAt, number, session } = connection
      if (session === null || version === 0 || connect === null) continue
      const client = { clientId, protocolVersion: version, connect, connectedAt }
      found.set(clientId, { ...client, connection: number })
    }
    return found
  }

  /** The sessions, by client identifier. */
  get sessions(): ReadonlyMap<string, SessionInfo> {
    const found = new Map<string, SessionInfo>()
    for (const session of this.#core.sessions.values()) {
      const { clientId, connection, queue, sent, expiresAt } = session
      const granted = [...session.subscriptions].map(([filter, { qos }]) => [filter, qos] as const)
      found.set(clientId, {
        ...{ clientId, connected: connection !== null, subscriptions: Object.fromEntries(granted) },
        ...{ queued: queue.length, inflight: sent.size, expiresAt },
      })
    }
    return found
  }

  /** The retained messages, by topic. */
  get retained(): ReadonlyMap<string, RetainedInfo> {
    return new Map(retainedNow(this.#core).map((message) => [message.topic, message]))
  }

  /** @returns the packets of the log that a match means, without the rest of their records. */
  packets(match: PacketMatch): readonly PacketRecord['packet'][] {
    return this.log.filter(packetTest(match)).map(({ packet }) => packet)
  }

  /**
   * Waits for a packet.
   * @param count which one of the packets that match, counted from the beginning of the log.
   * Default 1, the first.
   * @returns its record, immediately if it is in the log already. It waits for ever if none comes;
   * `clock.until(broker.waitFor(…))` does not.
   */
  waitFor(match: PacketMatch, count = 1): Promise<PacketRecord> {
    return this.#core.log.wait(match, count)
  }

  /**
   * Calls `listener` for each packet that a match means, from now on and before the broker handles
   * it.
   * @returns a function that stops it.
   */
  watch(match: PacketMatch, listener: (record: PacketRecord) => void): () => void {
    return this.#core.log.watch(match, listener)
  }

  /** Forgets the log. */
  clearLog(): void {
    this.#core.log.clear()
  }

  /**
   * Publishes a message as the broker itself, to everyone who has subscribed.
   * @param payload text is sent as UTF-8. Default empty.
   * @returns how many sessions and shared subscriptions get it.
   */
  publish(
    topic: string,
    payload: string | Uint8Array = '',
    { qos = 0, retain = false, properties: given = {} }: BrokerPublishOptions = {},
  ): number {
    const problem = topicNameProblem(topic)
    if (problem !== null) throw new UsageError(`broker.publish: the topic ${problem}`)
    const { messageExpiryInterval, ...properties } = given
    const bytes = isBytes(payload) ? payload : utf8Bytes(payload)
    const lifeMs = (messageExpiryInterval ?? Number.POSITIVE_INFINITY) * 1000
    const expiresAt = this.#core.clock.now() + lifeMs
    const message: BrokerMessage = {
      ...{ topic, payload: bytes, qos, retain, properties, lifeMs, expiresAt, publisher: null },
    }
    return routeMessage(this.#core, message)
  }

  /**
   * Sends a packet, or bytes as they are, to a client that is connected, whatever the standard says
   * about it.
   * @throws UsageError if the client is not connected.
   */
  send(clientId: string, packet: PacketFromBroker | Uint8Array): void {
    const connection = this.#connectionOf(clientId)
    if (packet instanceof Uint8Array) putBytes(connection, packet)
    else transmit(this.#core, connection, packet)
  }

  /**
   * Cuts connections without a word, as a network does. Wills are published.
   * @param clientId the client; without it, every connection.
   */
  kill(clientId?: string): void {
    if (clientId !== undefined) return cutTransport(this.#connectionOf(clientId))
    for (const connection of [...this.#core.connections]) cutTransport(connection)
  }

  /**
   * Ends the connection of a client. In MQTT 5 it gets a DISCONNECT before.
   * @param reasonCode default 0x98, administrative action.
   */
  disconnect(clientId: string, reasonCode = 0x98, reasonString?: string): void {
    disconnectClient(this.#core, this.#connectionOf(clientId), reasonCode, reasonString)
  }

  /**
   * Crashes and starts again: every connection is cut and no will is published. Retained messages
   * stay.
   * @param options whether sessions outlive it (`keepSessions`). Default true.
   */
  restart(options: { readonly keepSessions?: boolean } = {}): void {
    const { keepSessions = true } = options
    const connections = [...this.#core.connections]
    crash(this.#core, keepSessions)
    for (const connection of connections) cutTransport(connection)
  }

  /**
   * Refuses every connection from now on, until `acceptConnections()`.
   * @param how an error with which dials fail, or the reason code of MQTT 5 with which CONNECT is
   * refused. Default an error with the code `ECONNREFUSED`.
   */
  refuseConnections(
    how: Error | number = resetError('ECONNREFUSED', 'the broker refuses connections'),
  ): void {
    if (how instanceof Error) this.#core.dials = how
    else this.#core.refusesWith = how
  }

  /** Accepts connections again after `refuseConnections()`. */
  acceptConnections(): void {
    this.#core.dials = 'accept'
    this.#core.refusesWith = 0
  }

  /**
   * Neither reads nor answers from now on, until `resume()`. Connections stay open, and dials are
   * neither accepted nor refused.
   */
  hang(): void {
    this.#core.hanging = true
    this.#core.dials = 'hang'
    for (const { stream } of this.#core.connections) stream.pause()
  }

  /** Reads and answers again after `hang()`. Dials that were left open stay so. */
  resume(): void {
    this.#core.hanging = false
    this.#core.dials = 'accept'
    for (const connection of [...this.#core.connections]) {
      connection.stream.resume()
      readPackets(this.#core, connection)
    }
  }

  /** Cuts every connection, forgets every session and stops every timer. */
  close(): void {
    this.restart({ keepSessions: false })
    this.#core.timers.clearAll()
    this.#core.dials = resetError('ECONNREFUSED', 'the broker was closed')
  }

  /** Calls `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  #connectionOf(clientId: string): BrokerConnection {
    for (const connection of this.#core.connections) {
      if (connection.clientId === clientId) return connection
    }
    const known = [...this.clients.keys()].join(', ') || 'nobody'
    throw new UsageError(`"${clientId}" is not connected to the broker; connected: ${known}`)
  }
}

/** Makes a broker in memory. */
export function createBroker(options: BrokerOptions = {}): TestBroker {
  return new TestBroker(options)
}
