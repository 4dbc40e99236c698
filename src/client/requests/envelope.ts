/**
 * How do requests, responses and credit travel in MQTT 3.1.1? As a JSON object in the payload, the
 * wire `envelope`. (docs/WIRE.md)
 *
 * What comes is the input of strangers. An object with a field that the wire does not have is taken
 * for an application's own JSON, and not for an envelope.
 */
import type { UserProperties } from '../../index.ts'
import type { GivenAnswer } from './answers.ts'

/** A request in an envelope. */
export interface EnvelopedRequest {
  readonly id: string
  readonly reply: string
  /** How long the requester waits, in ms from its arrival. */
  readonly expires: number | undefined
  readonly key: string | undefined
  readonly attempt: number
  readonly payload: Uint8Array
  readonly contentType: string | undefined
  readonly userProperties: UserProperties
}

/** An answer in an envelope, with the `id` of its request. */
interface EnvelopedAnswer {
  readonly id: string
  readonly answer: GivenAnswer
}

/** Credit or a cancel in an envelope. */
interface EnvelopedControl {
  readonly id: string
  /** How many parts may have been sent in all; 0 is a cancel. */
  readonly credit: number
}

type EnvelopeData = Readonly<Record<string, unknown>>

const REQUEST_FIELDS = new Set(
  'id reply expires key attempt payload base64 contentType properties'.split(' '),
)
const ANSWER_FIELDS = new Set(
  'id status code message seq last control payload base64 contentType properties'.split(' '),
)
const ID_MAX = 1024
const OPENING_BRACE = 0x7b
/** JSON that is nested deeper than this is not parsed. */
const NESTING_MAX = 512
/** How deep the fields of an envelope are. */
const ENVELOPE_DEPTH = 2

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @returns a request, or null if the payload is no envelope of one. */
export function readRequest(payload: Uint8Array): EnvelopedRequest | null {
  const fields = readFields(payload, REQUEST_FIELDS)
  if (fields === null) return null
  const { id, reply, expires, key, attempt } = fields
  const body = bodyOf(fields)
  if (!isName(id) || !isName(reply) || body === null) return null
  if (expires !== undefined && !isWhole(expires)) return null
  if (key !== undefined && !isName(key)) return null
  if (attempt !== undefined && !isWhole(attempt)) return null
  return {
    id,
    reply,
    expires,
    key,
    attempt: Math.max(1, attempt ?? 1),
    payload: body,
    contentType: asText(fields.contentType),
    userProperties: userPropertiesOf(fields.properties) ?? {},
  }
}

/** @returns an answer, or null if the payload is no envelope of one. */
export function readAnswer(payload: Uint8Array): EnvelopedAnswer | null {
  const fields = readFields(payload, ANSWER_FIELDS)
  if (fields === null) return null
  const { id, status = 200, seq = -1, last = false } = fields
  const body = bodyOf(fields)
  if (!isName(id) || body === null || !isStatus(status)) return null
  if (typeof last !== 'boolean' || (seq !== -1 && !isWhole(seq))) return null
  const contentType = asText(fields.contentType)
  const userProperties = userPropertiesOf(fields.properties)
  const properties = {
    ...(contentType === undefined ? {} : { contentType }),
    ...(userProperties === undefined ? {} : { userProperties }),
  }
  return {
    id,
    answer: {
      status,
      code: asText(fields.code),
      message: asText(fields.message),
      seq: seq as number,
      last,
      control: asText(fields.control),
      payload: body,
      properties: Object.keys(properties).length === 0 ? undefined : properties,
    },
  }
}

const CONTROL_FIELDS = new Set(['id', 'credit'])

/** @returns credit or a cancel, or null if the payload is no envelope of one. */
export function readControl(payload: Uint8Array): EnvelopedControl | null {
  const fields = readFields(payload, CONTROL_FIELDS)
  if (fields === null || !isName(fields.id) || !isWhole(fields.credit)) return null
  return { id: fields.id, credit: fields.credit }
}

/** What is written into an envelope beside its payload. A field that is undefined is left out. */
type EnvelopeFields = Readonly<
  Record<string, string | number | boolean | UserProperties | undefined>
>

/** @returns the text of an envelope. */
export function writeEnvelope(
  fields: EnvelopeFields,
  payload: string | Uint8Array | undefined,
): string {
  return JSON.stringify(payload === undefined ? fields : { ...fields, ...fieldOf(payload) })
}

function fieldOf(payload: string | Uint8Array): EnvelopeFields {
  if (payload.length === 0) return {}
  try {
    const text = typeof payload === 'string' ? payload : decoder.decode(payload)
    // Text with so many brackets would make an envelope that nobody reads.
    if (!isTooDeep(text, NESTING_MAX - ENVELOPE_DEPTH)) return { payload: text }
  } catch {
    // It is no text.
  }
  return { base64: base64Of(typeof payload === 'string' ? encoder.encode(payload) : payload) }
}

function readFields(payload: Uint8Array, known: ReadonlySet<string>): EnvelopeData | null {
  if (payload[0] !== OPENING_BRACE) return null
  try {
    const text = decoder.decode(payload)
    if (isTooDeep(text, NESTING_MAX)) return null
    const fields: unknown = JSON.parse(text)
    if (typeof fields !== 'object' || fields === null) return null
    return Object.keys(fields).every((name) => known.has(name)) ? (fields as EnvelopeData) : null
  } catch {
    return null
  }
}

/** Counts brackets, also those in strings: a text that is refused therefore is no envelope. */
function isTooDeep(text: string, max: number): boolean {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 0x7b || unit === 0x5b) {
      if (++depth > max) return true
    } else if (unit === 0x7d || unit === 0x5d) depth--
  }
  return false
}

/** @returns the payload inside, or null if it cannot be read. */
function bodyOf({ payload, base64 }: EnvelopeData): Uint8Array | null {
  if (base64 !== undefined) {
    return typeof base64 === 'string' && payload === undefined ? decodeBase64(base64) : null
  }
  if (payload === undefined) return new Uint8Array(0)
  // Peers that write envelopes by hand may put their JSON in as it is.
  return encoder.encode(typeof payload === 'string' ? payload : JSON.stringify(payload))
}

function userPropertiesOf(given: unknown): UserProperties | undefined {
  if (typeof given !== 'object' || given === null) return undefined
  const properties: UserProperties = Object.create(null)
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === 'string') properties[name] = value
    else if (Array.isArray(value)) {
      properties[name] = value.filter((one) => typeof one === 'string')
    }
  }
  return properties
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= ID_MAX
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isStatus(value: unknown): value is number {
  return isWhole(value) && value >= 200 && value < 600
}

function base64Of(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!)
  return btoa(text)
}

function decodeBase64(text: string): Uint8Array | null {
  try {
    const latin1 = atob(text)
    const bytes = new Uint8Array(latin1.length)
    for (let i = 0; i < latin1.length; i++) bytes[i] = latin1.charCodeAt(i)
    return bytes
  } catch {
    return null
  }
}
