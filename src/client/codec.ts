/**
 * How does a value become a payload, and a payload a value? A codec says so; `bytes` and `text` are
 * here, `json` is in json-codec.ts, and users write others of the same shape.
 */
import type { PublishProperties } from '../index.ts'
import { invalidIncoming, invalidOutgoing, payloadFault } from './invalid-payload.ts'

/** What a codec may know of the message that it decodes. */
export interface PayloadContext {
  /** The Topic Name. */
  readonly topic: string
  /** The properties of the PUBLISH, such as `contentType`. MQTT 3.1.1 has none. */
  readonly properties?: PublishProperties | undefined
}

/**
 * Converts between values and payloads.
 *
 * `Value` is the type of received values, `Sent` that of values to publish.
 */
export interface Codec<Value, Sent = Value> {
  /** The Content Type of what is published, if the codec has one. (3.3.2.3.9) */
  readonly contentType?: string | undefined
  /** Whether what is published is marked as UTF-8. Default: it is not marked. (3.3.2.3.2) */
  readonly payloadFormatIndicator?: boolean | undefined
  /**
   * Makes a payload of a value.
   *
   * @returns the payload; text is sent as UTF-8.
   * @throws any error, if the value cannot be sent.
   */
  encode(value: Sent): Uint8Array | string
  /**
   * Makes a value of a payload. The bytes must not be changed.
   *
   * @throws any error, if the payload cannot be read.
   */
  decode(payload: Uint8Array, message: PayloadContext): Value
}

/** @returns whether a value has the two functions of a codec. */
export function isCodec(value: unknown): value is Codec<unknown> {
  if (typeof value !== 'object' || value === null) return false
  const { encode, decode } = value as Partial<Codec<unknown>>
  return typeof encode === 'function' && typeof decode === 'function'
}

/** Payloads as they are. Text may be published too; it is received as bytes. */
export const bytes: Codec<Uint8Array, Uint8Array | string> = Object.freeze({
  encode(value: Uint8Array | string): Uint8Array | string {
    if (value instanceof Uint8Array) return value
    if (typeof value === 'string') return checkedText(value)
    throw invalidOutgoing(payloadFault(`has to be a Uint8Array or a string, not ${typeOf(value)}`))
  },
  decode: (payload: Uint8Array): Uint8Array => payload,
})

/** Made when it is first needed: some runtimes have none that is `fatal`. */
let utf8Decoder: InstanceType<typeof TextDecoder> | null = null

/**
 * Text in UTF-8. A payload that is not UTF-8 is refused, and so is a text with a lone surrogate,
 * which UTF-8 cannot carry. A byte order mark is kept. U+0000 is allowed.
 */
export const text: Codec<string> = Object.freeze({
  payloadFormatIndicator: true,
  encode(value: string): string {
    if (typeof value === 'string') return checkedText(value)
    throw invalidOutgoing(payloadFault(`has to be a string, not ${typeOf(value)}`))
  },
  decode: (payload: Uint8Array, { topic }: PayloadContext): string => decodeUtf8(payload, topic),
})

/** @returns the text of a payload. */
export function decodeUtf8(payload: Uint8Array, topic: string): string {
  try {
    utf8Decoder ??= new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    return utf8Decoder.decode(payload)
  } catch {
    throw invalidIncoming(topic, payloadFault('is not UTF-8'))
  }
}

function checkedText(value: string): string {
  // With the flag `u` the two halves of a pair are one character and no surrogate.
  const at = value.search(/\p{Surrogate}/u)
  if (at < 0) return value
  const problem = `holds a lone surrogate at character ${at}, which UTF-8 cannot carry`
  throw invalidOutgoing(payloadFault(problem))
}

/** @returns how a message names the type of a value, without the value. */
export function typeOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
