/**
 * A model of a broker that keeps the truth: what was delivered to it and how often, what it owes
 * its client, what was acknowledged. It has one client and one session, and follows the standard
 * except for its quirks; where the standard leaves a choice, its mood decides.
 */
import mqtt, { type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import type { VirtualClock } from '../support/clock.ts'
import type { BrokerEnd, Connection } from './network.ts'
import { type Quirk, REFUSED_FILTER, SHARED_FILTER, UNKNOWN, withReservedBits } from './quirks.ts'
import { GOOD_MOOD, type Mood, type Poison } from './scenario.ts'

/** A message for the client. */
export interface Offered {
  readonly number: number
  readonly qos: 0 | 1 | 2
  readonly bytes: number
}

interface Outbound {
  readonly offered: Offered
  readonly messageId: number
  stage: 'publish' | 'pubrel'
  /** Whether it was sent on this connection, or ever. */
  current: boolean
  ever: boolean
}

export interface Delivery {
  readonly number: number
  readonly qos: number
  /**
   * The number of the broker's session: a broker that forgot its session cannot recognise a repeat.
   */
  readonly sessionNumber: number
  /**
   * The number of the client's session: a client that forgot its session cannot know what it sent.
   */
  readonly memory: number
  /** Whether a second one with the same number, session and memory is a fault. */
  readonly once: boolean
}

const RESTART_CODE = 0x8b

/** A PUBACK with packet identifier 0, which a client must not accept, and half of one. */
const UNREADABLE = Buffer.from([0x40, 2, 0, 0])
const HALF = UNREADABLE.subarray(0, 3)

export class Broker {
  mood: Mood = GOOD_MOOD
  readonly deliveries: Delivery[] = []
  /** Numbers of offered messages whose PUBACK or PUBREC arrived. */
  readonly acknowledged = new Set<number>()
  /** Offered messages that were lost with a lost session. */
  readonly forgotten = new Set<number>()
  readonly problems: string[] = []
  /** Numbers of publishes, and filters, on which the broker closes the connection. */
  readonly poison = new Map<number | string, Poison>()
  /** Numbers of requests that were refused: their turn has passed. */
  readonly refused = new Set<number>()
  sessionNumber = 0
  connacks = 0
  memory = 0
  readonly quirks: readonly Quirk[]
  readonly #clock: VirtualClock
  readonly #random: () => number
  #session = false
  #filters = new Map<string, number>()
  /** Filters that were granted at any time. */
  readonly #granted = new Set<string>()
  #received = new Map<number, number>()
  #outbound: Outbound[] = []
  #nextId = 1
  #peer: Peer | null = null

  constructor(clock: VirtualClock, random: () => number, quirks: readonly Quirk[]) {
    this.#clock = clock
    this.#random = random
    this.quirks = quirks
  }

  readonly accept = (connection: Connection): BrokerEnd => {
    const peer = new Peer(this, connection)
    return peer
  }

  get clock(): VirtualClock {
    return this.#clock
  }

  random(): number {
    return this.#random()
  }

  /** @returns whether the client would get a message that is offered now. */
  get subscribed(): boolean {
    return this.#session && this.#filters.has('down/#')
  }

  has(filter: string): boolean {
    return this.#session && this.#filters.has(filter)
  }

  /** @returns whether nothing is owed to the client. */
  get quits(): boolean {
    return this.#outbound.length === 0
  }

  get received(): Map<number, number> {
    return this.#received
  }

  get outbound(): Outbound[] {
    return this.#outbound
  }

  restart(keep: boolean): void {
    const peer = this.#peer
    if (peer !== null) {
      if (peer.version === 5 && this.#random() < 0.5) {
        const reasonCode = this.quirks.includes('unknownCodes') ? UNKNOWN.bad : RESTART_CODE
        peer.send({ cmd: 'disconnect', reasonCode })
      }
      peer.end()
    }
    if (!keep) this.forget()
    if (this.quirks.includes('forgetsShares')) this.#filters.delete(SHARED_FILTER)
  }

  forget(): void {
    this.#session = false
    this.sessionNumber++
    for (const { offered } of this.#outbound) this.forgotten.add(offered.number)
    this.#filters.clear()
    this.#received.clear()
    this.#outbound = []
  }

  /** Keeps a message until it is acknowledged, if anybody is subscribed. */
  offer(offered: Offered): boolean {
    if (!this.subscribed) return false
    if (offered.qos === 0) {
      this.#peer?.publish(offered, 0, false)
      return this.#peer !== null
    }
    const messageId = this.#nextId
    this.#nextId = (this.#nextId % 65_535) + 1
    this.#outbound.push({ offered, messageId, stage: 'publish', current: false, ever: false })
    this.#peer?.push()
    return true
  }

  connected(peer: Peer, connect: IConnectPacket): boolean {
    if (this.#peer !== null && this.#peer !== peer) this.#peer.end()
    this.#peer = peer
    if (connect.clean) this.forget()
    const present = this.#session || this.quirks.includes('claimsSession')
    this.#session = true
    for (const message of this.#outbound) message.current = false
    return present
  }

  gone(peer: Peer): void {
    if (this.#peer !== peer) return
    this.#peer = null
    if (peer.ephemeral || this.quirks.includes('claimsSession')) this.forget()
  }

  /** @returns whether the filter is poison, or one that is poison from the second time on. */
  closesOn(filter: string): boolean {
    return this.poison.has(filter) && (!isRenewed(filter) || this.#granted.has(filter))
  }

  /** @returns the reason code for the filter. */
  subscribe(filter: string, qos: number): number {
    if (filter === REFUSED_FILTER && this.quirks.includes('refusesWith8f')) return 0x8f
    this.#granted.add(filter)
    this.#filters.set(filter, qos)
    return qos
  }

  unsubscribe(filter: string): boolean {
    return this.#filters.delete(filter)
  }

  acknowledge(messageId: number, stage: Outbound['stage'], done: boolean): boolean {
    const message = this.#outbound.find((one) => one.messageId === messageId)
    if (message?.stage !== stage) return message?.stage === 'pubrel' && stage === 'publish'
    if (stage === 'publish') this.acknowledged.add(message.offered.number)
    if (done) this.#outbound.splice(this.#outbound.indexOf(message), 1)
    else message.stage = 'pubrel'
    return true
  }
}

/** One connection, as the broker sees it. */
export class Peer implements BrokerEnd {
  version: 4 | 5 = 4
  /** Whether the session ends with this connection. */
  ephemeral = false
  readonly #broker: Broker
  readonly #connection: Connection
  readonly #parser = mqtt.parser()
  #connected = false
  /** What was under way when a client lost its memory belongs to the old session. */
  readonly #memory: number
  #over = false
  #receiveMaximum = 65_535
  #aliasMaximum = 0
  readonly #aliases = new Map<string, number>()
  /** Topics of the client's aliases, and how many it may have. */
  readonly #topics = new Map<number, string>()
  #topicAliasMaximum = 0

  constructor(broker: Broker, connection: Connection) {
    this.#broker = broker
    this.#memory = broker.memory
    this.#connection = connection
    this.#parser.on('packet', (packet) => this.#received(packet))
    this.#parser.on('error', (error) => broker.problems.push(`cannot be read: ${error.message}`))
  }

  received(bytes: Buffer): void {
    if (!this.#over) this.#parser.parse(bytes)
  }

  ended(): void {
    this.#over = true
    this.#broker.gone(this)
  }

  end(): void {
    this.ended()
    this.#connection.end('fin')
  }

  send(packet: Packet): void {
    if (this.#over) return
    const bytes = mqtt.generate(packet, { protocolVersion: this.version })
    const bent = this.#broker.quirks.includes('reservedBits')
    this.#connection.send(bent ? withReservedBits(bytes) : bytes)
  }

  /** Answers now, later, twice or never, as the mood decides. */
  #answer(packet: Packet): void {
    const { mood } = this.#broker
    if (this.#broker.random() < mood.loseAnswer) return
    const times = this.#broker.random() < mood.doubleAnswer ? 2 : 1
    for (let i = 0; i < times; i++) {
      const delay = this.#broker.random() * mood.answerDelayMs
      if (delay < 1) this.send(packet)
      else this.#broker.clock.setTimer(() => this.send(packet), delay)
    }
  }

  /** The code for success. */
  get #good(): number {
    return this.version === 5 && this.#broker.quirks.includes('unknownCodes') ? UNKNOWN.good : 0
  }

  #received(packet: Packet): void {
    if (this.#over) return
    const messageId = packet.messageId ?? 0
    switch (packet.cmd) {
      case 'connect':
        return this.#connect(packet)
      case 'publish':
        return this.#published(packet, messageId)
      case 'pubrel':
        this.#broker.received.delete(messageId)
        return this.#answer({ cmd: 'pubcomp', messageId, reasonCode: this.#good })
      case 'puback':
        this.#broker.acknowledge(messageId, 'publish', true)
        return this.push()
      case 'pubrec':
        this.#broker.acknowledge(messageId, 'publish', false)
        return this.send({ cmd: 'pubrel', messageId, reasonCode: this.#good })
      case 'pubcomp':
        this.#broker.acknowledge(messageId, 'pubrel', true)
        return this.push()
      case 'subscribe': {
        if (this.#closesOn(packet.subscriptions.map(({ topic }) => topic))) return
        const granted = packet.subscriptions.map(({ topic, qos }) =>
          this.#broker.subscribe(topic, qos),
        )
        return this.#answer({ cmd: 'suback', messageId, granted })
      }
      case 'unsubscribe': {
        if (this.#closesOn(packet.unsubscriptions)) return
        const granted = packet.unsubscriptions.map((filter) =>
          this.#broker.unsubscribe(filter) ? this.#good : 0x11,
        )
        return this.#answer({ cmd: 'unsuback', messageId, granted })
      }
      case 'pingreq':
        if (this.#broker.mood.pings) this.send({ cmd: 'pingresp' })
        return
      case 'disconnect':
        this.ephemeral ||= packet.properties?.sessionExpiryInterval === 0
        return this.end()
      default:
        this.#broker.problems.push(`a client sent ${packet.cmd}`)
    }
  }

  #connect(connect: IConnectPacket): void {
    const broker = this.#broker
    const { mood } = broker
    this.version = connect.protocolVersion === 5 ? 5 : 4
    this.ephemeral = this.version === 4 && connect.clean === true
    if (this.#connected) broker.problems.push('a second CONNECT')
    this.#connected = true
    if (mood.connack === 'silent') return
    if (mood.connack === 'busy') {
      this.send({ cmd: 'connack', sessionPresent: false, reasonCode: 0x89, returnCode: 3 })
      return this.end()
    }
    this.#receiveMaximum = connect.properties?.receiveMaximum ?? 65_535
    this.#aliasMaximum = connect.properties?.topicAliasMaximum ?? 0
    const sessionPresent = broker.connected(this, connect)
    // From one connection to the next the broker may change its mind.
    this.#topicAliasMaximum = broker.connacks++ % 3
    const { receiveMaximum, maximumPacketSize, maximumQoS, serverKeepAlive } = mood
    const properties = {
      ...(receiveMaximum > 0 ? { receiveMaximum } : {}),
      ...(maximumPacketSize > 0 ? { maximumPacketSize } : {}),
      ...(maximumQoS < 2 ? { maximumQoS } : {}),
      ...(serverKeepAlive === null ? {} : { serverKeepAlive }),
      ...(this.#topicAliasMaximum === 0 ? {} : { topicAliasMaximum: this.#topicAliasMaximum }),
    }
    const limits = this.version === 5 ? { properties } : {}
    this.send({ cmd: 'connack', sessionPresent, reasonCode: 0, returnCode: 0, ...limits })
    if (mood.closeAfterConnackMs !== null) {
      broker.clock.setTimer(() => {
        if (this.#over) return
        this.end()
      }, mood.closeAfterConnackMs)
    }
    this.push()
  }

  /**
   * Checks that an alias stands for the topic that the client was asked to publish to.
   * [MQTT-3.3.2-9], [MQTT-3.3.2-12]
   */
  #checkTopic({ topic, qos, properties }: IPublishPacket): void {
    const { problems } = this.#broker
    const alias = properties?.topicAlias
    if (alias !== undefined && alias > this.#topicAliasMaximum) {
      problems.push(`alias ${alias}, ${this.#topicAliasMaximum} are allowed`)
    }
    if (alias !== undefined && topic !== '') this.#topics.set(alias, topic)
    const meant = topic === '' ? this.#topics.get(alias ?? 0) : topic
    if (meant !== `up/${qos}` && meant !== 'birth') {
      problems.push(`[C29] a publish at QoS ${qos} came under the topic "${meant}"`)
    }
  }

  #published(packet: IPublishPacket, messageId: number): void {
    const broker = this.#broker
    const number = numberOf(packet)
    const { qos } = packet
    this.#checkTopic(packet)
    const poison = broker.poison.get(number)
    if (poison !== undefined) return this.#closeOn(poison)
    const { sessionNumber } = broker
    if (qos === 2 && broker.received.has(messageId)) {
      if (broker.received.get(messageId) !== number) {
        broker.problems.push(`identifier ${messageId} names ${number} while it is open`)
      }
      return this.#answer({ cmd: 'pubrec', messageId, reasonCode: this.#good })
    }
    const refused = qos > 0 && this.version === 5 && broker.random() < broker.mood.refuse
    if (refused) broker.refused.add(number)
    const once = qos === 2 && !broker.quirks.includes('acknowledgesAtQoS1')
    if (!refused) {
      broker.deliveries.push({ number, qos, sessionNumber, memory: this.#memory, once })
    }
    if (qos === 0) return
    if (once && !refused) broker.received.set(messageId, number)
    const bad = broker.quirks.includes('unknownCodes') ? UNKNOWN.bad : 0x97
    const reasonCode = refused ? bad : this.#good
    this.#answer({ cmd: once ? 'pubrec' : 'puback', messageId, reasonCode })
  }

  /** @returns whether the broker closed on one of these filters. */
  #closesOn(filters: readonly string[]): boolean {
    const bad = filters.find((filter) => this.#broker.closesOn(filter))
    if (bad !== undefined) this.#closeOn(this.#broker.poison.get(bad)!)
    return bad !== undefined
  }

  /** Closes in the way that is set, and reads nothing more: what was pipelined is lost. */
  #closeOn({ way, code }: Poison): void {
    if (way === 'half') this.#connection.send(HALF)
    if (way === 'disconnect' && this.version === 5) {
      this.send({ cmd: 'disconnect', reasonCode: code })
    }
    if (way === 'unreadable') this.#connection.send(UNREADABLE)
    this.ended()
    if (way !== 'unreadable') this.#connection.end(way === 'reset' ? 'reset' : 'fin')
  }

  /** Sends what is owed, within the client's Receive Maximum. */
  push(): void {
    let open = this.#broker.outbound.filter(({ current }) => current).length
    const exceeds = this.#broker.quirks.includes('exceedsReceiveMaximum')
    const most = exceeds ? Number.POSITIVE_INFINITY : this.#receiveMaximum
    for (const message of this.#broker.outbound) {
      if (message.current) continue
      if (message.stage === 'pubrel') {
        message.current = true
        this.send({ cmd: 'pubrel', messageId: message.messageId, reasonCode: this.#good })
        continue
      }
      if (open >= most) return
      open++
      message.current = true
      this.publish(message.offered, message.messageId, message.ever)
      message.ever = true
    }
  }

  publish({ number, qos, bytes }: Offered, messageId: number, dup: boolean): void {
    const name = `down/${qos}`
    let topic = name
    let properties = {}
    if (this.version === 5 && this.#broker.mood.aliases && this.#aliasMaximum > 0) {
      const known = this.#aliases.get(name)
      if (known !== undefined) topic = ''
      const topicAlias = known ?? this.#aliases.size + 1
      if (topicAlias <= this.#aliasMaximum) {
        this.#aliases.set(name, topicAlias)
        properties = { properties: { topicAlias } }
      }
    }
    const payload = payloadOf(number, bytes)
    const id = qos > 0 ? { messageId } : {}
    this.send({ cmd: 'publish', topic, payload, qos, dup, retain: false, ...id, ...properties })
  }
}

/** @returns whether the filter is one that is granted once, and then poison. */
export function isRenewed(filter: string): boolean {
  return filter.startsWith('renewed/')
}

/** The number of a message is at the head of its payload; the rest is filler. */
export function payloadOf(number: number, bytes: number): Buffer {
  const text = `${number};`
  return Buffer.from(text.padEnd(Math.max(text.length, bytes), '.'))
}

export function numberOf({ payload }: { readonly payload: string | Buffer }): number {
  return Number.parseInt(payload.toString(), 10)
}
