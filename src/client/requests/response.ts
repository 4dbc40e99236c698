/**
 * What does a requester get for an answer? A response whose payload is decoded and validated, or an
 * error.
 */
import { type IncomingPublish, ProtocolError, UsageError } from '../../index.ts'
import { shown } from '../check-options.ts'
import type { Codec } from '../codec.ts'
import { invalidIncoming, schemaFault } from '../invalid-payload.ts'
import type { Response } from '../request-types.ts'
import { type StandardSchema, validateWith } from '../standard-schema.ts'
import type { GivenAnswer } from './answers.ts'
import { whyOf } from './request-errors.ts'
import { refusalByRemote } from './statuses.ts'

/** How payloads are read; null if as bytes. */
export interface Reading {
  readonly codec: Codec<unknown> | undefined
  readonly schema: StandardSchema<unknown, unknown> | undefined
}

/** The reason code of a payload that is not in its format. */
const PAYLOAD_FORMAT_INVALID = 0x99
const NO_CODEC: Reading = { codec: undefined, schema: undefined }

class AnswerResponse implements Response<unknown> {
  readonly payload: Uint8Array
  readonly value: unknown
  readonly status: number
  readonly properties: IncomingPublish['properties']
  readonly via: 'mqtt' | 'fallback'

  constructor(answer: GivenAnswer, value: unknown, via: 'mqtt' | 'fallback') {
    this.payload = answer.payload
    this.value = value
    this.status = answer.status
    this.properties = answer.properties
    this.via = via
  }
}

/** @returns how payloads are read with these options. */
export function readingOf(options: {
  readonly codec?: Codec<never> | undefined
  readonly schema?: StandardSchema<unknown, never> | undefined
}): Reading {
  const { codec, schema } = options
  if (codec === undefined && schema === undefined) return NO_CODEC
  return { codec: codec as unknown as Codec<unknown>, schema }
}

/** @throws what the codec or the schema throws. */
export function decodedValue(
  { codec, schema }: Reading,
  topic: string,
  payload: Uint8Array,
  properties: IncomingPublish['properties'],
): unknown {
  if (codec === undefined && schema === undefined) return payload
  const value = codec === undefined ? payload : codec.decode(payload, { topic, properties })
  if (schema === undefined) return value
  const validated = validateWith(schema, value)
  if (validated.issues) throw invalidIncoming(topic, schemaFault(validated.issues))
  return validated.value
}

/**
 * @returns the response of an answer.
 * @throws RefusedError for an answer that says no, ProtocolError `INVALID_RESPONSE`.
 */
export function responseOf(
  reading: Reading,
  topic: string,
  answer: GivenAnswer,
  via: 'mqtt' | 'fallback' = 'mqtt',
): Response<never> {
  if (answer.status >= 400) throw refusalByRemote(topic, answer, dataOf(reading, topic, answer))
  // There is nothing to decode in an answer that has nothing to say.
  if (answer.status === 204 && answer.payload.length === 0) {
    return new AnswerResponse(answer, undefined, via) as Response<never>
  }
  try {
    const value = decodedValue(reading, topic, answer.payload, answer.properties)
    return new AnswerResponse(answer, value, via) as Response<never>
  } catch (cause) {
    throw invalidResponse(topic, whyOf(cause), cause)
  }
}

/** @returns the data of a refusal. They are no reason to hide the refusal if they are not valid. */
function dataOf({ codec }: Reading, topic: string, { payload, properties }: GivenAnswer): unknown {
  if (payload.length === 0) return undefined
  try {
    return decodedValue({ codec, schema: undefined }, topic, payload, properties)
  } catch {
    return payload
  }
}

export function invalidResponse(topic: string, why: string, cause?: unknown): ProtocolError {
  return new ProtocolError(`request to ${topic}: the response cannot be used: ${why}`, {
    code: 'INVALID_RESPONSE',
    reasonCode: PAYLOAD_FORMAT_INVALID,
    clause: '3.3.2.3.2',
    retryable: false,
    ...(cause === undefined ? {} : { cause }),
  })
}

/** What `encodeValue` returns: a payload, and what its codec says about it. */
interface Encoded {
  readonly payload: string | Uint8Array
  readonly contentType?: string | undefined
  readonly payloadFormatIndicator?: boolean | undefined
}

const NOTHING: Encoded = { payload: '' }

/**
 * @param what names the call, for the error.
 * @throws UsageError for a value that is neither text nor bytes if there is no codec.
 */
export function encodeValue(
  what: string,
  value: unknown,
  codec: Codec<unknown> | undefined,
): Encoded {
  if (value === undefined) return NOTHING
  if (codec !== undefined) {
    const { contentType, payloadFormatIndicator } = codec
    return { payload: codec.encode(value), contentType, payloadFormatIndicator }
  }
  if (typeof value === 'string' || value instanceof Uint8Array) return { payload: value }
  const given = shown(value)
  throw new UsageError(`${what}: the payload must be text or bytes, not ${given}; give a codec`)
}
