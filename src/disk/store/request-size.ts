/**
 * How large is a request, and when does it expire? A queue asks this for every message, so it must
 * be cheap.
 */
import { byteLength } from '#bytes'
import { isBytes } from '../../platform/is-bytes.ts'
import type { PublishRequest, SentRequest } from '../../requests/vocabulary.ts'

/** @returns the bytes of topic, payload, filters and properties: what a bound in bytes counts. */
export function requestBytes(request: SentRequest): number {
  if (request.cmd !== 'publish') return jsonLength(request)
  const { topic, payload, properties } = request
  const topicBytes = typeof topic === 'string' ? topic.length : 0
  return topicBytes + payloadBytes(payload) + jsonLength(properties)
}

function payloadBytes(payload: PublishRequest['payload']): number {
  if (payload === undefined) return 0
  if (typeof payload === 'string') return byteLength(payload)
  return isBytes(payload) ? payload.length : jsonLength(payload)
}

/** The size of filters and properties is approximately the length of their JSON. */
function jsonLength(value: unknown): number {
  return value === undefined ? 0 : JSON.stringify(value).length
}

/** @returns when the request expires, in ms of the wall clock, or 0 if it never does. */
export function expiryOf(request: SentRequest, now: () => number): number {
  if (request.cmd !== 'publish' || request.properties === undefined) return 0
  const { messageExpiryInterval } = request.properties
  return typeof messageExpiryInterval === 'number' ? now() + messageExpiryInterval * 1000 : 0
}
