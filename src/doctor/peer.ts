/**
 * What does one connection of the doctor send, and what comes back? A loop that never connects
 * again, so that an answer, the end of the connection and silence stay three different things.
 */
import { type Pushable, pushable } from 'it-pushable'
import {
  type ConnackPacket,
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type IncomingPublish,
  type Outcome,
  type Platform,
  type PublishProperties,
  publish,
  type QoS,
  type Request,
  type SubscribeOptions,
  type Subscription,
  subscribe,
  text,
} from '../index.ts'
import { orNullAfter } from './wait.ts'

/** What became of a request. */
export interface PeerAnswer {
  /** `unsent`: the loop sent nothing, because the broker has said before that it refuses this. */
  readonly kind: 'accepted' | 'refused' | 'closed' | 'silence' | 'unsent'
  /** The reason codes of the answer: one for each filter of a SUBSCRIBE. */
  readonly codes: readonly number[]
  /** The type of the packet that answered, or null. */
  readonly packet: string | null
  /** The answer in words. */
  readonly says: string
}

/** What a peer needs of the examination. */
export interface PeerHost {
  readonly clock: Platform
  readonly signal: AbortSignal
  /** How long an answer is waited for, in ms. */
  readonly patienceMs: number
  /** Resolves when so many requests may leave. */
  turn(requests: number): Promise<void>
  /**
   * Takes note of something that was sent or that came.
   * @returns a function that adds the answer to the line.
   */
  note(line: string): (answer: string) => void
  /** Takes note of a retained message that is to be removed. */
  retains(topic: string): void
  /** A retained message was refused, so that there is none to remove. */
  spares(topic: string): void
  /** @returns a topic as evidence shows it. */
  shown(topic: string): string
}

interface PublishChoice {
  readonly qos?: QoS
  readonly retain?: boolean
  readonly properties?: PublishProperties
  /** Whether its turn was taken before, so that it leaves immediately. Default false. */
  readonly hasTurn?: boolean
  /** How long the answer is waited for, in ms. Default: as for every answer. */
  readonly patienceMs?: number
}

/** How long a retained message of the doctor lives at most, in seconds. */
const RETAINED_S = 120
/** How many messages of one connection are written into the evidence. */
const NOTED_MAX = 20

export class Peer {
  readonly name: string
  readonly messages: IncomingPublish[] = []
  connack: ConnackPacket | null = null
  /** Why the connection has ended, or null. */
  ended: unknown = null
  readonly #host: PeerHost
  readonly #loop: Eventloop
  readonly #requests: Pushable<Request> = pushable({ objectMode: true })
  readonly #hints: Pushable<'offline'> = pushable({ objectMode: true })
  readonly #outcomes = new Map<Request, (outcome: Outcome) => void>()
  /** The reason codes of PUBRECs, which say more than the PUBCOMPs that end the exchanges. */
  readonly #pubrecs = new Map<Request, number>()
  readonly #watchers = new Set<() => void>()
  readonly #reading: Promise<void>
  #isCut = false

