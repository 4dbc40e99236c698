/**
 * What does an event say of itself, beside its value? It says so in User Properties of our own, or
 * as a CloudEvent. What is sent is an option of the bus; both are understood at any time.
 */
import type { Codec, Message } from '../client/index.ts'
import { ProtocolError, type UserProperties } from '../index.ts'
import type { Api } from './api-types.ts'
import { BUS_PROPERTIES, inQuotes } from './bus-names.ts'
import { type BusParts, hasProperties, headerOf, headersOf } from './bus-parts.ts'
import { CloudEvent, cloudEventHeaders, isCloudEvent } from './cloud-event.ts'
import { claimedBy, versionIn } from './serving.ts'

/** Payload format invalid. (2.4) */
const UNFIT_ENVELOPE = 0x99
const NO_EVENT_HEADERS: UserProperties = Object.freeze({})

/** What is read of a message. */
type EventMessage = Pick<Message, 'topic' | 'payload' | 'properties'>

/** What a message claims about an event. */
export interface EventEnvelope {
  /** The name of the event, or null. */
  readonly id: string | null
  /** Within what the id is the only one of its kind: the source of a CloudEvent, or null. */
  readonly source: string | null
  readonly version: string | null
  readonly by: string | null
  readonly firedAt: number | null
  readonly headers: UserProperties
  /** Why the event cannot be handled, or null. */
  readonly fault: string | null
  /** @returns the value. @throws what the codec throws. */
  decode(codec: Codec<unknown>): unknown
}

/** @returns what a message claims. Of a property that stands several times the first one counts. */
export function envelopeOf(message: EventMessage): EventEnvelope {
  const { topic, payload, properties } = message
  if (isCloudEvent(properties)) return new CloudEvent(topic, payload, properties)
  return new OwnEnvelope(message)
}

/** Asked again and again, and most of it is never read: nothing is kept. */
class OwnEnvelope implements EventEnvelope {
  readonly #message: EventMessage
  readonly source = null
  readonly fault = null

  constructor(message: EventMessage) {
    this.#message = message
  }

  get headers(): UserProperties {
    return this.#message.properties?.userProperties ?? NO_EVENT_HEADERS
  }

  get id(): string | null {
    return headerOf(this.headers, BUS_PROPERTIES.key)
  }

  get version(): string | null {
    return versionIn(this.headers)
  }

  get by(): string | null {
    return claimedBy(this.headers)
  }

  get firedAt(): number | null {
    const at = Date.parse(headerOf(this.headers, BUS_PROPERTIES.at) ?? '')
    return Number.isNaN(at) ? null : at
  }

  decode(codec: Codec<unknown>): unknown {
    const { topic, payload, properties } = this.#message
    return codec.decode(payload, { topic, properties })
  }
}

/** @throws ProtocolError `INVALID_PAYLOAD` for an event that cannot be handled, whoever tries. */
export function checkEnvelope({ fault }: EventEnvelope, topic: string): void {
  if (fault === null) return
  throw new ProtocolError(`the CloudEvent on ${inQuotes(topic)} ${fault}`, {
    code: 'INVALID_PAYLOAD',
    reasonCode: UNFIT_ENVELOPE,
    clause: 'CloudEvents 1.0',
    retryable: false,
  })
}

/** @returns the User Properties of an event that this process fires. */
export function envelopeHeaders(
  bus: BusParts,
  api: Api,
  name: string,
  id: string,
  headers: UserProperties | undefined,
): UserProperties {
  const at = bus.clock.wallNow?.() ?? Date.now()
  if (bus.envelope === 'cloudevents') return cloudEventHeaders(bus, { id, api, name, at, headers })
  const sent = headersOf(bus, api.version, headers) as Record<string, string>
  sent[BUS_PROPERTIES.key] = id
  sent[BUS_PROPERTIES.at] = firedTime(at)
  return sent
}

let latestAt = Number.NaN
let latestTime = ''

/** @returns the time as ISO 8601 has it. It takes a microsecond, and events come in bursts. */
function firedTime(at: number): string {
  if (at === latestAt) return latestTime
  latestTime = new Date(at).toISOString()
  latestAt = at
  return latestTime
}

const unwrappedTold = new WeakSet<BusParts>()

/**
 * Waits for the first connection.
 * @returns whether events can have an envelope. If not, somebody may wait for CloudEvents in vain:
 *   that is told once.
 */
export async function keepsEnvelope(
  bus: BusParts,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const isKept = await hasProperties(bus.client, options)
  if (isKept || bus.envelope === 'itm' || unwrappedTold.has(bus)) return isKept
  unwrappedTold.add(bus)
  const why = 'the connection is not MQTT 5, whose properties the binary mode needs'
  bus.warn('ENVELOPE_LOST', `events are sent as payloads alone, and not as CloudEvents: ${why}`)
  return isKept
}
