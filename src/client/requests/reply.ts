/**
 * How is an answer written, in the wire in which it was asked for? (docs/WIRE.md)
 */
import type { PublishProperties, PublishRequest, QoS, UserProperties } from '../../index.ts'
import { WIRE_NAMES } from './answers.ts'
import type { Asked } from './asked.ts'
import { writeEnvelope } from './envelope.ts'
import { STATUS } from './statuses.ts'

/** An answer, whoever asks for it. */
export interface Reply {
  readonly status: number
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly payload: string | Uint8Array
  readonly contentType?: string | undefined
  readonly payloadFormatIndicator?: boolean | undefined
  readonly userProperties?: UserProperties | undefined
}

/** The place of an answer in a stream. */
interface StreamPlace {
  readonly seq: number
  readonly last: boolean
  /** The topic for credit and cancels, with the first part. */
  readonly control: string | undefined
}

const EMPTY = ''

export function failure(status: number, message?: string, code?: string): Reply {
  return { status, code, message, payload: EMPTY }
}

export const BUSY = failure(STATUS.busy)
export const KEY_REUSED = failure(STATUS.keyReused)
export const TOO_SLOW = failure(STATUS.timeout)
export const NOTHING_TO_SAY = failure(STATUS.nothing)

/** What an answer costs in memory, in bytes. */
export function bytesOfReply({ payload, message = '', userProperties }: Reply): number {
  const properties = userProperties === undefined ? 0 : JSON.stringify(userProperties).length
  return payload.length + 2 * message.length + properties
}

/**
 * @param remainingMs until nobody waits any more; more than 0.
 * @returns the publish of an answer.
 */
export function writeReply(
  asked: Asked & { readonly replyTo: string },
  reply: Reply,
  qos: QoS,
  remainingMs: number,
  part?: StreamPlace,
): PublishRequest {
  const topic = asked.replyTo
  const { status, code, message, payload, contentType, payloadFormatIndicator } = reply
  if (asked.wire === 'envelope') {
    const fields = {
      id: asked.correlation,
      status,
      code,
      message,
      ...(part === undefined ? {} : { ...part, last: part.last || undefined }),
      contentType,
      properties: reply.userProperties,
    }
    return { cmd: 'publish', topic, qos, payload: writeEnvelope(fields, payload) }
  }
  const userProperties: UserProperties = {
    ...reply.userProperties,
    [WIRE_NAMES.status]: status === STATUS.done ? '200' : String(status),
  }
  if (code !== undefined) userProperties[WIRE_NAMES.code] = code
  if (message !== undefined) userProperties[WIRE_NAMES.message] = message
  if (part !== undefined) {
    userProperties[WIRE_NAMES.seq] = String(part.seq)
    if (part.last) userProperties[WIRE_NAMES.last] = '1'
    if (part.control !== undefined) userProperties[WIRE_NAMES.control] = part.control
  }
  const properties: PublishProperties = {
    correlationData: asked.data,
    messageExpiryInterval: Math.ceil(remainingMs / 1000),
    contentType,
    payloadFormatIndicator,
    userProperties,
  }
  return { cmd: 'publish', topic, qos, payload, properties }
}
