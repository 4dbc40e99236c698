/** Which event is a message, and what does it say? Nothing that others send is trusted. */
import type { Message } from '../client/index.ts'
import { ProtocolError, type UserProperties } from '../index.ts'
import type { Api } from './api-types.ts'
import { apiTopic, BUS_PROPERTIES, inQuotes, listenerShare, textOfLevel } from './bus-names.ts'
import { type BusParts, headerOf } from './bus-parts.ts'
import { placeText } from './calling.ts'
import type { ListenerPlan } from './listener-plan.ts'
import type { BusEvent } from './listener-types.ts'
import { versionIn } from './serving.ts'

/** The longest text of another process that is kept of what it says about an event. */
const CLAIM_LENGTH_MAX = 400
/** Payload format invalid. (2.4) */
const UNFIT_REASON_CODE = 0x99
const NO_EVENT_HEADERS: UserProperties = Object.freeze({})

/** An event that somebody listens to. */
export interface EventSource {
  readonly api: Api
  readonly event: string
}

export class ReceivedEvent implements BusEvent {
  readonly message: Message
  readonly source: EventSource
  readonly id: string | null
  readonly dedupeId: string | null
  readonly key: string | null
  value: unknown
  attempt = 1
  /** Whether its message was acknowledged, or is about to be. */
  isSettled = false
  readonly #ack: (event: ReceivedEvent) => void

  constructor(
    message: Message,
    source: EventSource,
    key: string | null,
    owner: string,
    ack: (event: ReceivedEvent) => void,
  ) {
    this.message = message
    this.source = source
    this.key = key
    this.#ack = ack
    const id = headerOf(this.headers, BUS_PROPERTIES.key)
    this.id = id === null || id === '' || id.length > CLAIM_LENGTH_MAX ? null : id
    this.dedupeId = this.id === null ? null : `${owner}/${this.id}`
  }

  get api(): string {
    return this.source.api.name
  }

  get event(): string {
    return this.source.event
  }

  get headers(): UserProperties {
    return this.message.properties?.userProperties ?? NO_EVENT_HEADERS
  }

  get version(): string | null {
    return versionIn(this.headers)
  }

  get by(): string | null {
    return headerOf(this.headers, BUS_PROPERTIES.by)?.slice(0, CLAIM_LENGTH_MAX) ?? null
  }

  get firedAt(): number | null {
    const at = Date.parse(headerOf(this.headers, BUS_PROPERTIES.at) ?? '')
    return Number.isNaN(at) ? null : at
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
    this.filters = [...new Set(topics)].map((topic) => share + topic)
  }

  /** @returns the event of a message, or null if the listener does not listen to it. */
  read(message: Message): ReceivedEvent | null {
    const { topic } = message
    // Events happen now: one that the server has kept is none.
    if (message.retain) return null
    const source = this.#sources.find(
      (one) => topic === one.topic || topic.startsWith(`${one.topic}/`),
    )
    if (source === undefined) return null
    const level = topic.slice(source.topic.length + 1)
    if (level.includes('/')) return null
    const key = topic === source.topic ? null : textOfLevel(level)
    return new ReceivedEvent(message, source, key, this.#owner, this.#ack)
  }

  /** @returns the value of the payload. @throws what the codec throws. */
  decode({ message }: ReceivedEvent): unknown {
    const { topic, properties } = message
    return this.#bus.codec.decode(message.payload, { topic, properties })
  }

  /** @returns what the schema makes of a value. @throws ProtocolError `INVALID_PAYLOAD` */
  async validated({ source, message }: ReceivedEvent, value: unknown): Promise<unknown> {
    const { name, events } = source.api
    const { payload } = events[source.event]!
    // A later minor version may say more.
    if (payload === undefined) return undefined
    if (!this.#bus.termsOf(name).validate.incoming) return value
    const checked = await this.#bus.checks.check(payload, value)
    if (checked.issues === undefined) return checked.value
    throw new ProtocolError(
      `the payload of an event on ${inQuotes(message.topic)} ${placeText(checked.issues)}`,
      {
        code: 'INVALID_PAYLOAD',
        reasonCode: UNFIT_REASON_CODE,
        clause: 'schema of the API',
        retryable: false,
        issues: checked.issues,
      },
    )
  }
}