  /** @param options those of its loop. */
  constructor(host: PeerHost, name: string, options: EventloopOptions) {
    this.#host = host
    this.name = name
    this.#loop = eventloop(
      {
        ...options,
        reconnect: 'never',
        until: 'closed',
        networkHints: this.#hints,
        onSettled: (request, outcome) => {
          this.#outcomes.get(request)?.(outcome)
          this.#outcomes.delete(request)
        },
        onWarning: ({ code, message }) => {
          if (code === 'SERVER_DEVIATION') host.note(`${name}: ${message}`)
        },
      },
      this.#requests,
    )
    this.#reading = this.#read()
  }

  /** @returns whether there is a good CONNACK. */
  async connected(): Promise<boolean> {
    const add = this.#note(`CONNECT as ${this.#loop.state.clientId}`)
    await this.until(() => this.connack !== null)
    if (this.connack !== null) add(this.connack.sessionPresent ? 'Session Present 1' : 'accepted')
    else add(this.ended === null ? 'no answer' : reasonWords(this.ended))
    return this.connack !== null
  }

  get version(): 5 | 4 | 3 | null {
    return this.#loop.state.connection.protocolVersion ?? null
  }

  get server(): string {
    return this.#loop.state.connection.endpoint ?? ''
  }

  get limits() {
    return this.#loop.state.connection.limits
  }

  /** The bounds of the evidence hold for large payloads, too. */
  async publish(topic: string, payload: string, choice: PublishChoice = {}): Promise<PeerAnswer> {
    const [answer] = await this.publishTogether([[topic, payload, choice]])
    return answer!
  }

  /** Publishes several messages in one write. */
  async publishTogether(
    given: readonly (readonly [topic: string, payload: string, choice?: PublishChoice])[],
  ): Promise<readonly PeerAnswer[]> {
    const requests = given.map(([topic, payload, choice = {}]) => {
      if (choice.retain) this.#host.retains(topic)
      const { hasTurn: _, patienceMs: __, ...options } = choice
      return publish(topic, payload, this.#mortal(options, payload))
    })
    const due = given.filter(([, , choice]) => !choice?.hasTurn)
    if (due.length > 0) await this.#host.turn(due.length)
    const notes = given.map(([topic, payload, choice]) =>
      this.#note(publishText(this.#host.shown(topic), payload, choice)),
    )
    const answers = await this.#send(requests, given[0]?.[2]?.patienceMs)
    for (const [i, { says, kind }] of answers.entries()) {
      notes[i]!(says)
      const [topic, payload, choice] = given[i]!
      const isNone = kind === 'refused' || kind === 'unsent'
      if (isNone && choice?.retain && payload !== '') this.#host.spares(topic)
    }
    return answers
  }

  async subscribe(
    filters: string | readonly (string | Subscription)[],
    options: SubscribeOptions = {},
  ): Promise<PeerAnswer> {
    await this.#host.turn(1)
    const { length } = [filters].flat()
    const what = typeof filters === 'string' ? this.#host.shown(filters) : `${length} filters`
    const add = this.#note(`SUBSCRIBE ${what} at QoS ${options.qos ?? 0}`)
    const [answer] = await this.#send([subscribe(filters, options)])
    add(answer!.says)
    return answer!
  }

  /**
   * @returns the time to the broker and back in ms; null if a PINGREQ has no answer, or the
   *   connection has ended.
   */
  async roundTrip(): Promise<number | null> {
    const { clock, signal, patienceMs } = this.#host
    const ping = this.#loop.ping().then(
      ({ roundTripMs }) => roundTripMs,
      () => null,
    )
    return orNullAfter(clock, patienceMs, signal, ping)
  }

  /** Acknowledges a message. */
  ack(message: IncomingPublish): void {
    this.#loop.ack(message)
  }

  /**
   * @returns whether something became true about what came, before the connection ended or `ms`
   *   were over.
   */
  async until(isTrue: () => boolean, ms = this.#host.patienceMs): Promise<boolean> {
    const { clock, signal } = this.#host
    let watch = () => {}
    const happens = new Promise<void>((resolve) => {
      watch = () => {
        if (isTrue() || this.ended !== null) resolve()
      }
      this.#watchers.add(watch)
      watch()
    })
    try {
      await orNullAfter(clock, ms, signal, happens)
      return isTrue()
    } finally {
      this.#watchers.delete(watch)
    }
  }

  /** Ends the connection without DISCONNECT, as a network that fails does. */
  async cut(): Promise<void> {
    this.#note('the connection is cut without DISCONNECT')
    this.#isCut = true
    this.#hints.push('offline')
    await this.#reading
  }

  /** Ends the connection in order. */
  async close(): Promise<void> {
    this.#requests.end()
    await this.#loop.return().catch(() => {})
    this.#hints.end()
    await this.#reading
  }

  /** What a program that is killed cannot remove ends by itself, where MQTT 5 can do it. */
  #mortal(options: PublishChoice, payload: string): PublishChoice {
    if (!options.retain || payload === '' || this.version !== 5) return options
    return { ...options, properties: { messageExpiryInterval: RETAINED_S, ...options.properties } }
  }

  async #send(requests: readonly Request[], ms?: number): Promise<readonly PeerAnswer[]> {
    const outcomes = new Map<Request, Outcome>()
    for (const request of requests) {
      this.#outcomes.set(request, (outcome) => {
        outcomes.set(request, outcome)
        this.#look()
      })
      this.#requests.push(request)
    }
    await this.until(() => outcomes.size === requests.length, ms)
    for (const [request, { packet }] of outcomes) {
      if (packet?.cmd === 'pubcomp') await this.until(() => this.#pubrecs.has(request))
    }
    return requests.map((request) => {
      const outcome = outcomes.get(request)
      if (outcome !== undefined) return answerOf(outcome, this.#pubrecs.get(request))
      if (this.ended === null) return { ...UNANSWERED, kind: 'silence', says: 'no answer' }
      return { ...UNANSWERED, kind: 'closed', says: reasonWords(this.ended) }
    })
  }

  async #read(): Promise<void> {
    try {
      for await (const packet of this.#loop) {
        if (packet.cmd === 'connack') this.connack = packet
        if (packet.cmd === 'publish') this.#took(packet)
        if (packet.cmd === 'pubrec') this.#pubrecs.set(packet.request, packet.reasonCode ?? 0)
        this.#look()
      }
      this.ended ??= 'the connection was closed'
    } catch (error) {
      this.ended = error
      if (this.connack !== null && !this.#isCut) this.#note(`the end: ${reasonWords(error)}`)
    }
    this.#look()
  }

  #took(packet: IncomingPublish): void {
    this.messages.push(packet)
    if (this.messages.length > NOTED_MAX) return
    const { topic, payload, qos, retain, dup, properties } = packet
    const identifiers = [properties?.subscriptionIdentifier ?? []].flat()
    const expiry = properties?.messageExpiryInterval
    const details = [
      `QoS ${qos}`,
      ...(retain ? ['retained'] : []),
      ...(dup ? ['with DUP'] : []),
      ...(identifiers.length === 0 ? [] : [`subscription identifier ${identifiers.join(' and ')}`]),
      ...(expiry === undefined ? [] : [`${expiry} s to live`]),
    ]
    const what = payload.length > 20 ? `${payload.length} bytes` : `"${text(payload)}"`
    this.#note(`received ${what} on ${this.#host.shown(topic)} (${details.join(', ')})`)
  }

  #look(): void {
    for (const watch of this.#watchers) watch()
  }

  #note(what: string): (answer: string) => void {
    return this.#host.note(`${this.name}: ${what}`)
  }
}

