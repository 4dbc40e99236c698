/** Which event is a message, and what does it say? Nothing that others send is trusted. */
import type { Message } from '../client/index.ts'
import { type PayloadIssue, ProtocolError, type UserProperties } from '../index.ts'
import type { Api } from './api-types.ts'
import {
  apiTopic,
  BUS_PROPERTIES,
  inQuotes,
  listenerShare,
  redriveCountIn,
  redriveTopics,
  textOfLevel,
} from './bus-names.ts'
import { type BusParts, headerOf } from './bus-parts.ts'
import { placeText } from './calling.ts'
import { checkEnvelope, type EventEnvelope, envelopeOf } from './event-envelope.ts'
import type { ListenerPlan } from './listener-plan.ts'
import type { BusEvent } from './listener-types.ts'
import { refusedRemotely } from './schema/remote-schemas.ts'

/** The longest text of another process that is kept of what it says about an event. */
const CLAIM_LENGTH_MAX = 400
/** Payload format invalid. (2.4) */
const UNFIT_REASON_CODE = 0x99

/** An event that somebody listens to. */
export interface EventSource {
  readonly api: Api
  readonly event: string
}

/** Whence a message comes. */
interface Origin {
  readonly source: EventSource
  /** The topic to which it was fired, which is not its own if it was put back. */
  readonly topic: string
  readonly key: string | null
}

export class ReceivedEvent implements BusEvent {
  readonly message: Message
  readonly source: EventSource
  readonly envelope: EventEnvelope
  readonly id: string | null
  readonly dedupeId: string | null
  readonly key: string | null
  /** The topic to which it was fired. */
  readonly topic: string
  value: unknown
  attempt = 1
  /** Its message was acknowledged, or is about to be: when. Null: it is not. */
  settling: Promise<void> | null = null
  readonly #ack: (event: ReceivedEvent) => void

  constructor(
    message: Message,
    { source, topic, key }: Origin,
    owner: string,
    ack: (event: ReceivedEvent) => void,
  ) {
    this.message = message
    this.source = source
    this.topic = topic
    this.key = key
    this.#ack = ack
    this.envelope = envelopeOf(message)
    const { id } = this.envelope
    this.id = id === null || id === '' || id.length > CLAIM_LENGTH_MAX ? null : id
    // An event that was put back is a new one for what recognizes events.
    const times = topic === message.topic ? 0 : redriveCountIn(message.properties?.userProperties)
    this.dedupeId = this.#nameAt(times === 0 ? owner : `${owner}~${times}`)
  }

  get api(): string {
    return this.source.api.name
  }

  get event(): string {
    return this.source.event
  }

  /** @returns what recognizes it at a listener; null if it cannot be recognized. */
  #nameAt(owner: string): string | null {
    const { id, envelope } = this
    const { source, fault } = envelope
    // What is malformed may be sent again under its name, and be right.
    if (id === null || fault !== null) return null
    if (source === null) return `${owner}/${id}`
    // CloudEvents are the same if source and id are; a source has no spaces.
    return source.length > CLAIM_LENGTH_MAX ? null : `${owner}+ce/${source} ${id}`
  }

  get headers(): UserProperties {
    return this.envelope.headers
  }

  get version(): string | null {
    return this.envelope.version
  }

  get by(): string | null {
    return this.envelope.by?.slice(0, CLAIM_LENGTH_MAX) ?? null
  }

  get firedAt(): number | null {
    return this.envelope.firedAt
  }

  get redelivered(): boolean {
    return this.message.redelivered
  }

  get payload(): Uint8Array {
    return this.message.payload
  }

  ack(): void {
    this.#ack(this)
  }
}

/** Reads the messages of one listener. */
export class EventReader {
  readonly #bus: BusParts
  readonly #sources: readonly (EventSource & { readonly topic: string })[]
  readonly #owner: string
  /** Where dead letters come back. */
  readonly #redriven: string
  readonly #ack: (event: ReceivedEvent) => void
  readonly filters: readonly string[]

