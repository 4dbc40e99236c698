/**
 * A broker in memory, at a virtual clock, for the tests of requests: sessions, QoS 0 and 1, shared
 * subscriptions, expiry, and 0x10 for messages that nobody gets. What it does wrong is scripted.
 */
import type { Duplex } from 'node:stream'
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { matches, type OpenTransport } from '../../../src/index.ts'
import { memoryPair } from '../../../src/platform/node/memory-pair.ts'
import type { VirtualClock } from '../../support/clock.ts'

interface Stored {
  readonly packet: IPublishPacket
  readonly at: number
}

interface Session {
  readonly clientId: string
  readonly filters: Map<string, { qos: number; identifier: number | undefined }>
  waiting: Stored[]
  readonly unacknowledged: Map<number, Stored>
  peer: Peer | null
  nextId: number
  keeps: boolean
}

export class SmallBroker {
  readonly clock: VirtualClock
  readonly sessions = new Map<string, Session>()
  /** What clients published, in order. */
  readonly published: IPublishPacket[] = []
  readonly connects: string[] = []
  saysUnmatched = true
  refusesDials = false
  /** Whether it answers PINGREQ. */
  answersPings = true
  /** Filters that are refused. */
  readonly refused = new Set<string>()
  /** Decides how often a message is delivered to a client. */
  copies: (packet: IPublishPacket, clientId: string) => number = () => 1
  /** Whether a PUBACK is sent. */
  acknowledges: (packet: IPublishPacket) => boolean = () => true
  #turn = 0

  constructor(clock: VirtualClock) {
    this.clock = clock
  }

  readonly transport: OpenTransport = async () => {
    if (this.refusesDials) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    const [client, end] = memoryPair()
    new Peer(this, end)
    return client
  }

  /** A connection for a client that is not ours. */
  stream(): Duplex {
    const [client, end] = memoryPair()
    new Peer(this, end)
    return client
  }

  session(clientId: string, clean: boolean): [session: Session, isPresent: boolean] {
    const found = this.sessions.get(clientId)
    if (found !== undefined && !clean) return [found, true]
    const session: Session = {
      clientId,
      filters: new Map(),
      waiting: [],
      unacknowledged: new Map(),
      peer: null,
      nextId: 0,
      keeps: true,
    }
    this.sessions.set(clientId, session)
    return [session, false]
  }

  /** Cuts the connection of a client. */
  cut(clientId: string): void {
    this.sessions.get(clientId)?.peer?.cut()
  }

  publish(packet: IPublishPacket): boolean {
    this.published.push(packet)
    let matched = false
    const shared = new Map<string, Session[]>()
    for (const session of this.sessions.values()) {
      let best = -1
      const identifiers: number[] = []
      for (const [filter, { qos, identifier }] of session.filters) {
        if (!matches(filter, packet.topic)) continue
        matched = true
        if (filter.startsWith('$share/')) {
          shared.set(filter, [...(shared.get(filter) ?? []), session])
          continue
        }
        best = Math.max(best, qos)
        if (identifier !== undefined) identifiers.push(identifier)
      }
      if (best >= 0) this.#give(session, packet, best, identifiers)
    }
    for (const [filter, members] of shared) {
      const online = members.filter(({ peer }) => peer !== null)
      const pool = online.length > 0 ? online : members
      const session = pool[this.#turn++ % pool.length]!
      const { qos, identifier } = session.filters.get(filter)!
      this.#give(session, packet, qos, identifier === undefined ? [] : [identifier])
    }
    return matched
  }

  #give(session: Session, packet: IPublishPacket, qos: number, identifiers: number[]): void {
    const level = Math.min(packet.qos, qos) as 0 | 1 | 2
    const properties = {
      ...packet.properties,
      ...(identifiers.length > 0 ? { subscriptionIdentifier: identifiers } : {}),
    }
    const copy = { ...packet, qos: level, dup: false, retain: false, properties } as IPublishPacket
    for (let i = this.copies(packet, session.clientId); i > 0; i--) {
      const stored = { packet: copy, at: this.clock.now() }
      if (session.peer !== null) session.peer.deliver(stored)
      else if (level > 0) session.waiting.push(stored)
    }
  }
}

