/**
 * What does a message ask a responder for, in which wire, and where may the answer go? (Q7, an
 * expired request is not executed; Q10, a request cannot make a responder publish anywhere)
 */
import { type IncomingPublish, matches, type UserProperties, validateTopic } from '../../index.ts'
import { property, WIRE_NAMES, wholeNumberIn } from './answers.ts'
import { latin1Of } from './correlation.ts'
import { type EnvelopedRequest, readRequest } from './envelope.ts'

/** A request, in whichever wire it came. */
export interface Asked {
  readonly wire: 'plain' | 'envelope'
  /** Where the answer goes; null if none is wanted. */
  readonly replyTo: string | null
  /** What the answer carries: bytes as one character each (plain), or the `id` (envelope). */
  readonly correlation: string
  /** The same as bytes (plain); undefined if there is nothing to carry. */
  readonly data: Uint8Array | undefined
  /** By this a repetition is recognized; null if there is none, or it cannot be recognized. */
  readonly key: string | null
  readonly attempt: number
  /** How long somebody waits, in ms from now; undefined if the request does not say. */
  readonly expiresMs: number | undefined
  readonly payload: Uint8Array
  readonly contentType: string | undefined
  readonly userProperties: UserProperties
}

const NO_PROPERTIES: UserProperties = Object.freeze(Object.create(null))

/** What most handlers do not ask for is read when it is asked for. */
class PlainAsked implements Asked {
  readonly replyTo: string | null
  readonly data: Uint8Array | undefined
  readonly key: string | null
  readonly expiresMs: number | undefined
  readonly payload: Uint8Array
  readonly #properties: IncomingPublish['properties'] | undefined

  constructor({ payload, properties }: AskingMessage) {
    this.#properties = properties
    this.payload = payload
    this.replyTo = properties?.responseTopic ?? null
    const data = properties?.correlationData
    this.data = data?.length === 0 ? undefined : data
    const seconds = properties?.messageExpiryInterval
    this.expiresMs = seconds === undefined ? undefined : seconds * 1000
    const key = property(properties?.userProperties, WIRE_NAMES.key)
    this.key = key ?? keyOfAttempt(this)
  }

  get wire(): 'plain' {
    return 'plain'
  }

  get correlation(): string {
    return this.data === undefined ? '' : latin1Of(this.data)
  }

  get attempt(): number {
    return Math.max(1, wholeNumberIn(property(this.userProperties, WIRE_NAMES.attempt)))
  }

  get contentType(): string | undefined {
    return this.#properties?.contentType
  }

  get userProperties(): UserProperties {
    return this.#properties?.userProperties ?? NO_PROPERTIES
  }
}

/** @returns what a message asks for. */
export function readAsked(message: AskingMessage): Asked {
  if (message.properties?.responseTopic === undefined) {
    const enveloped = readRequest(message.payload)
    if (enveloped !== null) return askedInEnvelope(enveloped)
  }
  return new PlainAsked(message)
}

interface AskingMessage {
  readonly payload: Uint8Array
  readonly properties: IncomingPublish['properties'] | undefined
}

function askedInEnvelope(request: EnvelopedRequest): Asked {
  const { id, reply, expires, key, attempt, payload, contentType, userProperties } = request
  return {
    wire: 'envelope',
    replyTo: reply,
    correlation: id,
    data: undefined,
    key: key ?? keyOfAttempt({ replyTo: reply, correlation: id }),
    attempt,
    expiresMs: expires,
    payload,
    contentType,
    userProperties,
  }
}

/** A requester that gives no key repeats a request with the same correlation at most. */
export function keyOfAttempt({
  replyTo,
  correlation,
}: Pick<Asked, 'replyTo' | 'correlation'>): string | null {
  return replyTo === null || correlation === '' ? null : `\u0000${replyTo}\u0000${correlation}`
}

/**
 * @param allowed filters of the topics to which answers may go; undefined allows all.
 * @returns whether an answer may be published to a topic that a request names.
 */
export function mayAnswer(topic: string, allowed: readonly string[] | undefined): boolean {
  if (topic.startsWith('$') || validateTopic(topic) !== null) return false
  return allowed?.some((filter) => matches(filter, topic)) ?? true
}

/** Whether an answer is wanted. */
export function hasReplyTopic(asked: Asked): asked is Asked & { readonly replyTo: string } {
  return asked.replyTo !== null
}

/** @returns the properties with which a codec reads a request. */
export function propertiesRead(
  properties: IncomingPublish['properties'],
  { contentType }: Asked,
): IncomingPublish['properties'] {
  return properties ?? (contentType === undefined ? undefined : { contentType })
}

/** Whether two requests are the same attempt of one operation. */
export function isSameAttempt(a: Asked, b: Asked): boolean {
  return a.replyTo === b.replyTo && a.correlation === b.correlation
}
