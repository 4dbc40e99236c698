/**
 * Sits at the client's end of every connection, reads what the client writes and receives, and
 * checks what can be checked there: order, quota, identifiers, DUP, acknowledgements, limits,
 * keep-alive, silence after DISCONNECT.
 */
import mqtt, { type IConnackPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import type { VirtualClock } from '../support/clock.ts'
import { numberOf } from './broker.ts'
import type { Ending, Tap } from './network.ts'
import { Mender } from './quirks.ts'
import type { Setup } from './scenario.ts'

/** Timers count whole milliseconds. */
const SLACK_MS = 5
/** The topic of a PUBLISH may be an alias. */
const BIRTH = 'here'

/**
 * What the client knows of its session, as far as the bytes show it. It outlives connections, and
 * processes that keep their session.
 */
export class Memory {
  /** Numbers of requests that were written as PUBLISH since the session began. */
  readonly sent = new Set<number>()
  /** Publishes by identifier that wait for their last acknowledgement. */
  readonly open = new Map<number, number>()
  /** QoS 2 publishes whose PUBREC was read. */
  readonly released = new Set<number>()
  /** A client that remembers only in part may know less than was sent. */
  vague = false
  /** Whether `down/#` is granted. */
  subscribed = false

  /** The broker forgot its session: everything is new again. */
  forget(): void {
    this.sent.clear()
    this.open.clear()
    this.vague = false
  }
}

export interface Surroundings {
  readonly clock: VirtualClock
  readonly setup: Setup
  readonly memory: () => Memory
  /** Whether the consumer has handled this message of the broker. */
  readonly handled: (number: number) => boolean
  readonly jumpedAt: () => number
  readonly lost: () => void
  /** Whether the broker may have sent what nobody can live with. */
  readonly unreadable: () => boolean
  readonly problem: (id: string, what: string) => void
  /** Is called with every packet. */
  readonly trace: (arrow: '→' | '←', packet: Packet) => void
}

export class Witness implements Tap {
  connack: IConnackPacket | null = null
  connackAt = Number.POSITIVE_INFINITY
  /** The client's end, once it is known. */
  client: {
    isPaused(): boolean
    readonly writableLength: number
    readonly destroyed: boolean
  } | null = null
  closedAt = Number.POSITIVE_INFINITY
  readonly #world: Surroundings
  readonly #up = mqtt.parser()
  readonly #down: mqtt.Parser
  /** Null if the broker sends nothing that a strict parser refuses. */
  readonly #mender: Mender | null
  #connects = 0
  /** Whether the CONNECT had Clean Start, so that Session Present cannot be true. */
  #cleans = false
  #goodbye = false
  #ended = false
  #births = 0
  #inFlight = new Set<number>()
  #subscriptions = new Map<number, readonly string[]>()
  #last: [number, number, number] = [0, 0, 0]
  #lastWriteAt: number
  #lastReadAt: number
  #resumedAt = 0
  #movedAt = 0
  /**
   * Messages of the broker by identifier, and those whose first acknowledgement is due, in order.
   */
  readonly #incoming = new Map<number, number>()
  readonly #due: { 1: number[]; 2: number[] } = { 1: [], 2: [] }
  #renewalDue = false
  /** The identifier of the last packet if that was a PUBREL for what is not open, or 0. */
  #clearing = 0
  readonly #pubrecs = new Set<number>()
  /** Publishes whose PUBREL was sent and not answered. */
  readonly #releasing = new Set<number>()

  constructor(world: Surroundings) {
    this.#world = world
    const now = world.clock.now()
    this.#lastWriteAt = now
    this.#lastReadAt = now
    const { protocolVersion, quirks } = world.setup
    this.#down = mqtt.parser({ protocolVersion })
    this.#mender = quirks.length > 0 ? new Mender(protocolVersion) : null
    this.#up.on('packet', (packet) => this.#wrote(packet))
    this.#down.on('packet', (packet) => this.#read(packet))
    for (const parser of [this.#up, this.#down]) {
      parser.on('error', (error) =>
        this.#problem('I1', `a packet cannot be read: ${error.message}`),
      )
    }
  }

  get keepAliveMs(): number {
    const { keepAlive } = this.#world.setup
    return 1000 * (this.connack?.properties?.serverKeepAlive ?? keepAlive)
  }

  /** What was read was decoded too: the consumer's buffer is larger than all that can come. */
  get #decodesAll(): boolean {
    return this.#world.setup.maxBufferedPackets >= 1000
  }

  get live(): boolean {
    return (
      this.connack !== null &&
      !this.#goodbye &&
      !this.#ended &&
      this.closedAt === Number.POSITIVE_INFINITY
    )
  }

  wrote(bytes: Buffer): void {
    const now = this.#world.clock.now()
    this.#checkSilence(now)
    this.#lastWriteAt = now
    this.#up.parse(bytes)
  }

  read(bytes: Buffer): void {
    this.#lastReadAt = this.#world.clock.now()
    this.#down.parse(this.#mender?.read(bytes) ?? bytes)
  }

  /** A write that was backed up breaks the silence when it moves. */
  moved(backedUp: boolean): void {
    this.#lastWriteAt = this.#world.clock.now()
    if (backedUp) this.#movedAt = this.#lastWriteAt
  }

  resumed(): void {
    this.#resumedAt = this.#world.clock.now()
  }

  ended(): void {
    this.#ended = true
  }

  closed(_how: Ending | 'client'): void {
    if (this.closedAt < Number.POSITIVE_INFINITY) return
    this.closedAt = this.#world.clock.now()
    this.#world.lost()
  }

  /** @returns the number, or the filters, of the only request without an answer, or null. */
  alone(): string | null {
    const { open } = this.#world.memory()
    const publishes = new Set([...this.#inFlight, ...this.#releasing])
    const subscriptions = [...this.#subscriptions.values()]
    if (publishes.size + subscriptions.length !== 1) return null
    for (const messageId of publishes) return `${open.get(messageId)}`
    return subscriptions[0]!.join(' ')
  }

  /** Checks the promises that time alone can break. */
  check(): void {
    const { clock, jumpedAt } = this.#world
    const now = clock.now()
    const { client, keepAliveMs } = this
    if (!this.live || client === null || client.destroyed || keepAliveMs === 0) return
    this.#checkSilence(now)
    const evidence = Math.max(this.#lastReadAt, this.#resumedAt, this.#movedAt)
    const proves = !client.isPaused() && client.writableLength === 0 && jumpedAt() < evidence
    if (proves && now - evidence > 1.5 * keepAliveMs + SLACK_MS) {
      this.#problem('K2', `still connected ${now - evidence} ms after the last sign of life`)
    }
  }

  #checkSilence(now: number): void {
    const { keepAliveMs } = this
    const since = Math.max(this.#lastWriteAt, this.connackAt)
    if (!this.live || keepAliveMs === 0 || this.#world.jumpedAt() >= since) return
    // What is still being written breaks the silence.
    if ((this.client?.writableLength ?? 0) > 0) return
    const silence = now - this.#lastWriteAt
    if (this.#lastWriteAt >= this.connackAt && silence > keepAliveMs + SLACK_MS) {
      this.#problem('K1', `${silence} ms of silence, ${keepAliveMs} allowed`)
    }
  }

  #wrote(packet: Packet): void {
    const { cmd } = packet
    this.#world.trace('→', packet)
    if (this.#goodbye) this.#problem('E2', `${cmd} after DISCONNECT`)
    if (cmd === 'connect') {
      this.#cleans = packet.clean === true
      if (++this.#connects > 1) this.#problem('MQTT-3.1.0-2', 'a second CONNECT')
      return
    }
    if (this.#connects === 0) this.#problem('MQTT-3.1.0-1', `${cmd} before CONNECT`)
    if (cmd === 'disconnect') {
      this.#goodbye = true
      const { reasonCode = 0 } = packet
      if (reasonCode >= 0x80 && !this.#world.unreadable()) {
        this.#problem('I1', `the client gives up with 0x${reasonCode.toString(16)}`)
      }
      return
    }
    const size = sizeOf(packet)
    const { maximumPacketSize = Number.POSITIVE_INFINITY } = this.connack?.properties ?? {}
    if (size > maximumPacketSize) {
      this.#problem('MQTT-3.1.2-24', `${cmd} of ${size} bytes, ${maximumPacketSize} allowed`)
    }
    const messageId = packet.messageId ?? 0
    this.#checkClearing(packet, messageId)
    if (cmd === 'publish') this.#published(packet, messageId)
    else if (cmd === 'subscribe' || cmd === 'unsubscribe') this.#subscribes(packet, messageId)
    else if (cmd === 'pubrel') this.#releases(messageId)
    else if (cmd === 'puback') this.#acknowledges(1, messageId)
    else if (cmd === 'pubrec') this.#acknowledges(2, messageId)
  }

  /** A PUBREL that clears an identifier is followed by the message that has it. */
  #checkClearing(packet: Packet, messageId: number): void {
    const cleared = this.#clearing
    this.#clearing = 0
    if (cleared === 0) return
    if (packet.cmd === 'publish' && packet.qos === 2 && messageId === cleared) return
    this.#problem('D5', `PUBREL for ${cleared}, which is not open`)
  }

  #published(packet: IPublishPacket, messageId: number): void {
    const { qos, dup } = packet
    const memory = this.#world.memory()
    const { properties } = this.connack ?? {}
    if (this.connack === null) this.#problem('D5', 'PUBLISH before CONNACK')
    if (qos > (properties?.maximumQoS ?? 2)) this.#problem('MQTT-3.2.2-11', `PUBLISH at QoS ${qos}`)
    if (this.#renewalDue) this.#problem('D5', 'PUBLISH before subscriptions are renewed')
    if (qos === 0) return this.#ordered(packet)
    const number = isBirth(packet) ? -++this.#births : numberOf(packet)
    this.#inFlight.add(messageId)
    const { setup } = this.#world
    const { maxInflight } = setup
    const window = Math.min(maxInflight, properties?.receiveMaximum ?? 65_535)
    if (this.#inFlight.size > window) {
      this.#problem('D4', `${this.#inFlight.size} in flight, ${window} allowed`)
    }
    const other = memory.open.get(messageId)
    if (this.#subscriptions.has(messageId)) this.#problem('D4', `identifier ${messageId} is taken`)
    if (other !== undefined && other !== number && number > 0 && other > 0) {
      this.#problem('D4', `identifier ${messageId} of ${other} is used for ${number}`)
    }
    memory.open.set(messageId, number)
    if (isBirth(packet)) return
    if (memory.sent.has(number) && !dup && !memory.vague) {
      this.#problem('D3', `${number} is sent again without DUP`)
    }
    // What waited for a commit when its connection broke counts as sent: after a kill nobody could
    // know.
    if (!memory.sent.has(number) && dup && !memory.vague && setup.memory !== 'store') {
      this.#problem('D3', `${number} is sent for the first time, with DUP`)
    }
    if (memory.released.has(number)) this.#problem('D5', `${number} is sent again after its PUBREC`)
    memory.sent.add(number)
    this.#ordered(packet)
  }

  #ordered(packet: IPublishPacket): void {
    if (isBirth(packet)) return
    const number = numberOf(packet)
    const last = this.#last[packet.qos]
    if (number <= last) this.#problem('D3', `${number} is sent after ${last}`)
    this.#last[packet.qos] = number
  }

  #subscribes(packet: Packet, messageId: number): void {
    const { open } = this.#world.memory()
    if (open.has(messageId) || this.#subscriptions.has(messageId)) {
      this.#problem('D4', `identifier ${messageId} is taken`)
    }
    const filters = filtersIn(packet)
    if (packet.cmd === 'subscribe' && filters.includes('down/#')) this.#renewalDue = false
    this.#subscriptions.set(messageId, filters)
  }

  #releases(messageId: number): void {
    this.#releasing.add(messageId)
    const { open, vague } = this.#world.memory()
    // A PUBREC that comes twice is answered twice [MQTT-4.3.3-4].
    if (vague || !this.#decodesAll || this.#pubrecs.has(messageId)) return
    if (open.has(messageId)) return
    // In a session of the server that the client does not know, it clears an identifier first.
    if (this.connack?.sessionPresent) this.#clearing = messageId
    else this.#problem('D5', `PUBREL for ${messageId}, which is not open`)
  }

  /**
   * The first acknowledgement of a message: in the order of arrival, and not before it was handled.
   */
  #acknowledges(qos: 1 | 2, messageId: number): void {
    const due = this.#due[qos]
    const head = due.shift()
    if (head !== messageId) {
      this.#problem('R1', `${messageId} is acknowledged, ${head ?? 'none'} is due`)
      return
    }
    const number = this.#incoming.get(messageId)!
    const { acks, pulls } = this.#world.setup
    if (acks === 'receipt' || pulls > 1) return
    if (!this.#world.handled(number)) {
      this.#problem('R1', `message ${number} is acknowledged before it was handled`)
    }
  }

  /** Whether a PUBCOMP belongs to a PUBREL that cleared an identifier before its PUBLISH. */
  #answersClearing(messageId: number): boolean {
    const { open, released } = this.#world.memory()
    const number = open.get(messageId)
    if (number === undefined || this.#pubrecs.has(messageId) || released.has(number)) return false
    this.#releasing.delete(messageId)
    return true
  }

  #read(packet: Packet): void {
    const memory = this.#world.memory()
    const messageId = packet.messageId ?? 0
    this.#world.trace('←', packet)
    // A client reads nothing after its DISCONNECT.
    if (this.#goodbye || this.#ended) return
    switch (packet.cmd) {
      case 'connack': {
        if ((packet.reasonCode ?? 0) > 0 || (packet.returnCode ?? 0) > 0) return
        this.connack = packet
        this.connackAt = this.#world.clock.now()
        if (packet.sessionPresent && !this.#cleans) return
        memory.forget()
        this.#renewalDue = memory.subscribed
        return
      }
      case 'publish':
        if (packet.qos === 0) return
        this.#incoming.set(messageId, numberOf(packet))
        this.#due[packet.qos].push(messageId)
        return
      case 'pubcomp':
      case 'puback':
        if (packet.cmd === 'pubcomp' && this.#answersClearing(messageId)) return
        this.#inFlight.delete(messageId)
        this.#releasing.delete(messageId)
        memory.open.delete(messageId)
        return
      case 'pubrec': {
        this.#pubrecs.add(messageId)
        const number = memory.open.get(messageId)
        if (number === undefined) return
        if ((packet.reasonCode ?? 0) < 0x80) {
          if (this.#decodesAll) memory.released.add(number)
          return
        }
        this.#inFlight.delete(messageId)
        memory.open.delete(messageId)
        return
      }
      case 'suback':
        if (this.#decodesAll && this.#subscriptions.get(messageId)?.includes('down/#')) {
          memory.subscribed = true
        }
        this.#subscriptions.delete(messageId)
        return
      case 'unsuback':
        this.#subscriptions.delete(messageId)
        return
      default:
        return
    }
  }

  #problem(id: string, what: string): void {
    this.#world.problem(id, what)
  }
}

function filtersIn(packet: Packet): readonly string[] {
  if (packet.cmd === 'subscribe') return packet.subscriptions.map(({ topic }) => topic)
  return packet.cmd === 'unsubscribe' ? packet.unsubscriptions : []
}

function sizeOf(packet: Packet): number {
  const rest = packet.length ?? 0
  let head = 2
  for (let n = rest; n > 127; n >>= 7) head++
  return head + rest
}

function isBirth({ payload }: IPublishPacket): boolean {
  return String(payload) === BIRTH
}
