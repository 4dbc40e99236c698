/**
 * How does a session become text, and text a session? One line names the format and a checksum, the
 * other is JSON.
 */

import { base64Text } from '#bytes'
import { sha256Hex } from '#runtime'
import { UsageError } from '../errors.ts'
import { Session } from './session.ts'
import type { SessionRecord } from './session-records.ts'
import type { Base64, SentRequest } from './vocabulary.ts'

const SESSION_MAGIC = 'it-mqtt session'
const SESSION_FORMAT = 1

/**
 * @returns the session as text, with version, client identifier and checksum.
 * @throws UsageError for anything but a `Session`.
 */
export function encodeSession(session: Session): string {
  if (!(session instanceof Session)) {
    throw new UsageError('session must be a Session, as `loop.session` gives it')
  }
  const record = session.record()
  const held = record.held.map((one) => ({ ...one, request: textual(one.request) }))
  const body = JSON.stringify({ ...record, held })
  return `${SESSION_MAGIC} ${SESSION_FORMAT} ${sha256Hex(body)}\n${body}\n`
}

/** @throws UsageError if the text is damaged, foreign, or of a later format. */
export function decodeSession(text: string): Session {
  if (typeof text !== 'string') throw new UsageError('session must be a text')
  const [head = '', body = '', ...tail] = text.split('\n')
  const match = /^it-mqtt session (\d+) ([0-9a-f]{64})$/.exec(head)
  if (match === null) {
    throw new UsageError(
      'session: this is not the text of a session (its first line does not say so)',
    )
  }
  if (Number(match[1]) !== SESSION_FORMAT) {
    throw new UsageError(
      `session: format ${match[1]} is unknown, this version reads format ${SESSION_FORMAT}`,
    )
  }
  if (sha256Hex(body) !== match[2] || tail.length !== 1 || tail[0] !== '') {
    throw new UsageError(
      'session: the text is damaged (its checksum does not match); use an earlier copy or none',
    )
  }
  const saved = parseRecord(body)
  return new Session(saved, { record: saved })
}

function parseRecord(body: string): SessionRecord {
  let saved: Partial<SessionRecord> | null = null
  try {
    saved = JSON.parse(body)
  } catch {
    // The checksum is right, so somebody made this text: the error below says what is wrong with
    // it.
  }
  const lists = [saved?.held, saved?.received, saved?.subscriptions, saved?.settling]
  const numbers = [saved?.nextMessageId, saved?.nextOrder, saved?.nextDeliveryId]
  const whole =
    typeof saved?.clientId === 'string' &&
    lists.every((list) => Array.isArray(list)) &&
    numbers.every((number) => Number.isInteger(number))
  if (!whole) throw new UsageError('session: the text holds no session')
  return saved as SessionRecord
}

/** @returns a request as plain JSON: bytes as Base64, and without its signal. */
export function textual(request: SentRequest): object {
  const { signal, ...plain } = request
  if (plain.cmd !== 'publish') return plain
  const { payload, properties, ...rest } = plain
  return {
    ...rest,
    ...(payload === undefined ? {} : { payload: bytesAsText(payload) }),
    ...(properties === undefined ? {} : { properties: textualProperties(properties) }),
  }
}

function textualProperties<T extends { readonly correlationData?: BinaryField | undefined }>(
  properties: T,
) {
  const { correlationData } = properties
  if (correlationData === undefined) return properties
  return { ...properties, correlationData: bytesAsText(correlationData) }
}

type BinaryField = string | Uint8Array | Base64 | undefined

function bytesAsText(value: string | Uint8Array | Base64): string | Base64 {
  return value instanceof Uint8Array ? { base64: base64Text(value) } : value
}