  constructor(
    bus: BusParts,
    plan: ListenerPlan,
    sources: readonly EventSource[],
    ack: (event: ReceivedEvent) => void,
  ) {
    this.#bus = bus
    this.#ack = ack
    this.#owner = listenerShare(bus.service, plan.name)
    this.#sources = sources.map(({ api, event }) => ({
      ...{ api, event, topic: `${apiTopic(bus.prefix, api)}/event/${event}` },
    }))
    const share = plan.isShared ? `$share/${this.#owner}/` : ''
    const topics = this.#sources.map(({ api, topic }) =>
      plan.isWholeApi ? `${apiTopic(bus.prefix, api)}/event/#` : `${topic}/#`,
    )
    const { prefix, service } = bus
    this.#redriven = `${redriveTopics({ prefix, service, listener: plan.name })}/`
    this.filters = [...new Set(topics), `${this.#redriven}#`].map((topic) => share + topic)
  }

  /** @returns the event of a message, or null if the listener does not listen to it. */
  read(message: Message): ReceivedEvent | null {
    // Events happen now: one that the server has kept is none.
    if (message.retain) return null
    const { topic } = message
    const origin = topic.startsWith(this.#redriven)
      ? this.#originOfRedriven(message)
      : this.#originOf(topic)
    return origin === null ? null : new ReceivedEvent(message, origin, this.#owner, this.#ack)
  }

  #originOf(topic: string): Origin | null {
    const source = this.#sources.find(
      (one) => topic === one.topic || topic.startsWith(`${one.topic}/`),
    )
    if (source === undefined) return null
    const level = topic.slice(source.topic.length + 1)
    if (level.includes('/')) return null
    return { source, topic, key: topic === source.topic ? null : textOfLevel(level) }
  }

  /** Without MQTT 5 a dead letter has no topic but its own: then it has no key either. */
  #originOfRedriven({ topic, properties }: Message): Origin | null {
    const said = headerOf(properties?.userProperties, BUS_PROPERTIES.topic)
    if (said !== null) return this.#originOf(said)
    const name = topic.slice(this.#redriven.length)
    const source = this.#sources.find(({ api, event }) => name === `${api.name}/${event}`)
    return source === undefined ? null : { source, topic: source.topic, key: null }
  }

  /** @returns the value. @throws ProtocolError `INVALID_PAYLOAD`; what the codec throws. */
  decode({ api, envelope, message }: ReceivedEvent): unknown {
    checkEnvelope(envelope, message.topic)
    return envelope.decode(this.#bus.termsOf(api).codec)
  }

  /** @returns what the schema makes of a value. @throws ProtocolError `INVALID_PAYLOAD` */
  async validated({ source, message }: ReceivedEvent, value: unknown): Promise<unknown> {
    const { name, events } = source.api
    const { payload } = events[source.event]!
    const { validate } = this.#bus.termsOf(name)
    if (validate.remote) await this.#refuse(source, message, value)
    // A later minor version may say more.
    if (payload === undefined) return undefined
    if (!validate.incoming) return value
    const checked = await this.#bus.checks.check(payload, value)
    if (checked.issues === undefined) return checked.value
    throw invalidEvent(message, placeText(checked.issues), checked.issues)
  }

  /** @throws ProtocolError if who serves the API has published that there is no such event. */
  async #refuse({ api, event }: EventSource, message: Message, value: unknown): Promise<void> {
    const what = `the payload of ${api.name} ${event}`
    const refusal = await refusedRemotely(this.#bus, { api, place: { event }, what }, value)
    if (refusal !== null) throw invalidEvent(message, refusal.text, refusal.issues)
  }
}

function invalidEvent(
  { topic }: Message,
  text: string,
  issues: readonly PayloadIssue[],
): ProtocolError {
  return new ProtocolError(`the payload of an event on ${inQuotes(topic)} ${text}`, {
    code: 'INVALID_PAYLOAD',
    reasonCode: UNFIT_REASON_CODE,
    clause: 'schema of the API',
    retryable: false,
    issues,
  })
}
