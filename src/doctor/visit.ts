/**
 * What does one question have at hand? Connections of its own, topics of its own, and a place for
 * its evidence. What it finds out is one `FoundOut`; what it cannot find out is a `NotKnown`.
 */
import type {
  BrokerProfile,
  ConnectProperties,
  EventloopOptions,
  IncomingPublish,
  Platform,
  QoS,
  SubscribeOptions,
  WillOptions,
} from '../index.ts'
import type { Removal } from './leavings.ts'
import { Peer, type PeerAnswer, type PeerHost, withoutControls } from './peer.ts'
import { delayed } from './wait.ts'

/** What a question has found out. */
export interface FoundOut {
  readonly answer: string
  readonly reliable: boolean
  readonly meaning: string
  /** Default `shown`. */
  readonly certainty?: 'shown' | 'said'
  readonly profile?: BrokerProfile
}

/** The reason why a question has no answer. */
export class NotKnown extends Error {}

/** How a connection of a question differs from a plain one. */
export interface PeerChoice {
  /** The client identifier. Default: one of its own. */
  readonly id?: string
  /** Whether its session outlives it, for 60 s in MQTT 5. Default false. */
  readonly keeps?: boolean
  /** The Session Expiry Interval of a session that is kept, in seconds. */
  readonly expiry?: number
  readonly will?: WillOptions
  readonly properties?: ConnectProperties
  readonly receiveMaximum?: number
  readonly maximumPacketSize?: number
  /** Whether messages are acknowledged by `ack` alone. Default false. */
  readonly holds?: boolean
}

/** What all questions of one examination share. */
export interface Rounds {
  readonly clock: Platform
  readonly version: 5 | 4 | 3
  /** The options of a loop that lead to the broker. */
  readonly target: EventloopOptions
  /** The first CONNACK and the limits that it announces. */
  readonly first: Peer
  /** The round trip to the broker, in ms. */
  readonly roundTripMs: number
  readonly removal: Removal
  turn(requests: number, signal: AbortSignal): Promise<void>
  newId(): string
  readonly base: string
}

/** On which way a message comes. */
interface Way {
  readonly sender: Peer
  readonly topic: string
}

/** How long a session is kept, in seconds: longer than an examination, and not for ever. */
const KEPT_S = 60
/** How many lines of evidence one question keeps. */
const LINES_MAX = 80
/** How many characters of a topic evidence shows. */
const TOPIC_MAX = 60
/** How long an answer is waited for, in ms, at a broker whose round trip is short. */
const ANSWER_MS = 4000
/** How long a message is waited for that need not come, in ms, at such a broker. */
const ABSENCE_MS = 1000

export class Visit implements PeerHost {
  readonly version: 5 | 4 | 3
  readonly clock: Platform
  readonly signal: AbortSignal
  readonly first: Peer
  readonly patienceMs: number
  /** How long a message is waited for that need not come, in ms. */
  readonly absenceMs: number
  readonly evidence: string[] = []
  readonly #rounds: Rounds
  readonly #id: string
  readonly #base: string
  readonly #peers: Peer[] = []
  #fences = 0

  constructor(rounds: Rounds, id: string, signal: AbortSignal) {
    this.version = rounds.version
    this.clock = rounds.clock
    this.first = rounds.first
    this.signal = signal
    this.patienceMs = ANSWER_MS + 8 * rounds.roundTripMs
    this.absenceMs = ABSENCE_MS + 4 * rounds.roundTripMs
    this.#rounds = rounds
    this.#id = id
    this.#base = `${rounds.base}/${id}`
  }

  /** @returns a topic of this question. */
  topic(name: string): string {
    return `${this.#base}/${name}`
  }

  newId(): string {
    return this.#rounds.newId()
  }

  /** Opens a connection. @throws NotKnown if the broker does not accept it. */
  async open(choice: PeerChoice = {}): Promise<Peer> {
    const peer = await this.tryOpen(choice)
    if (peer.connack === null) throw new NotKnown('a connection was not accepted')
    return peer
  }