class Peer {
  readonly #broker: SmallBroker
  readonly #end: Duplex
  readonly #settings: { protocolVersion?: number } = {}
  #version: 4 | 5 = 5
  #session: Session | null = null

  constructor(broker: SmallBroker, end: Duplex) {
    this.#broker = broker
    this.#end = end
    const parser = mqtt.parser(this.#settings)
    parser.on('packet', (packet) => this.#received(packet))
    end.on('data', (chunk: Buffer) => {
      broker.clock.touch()
      parser.parse(chunk)
    })
    end.on('end', () => {
      this.#gone()
      end.end()
    })
    end.on('error', () => this.#gone())
    end.on('close', () => this.#gone())
  }

  cut(): void {
    this.#gone()
    this.#end.destroy()
  }

  #gone(): void {
    this.#broker.clock.touch()
    const session = this.#session
    if (session?.peer === this) session.peer = null
    if (
      session !== null &&
      !session.keeps &&
      this.#broker.sessions.get(session.clientId) === session
    ) {
      this.#broker.sessions.delete(session.clientId)
    }
    this.#session = null
  }

  #send(packet: Packet): void {
    if (this.#end.writableEnded || this.#end.destroyed) return
    this.#end.write(mqtt.generate(packet, { protocolVersion: this.#version }))
  }

  deliver(stored: Stored, dup = false): void {
    const { packet, at } = stored
    const session = this.#session!
    const expiry = packet.properties?.messageExpiryInterval
    let { properties } = packet
    if (expiry !== undefined) {
      const left = expiry - Math.floor((this.#broker.clock.now() - at) / 1000)
      if (left <= 0) return
      properties = { ...properties, messageExpiryInterval: left }
    }
    const { properties: _, ...rest } = packet
    const out = { ...rest, dup, ...(this.#version === 5 ? { properties } : {}) } as IPublishPacket
    if (out.qos > 0) {
      session.nextId = (session.nextId % 65_535) + 1
      out.messageId = session.nextId
      session.unacknowledged.set(session.nextId, stored)
    }
    this.#send(out)
  }

  #received(packet: Packet): void {
    const broker = this.#broker
    const { messageId } = packet
    switch (packet.cmd) {
      case 'connect': {
        this.#version = packet.protocolVersion === 5 ? 5 : 4
        this.#settings.protocolVersion = this.#version
        const [session, sessionPresent] = broker.session(packet.clientId, packet.clean ?? true)
        session.peer?.cut()
        session.peer = this
        session.keeps =
          this.#version === 5
            ? (packet.properties?.sessionExpiryInterval ?? 0) > 0
            : packet.clean === false
        this.#session = session
        broker.connects.push(packet.clientId)
        const code = this.#version === 5 ? { reasonCode: 0 } : { returnCode: 0 }
        this.#send({ cmd: 'connack', sessionPresent, ...code } as Packet)
        const again = [...session.unacknowledged.values()]
        session.unacknowledged.clear()
        for (const stored of again) this.deliver(stored, true)
        const waiting = session.waiting
        session.waiting = []
        for (const stored of waiting) this.deliver(stored)
        return
      }
      case 'publish': {
        const matched = broker.publish(packet)
        if (packet.qos === 0 || !broker.acknowledges(packet)) return
        const reasonCode = !matched && broker.saysUnmatched ? 0x10 : 0
        return this.#send({ cmd: 'puback', messageId, reasonCode } as Packet)
      }
      case 'puback':
        this.#session?.unacknowledged.delete(messageId!)
        return
      case 'subscribe': {
        const granted = packet.subscriptions.map(({ topic, qos }) => {
          if (broker.refused.has(topic)) return 0x87
          const identifier = packet.properties?.subscriptionIdentifier as number | undefined
          this.#session!.filters.set(topic, { qos, identifier })
          return qos
        })
        return this.#send({ cmd: 'suback', messageId, granted } as Packet)
      }
      case 'unsubscribe':
        for (const topic of packet.unsubscriptions) this.#session!.filters.delete(topic)
        return this.#send({
          cmd: 'unsuback',
          messageId,
          granted: packet.unsubscriptions.map(() => 0),
        } as Packet)
      case 'pingreq':
        if (broker.answersPings) this.#send({ cmd: 'pingresp' })
        return
      case 'disconnect':
        this.#end.end()
        return
      default:
    }
  }
}
