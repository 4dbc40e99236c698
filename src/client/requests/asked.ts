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
  /** By this a repetition is recognized; null if there is nothing to recognize it by. */
  readonly key: string | null
  readonly attempt: number
  /** How long somebody waits, in ms from now; undefined if the request does not say. */
  readonly expiresMs: number | undefined
  readonly payload: Uint8Array
  readonly contentType: string | undefined
  readonly userProperties: UserProperties
}

const NO_PROPERTIES: UserProperties = Object.freeze(Object.create(null))

/** @returns what a message asks for. */
export function readAsked({ payload, properties }: AskingMessage): Asked {
  if (properties?.responseTopic === undefined) {
    const enveloped = readRequest(payload)
    if (enveloped !== null) return askedInEnvelope(enveloped)
  }
  const user = properties?.userProperties
  const replyTo = properties?.responseTopic ?? null
  const data = properties?.correlationData
  const correlation = data === undefined ? '' : latin1Of(data)
  const seconds = properties?.messageExpiryInterval
  return {
    wire: 'plain',
    replyTo,
    correlation,
    key: property(user, WIRE_NAMES.key) ?? keyOfAttempt(replyTo, correlation),
    attempt: Math.max(1, wholeNumberIn(property(user, WIRE_NAMES.attempt))),
    expiresMs: seconds === undefined ? undefined : seconds * 1000,
    payload,
    contentType: properties?.contentType,
    userProperties: user ?? NO_PROPERTIES,
  }
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
    key: key ?? keyOfAttempt(reply, id),
    attempt,
    expiresMs: expires,
    payload,
    contentType,
    userProperties,
  }
}

/** A requester that gives no key repeats a request with the same correlation at most. */
function keyOfAttempt(replyTo: string | null, correlation: string): string | null {
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