  /** Opens a connection, which the broker may refuse. */
  async tryOpen(choice: PeerChoice = {}): Promise<Peer> {
    const { id = this.newId(), keeps = false, expiry = KEPT_S, holds = false, ...rest } = choice
    if (keeps) this.#rounds.removal.session(this.#id, id)
    await this.turn(1)
    const isNew = this.version === 5
    const session: EventloopOptions = keeps
      ? { cleanStart: false, ...(isNew ? { sessionExpiryInterval: expiry } : {}) }
      : { cleanStart: true, ...(isNew ? { sessionExpiryInterval: 0 } : {}) }
    const peer = new Peer(this, `client ${this.#peers.length + 1}`, {
      ...this.#rounds.target,
      ...session,
      ...rest,
      clientId: id,
      acks: holds ? 'manual' : 'receipt',
    })
    this.#peers.push(peer)
    await peer.connected()
    return peer
  }

  async turn(requests: number): Promise<void> {
    await this.#rounds.turn(requests, this.signal)
  }

  note(line: string): (answer: string) => void {
    const at = this.evidence.length
    if (at >= LINES_MAX) return () => {}
    const shown = withoutControls(line)
    this.evidence.push(shown)
    return (answer) => {
      this.evidence[at] = `${shown} → ${withoutControls(answer)}`
    }
  }

  retains(topic: string): void {
    this.#rounds.removal.retained(this.#id, topic)
  }

  spares(topic: string): void {
    this.#rounds.removal.spare(topic)
  }

  shown(topic: string): string {
    const short = topic.replace(this.#base, '…')
    return short.length <= TOPIC_MAX ? short : `${short.slice(0, TOPIC_MAX)}…`
  }

  /** Subscribes. @throws NotKnown if the broker does not grant it, at a QoS above 0 if asked. */
  async grant(
    peer: Peer,
    filter: string,
    qos: QoS,
    options: SubscribeOptions = {},
  ): Promise<PeerAnswer> {
    const answer = await peer.subscribe(filter, { qos, ...options })
    if (answer.kind !== 'accepted') throw new NotKnown(`a subscription got: ${answer.says}`)
    // What comes at QoS 0 may be lost on the way, and says nothing about acknowledgements.
    if (qos > 0 && answer.codes[0] === 0) throw new NotKnown('it granted QoS 0 only')
    return answer
  }

  /** Publishes at QoS 1 unless `choice` says otherwise. @throws NotKnown if it is not accepted. */
  async send(
    peer: Peer,
    topic: string,
    payload: string,
    choice: Parameters<Peer['publish']>[2] = {},
  ): Promise<PeerAnswer> {
    const answer = await peer.publish(topic, payload, { qos: 1, ...choice })
    if (answer.kind !== 'accepted') throw new NotKnown(`a publish got: ${answer.says}`)
    return answer
  }

  /** Waits for messages that have to come. @throws NotKnown if they do not. */
  async comes(peer: Peer, what: string, isThere: () => boolean): Promise<void> {
    if (await peer.until(isThere)) return
    const why = peer.ended === null ? 'did not come' : 'did not come before the connection ended'
    throw new NotKnown(`${what} ${why}`)
  }

  /**
   * Waits for a message that may or may not come. That it does not come counts only if a message
   * that was sent behind it, on the same way, comes.
   *
   * @param way on which it would come: who sent it, and a topic that the reader has subscribed to.
   * @param ms how long it is waited for first, in ms.
   * @throws NotKnown if the message behind it does not come either.
   */
  async mayCome(
    reader: Peer,
    isThere: () => boolean,
    { sender, topic }: Way,
    ms = this.absenceMs,
  ): Promise<boolean> {
    if (await reader.until(isThere, ms)) return true
    const behind = `behind${this.#fences++}`
    await this.send(sender, topic, behind)
    await this.comes(reader, 'a message behind it', () => hasPayload(reader.messages, behind))
    return isThere()
  }

  async pause(ms: number): Promise<void> {
    await delayed(this.clock, ms, this.signal)
  }

  /** Ends the connections of this question. */
  async end(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.close()))
  }
}

/** @returns whether a message with this payload is among those that came. */
export function hasPayload(messages: readonly IncomingPublish[], payload: string): boolean {
  return messages.some((one) => payloadString(one) === payload)
}

/** @returns the payloads, each once: a copy with DUP is no further message. */
export function distinct(messages: readonly IncomingPublish[]): readonly string[] {
  return [...new Set(messages.map(payloadString))]
}

export function payloadString({ payload }: IncomingPublish): string {
  return new TextDecoder().decode(payload)
}