function publishText(topic: string, payload: string, choice: PublishChoice = {}): string {
  const kind = `${choice.retain ? 'retained ' : ''}PUBLISH`
  const what = payload.length > 20 ? `${payload.length} bytes` : `"${payload}"`
  return `${kind} ${what} to ${topic} at QoS ${choice.qos ?? 0}`
}

const UNANSWERED = { codes: [], packet: null } as const

function answerOf(outcome: Outcome, pubrec: number | undefined): PeerAnswer {
  const packet = outcome.packet as
    | { readonly cmd: string; readonly granted?: readonly number[]; readonly reasonCode?: number }
    | undefined
  const reason = pubrec ?? packet?.reasonCode
  const codes = packet?.granted ?? (reason === undefined ? [] : [reason])
  const answered = { codes, packet: packet?.cmd ?? null }
  if (outcome.ok) {
    const shown = codes.length > 4 ? '' : codes.map((code) => ` ${code}`).join('')
    const says = packet === undefined ? 'sent' : `${packet.cmd.toUpperCase()}${shown}`
    return { ...answered, kind: 'accepted', says }
  }
  const says = reasonWords(outcome.error)
  if (packet !== undefined) return { ...answered, kind: 'refused', says }
  const { code } = outcome.error as { readonly code?: string }
  return { ...answered, kind: REFUSED_HERE.test(code ?? '') ? 'unsent' : 'closed', says }
}

/** The codes of requests that the loop does not send because the CONNACK excludes them. */
const REFUSED_HERE = /_NOT_SUPPORTED$|^PACKET_TOO_LARGE$/

/** @returns an error or a reason in words: the first line of its message. */
export function reasonWords(reason: unknown): string {
  const words = reason instanceof Error ? reason.message : String(reason)
  return withoutControls(words.split('\n')[0]!.slice(0, 300))
}

/**
 * What a broker sends may go to a terminal.
 * @returns the text with every control character as `\u001b`.
 */
export function withoutControls(words: string): string {
  return words.replace(CONTROLS, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g
