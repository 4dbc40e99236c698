/**
 * How does a message become text for `-F`? The letters, flags and widths are those of
 * mosquitto_sub. A format is compiled once; the bytes of a payload are written as they are.
 */
import type { IncomingPublish } from '../index.ts'
import { UsageError } from '../index.ts'
import { mosquittoJson } from './mosquitto-json.ts'
import { jsonOf } from './packet-text.ts'
import { isoTime, strftime, unixTime } from './strftime.ts'

type Part = string | Uint8Array
/** Makes a part of the text. Throws a `FormatError` if the message has no such text. */
type Piece = (packet: IncomingPublish, at: Date) => Part

interface Width {
  readonly left: boolean
  readonly pad: ' ' | '0'
  readonly width: number
  /** -1 if none was given. */
  readonly precision: number
}

/** A message that cannot be written as the format asks: `%J` of a payload that is no JSON. */
export class FormatError extends Error {}

type Letter = (packet: IncomingPublish, width: Width, at: Date, pretty: boolean) => Part

/** A number; blanks or zeros if the message has none. */
const numberLetter =
  (valueFrom: (packet: IncomingPublish) => number | undefined): Letter =>
  (packet, { left, pad, width }) => {
    const text = String(valueFrom(packet) ?? '')
    if (left) return text.padEnd(width)
    return text.padStart(width, pad)
  }

/** A text, which a precision cuts; blanks if the message has none. */
const textLetter =
  (valueFrom: (packet: IncomingPublish, at: Date) => string | undefined): Letter =>
  (packet, { left, width, precision }, at) => {
    const bytes = Buffer.from(valueFrom(packet, at) ?? '')
    const cut = precision < 0 ? bytes : bytes.subarray(0, precision)
    const blanks = Buffer.alloc(Math.max(0, width - cut.length), ' ')
    return Buffer.concat(left ? [cut, blanks] : [blanks, cut])
  }

/** The payload, which a width also cuts, as in mosquitto_sub. */
const payload =
  (shown: (bytes: Uint8Array) => Uint8Array, columns: 1 | 2): Letter =>
  (packet, { left, pad, width }) => {
    if (width === 0) return shown(packet.payload)
    const cut = shown(packet.payload.subarray(0, Math.floor(width / columns)))
    const blanks = Buffer.alloc(Math.max(0, width - cut.length), left ? ' ' : pad)
    return Buffer.concat(left ? [cut, blanks] : [blanks, cut])
  }

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const hexBytes = (bytes: Uint8Array) => Buffer.from(hexOf(bytes))
const upperHex = (bytes: Uint8Array) => Buffer.from(hexOf(bytes).toUpperCase())

const LETTERS: Readonly<Record<string, Letter>> = {
  A: numberLetter(({ properties }) => properties?.topicAlias),
  C: textLetter(({ properties }) => properties?.contentType),
  D: ({ properties }) => properties?.correlationData ?? '',
  E: numberLetter(({ properties }) => properties?.messageExpiryInterval),
  F: numberLetter(({ properties }) => flagNumber(properties?.payloadFormatIndicator)),
  I: textLetter((_, at) => isoTime(at)),
  j: (packet, _, at, pretty) => mosquittoJson(packet, at, 'text', pretty) ?? '',
  J: (packet, _, at, pretty) => {
    const text = mosquittoJson(packet, at, 'json', pretty)
    if (text !== null) return text
    throw new FormatError(`the payload of a message for ${packet.topic} is no JSON (%J)`)
  },
  l: numberLetter((packet) => packet.payload.length),
  m: numberLetter((packet) => packet.messageId ?? 0),
  P: ({ properties }) =>
    Object.entries(properties?.userProperties ?? {})
      .flatMap(([name, values]) => [values].flat().map((value) => `${name}:${value}`))
      .join(' '),
  p: payload((bytes) => bytes, 1),
  q: ({ qos }) => String(qos),
  R: (packet, width, at, pretty) =>
    packet.properties?.responseTopic === undefined
      ? ''
      : textLetter(({ properties }) => properties?.responseTopic)(packet, width, at, pretty),
  r: ({ retain }) => (retain ? '1' : '0'),
  S: numberLetter(({ properties }) => [properties?.subscriptionIdentifier].flat()[0]),
  t: textLetter(({ topic }) => topic),
  U: (_, __, at) => unixTime(at),
  x: payload(hexBytes, 2),
  X: payload(upperHex, 2),
  '%': () => '%',
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ '\\': '\\', '0': '\0', a: '\x07', e: '\x1b', n: '\n', r: '\r', t: '\t', v: '\v' },
}

export const FORMAT_HELP =
  '%t topic, %p payload, %x %X payload in hex, %l payload bytes, %q QoS, %r retain, %m packet ' +
  'identifier, %j JSON, %J JSON with the payload as JSON, %I time, %U Unix time, @ and a letter ' +
  'of strftime, %A topic alias, %C content type, %D correlation data, %E expiry, %F payload ' +
  'format, %P user properties, %R response topic, %S subscription identifier, %% @@ \\\\ \\n \\t'

/** How a message is written to standard output. */
export interface OutputFlags {
  readonly format?: string
  readonly verbose?: boolean
  readonly json?: boolean
  readonly pretty?: boolean
  readonly withoutNewline?: boolean
}

/**
 * @returns a function that makes the bytes to write; none if the message has none.
 * @throws UsageError if the format has a sequence that does not exist, or two flags disagree.
 */
export function writerOf(flags: OutputFlags): (packet: IncomingPublish) => Buffer {
  const { format, json, verbose, pretty = false } = flags
  const end = flags.withoutNewline ? '' : '\n'
  if (json && (format !== undefined || flags.withoutNewline || verbose || pretty)) {
    throw new UsageError('--json cannot be combined with -F, -N, -v or --pretty')
  }
  if (json) return (packet) => Buffer.from(`${jsonOf(packet)}\n`)
  if (format !== undefined) return formatter(format, end, pretty)
  if (pretty) throw new UsageError('--pretty needs -F %j or -F %J')
  return (packet) => {
    const { topic, payload: bytes } = packet
    // As mosquitto_sub: an empty message is not seen, but with -v.
    if (bytes.length === 0) return Buffer.from(verbose && end !== '' ? `${topic} (null)\n` : '')
    return joined([verbose ? `${topic} ` : '', bytes, end])
  }
}

function formatter(
  format: string,
  end: string,
  pretty: boolean,
): (packet: IncomingPublish) => Buffer {
  const sequences = /%-?0?\d*(?:\.\d*)?.?|@.?|\\.?|[^%@\\]+/gsu
  const pieces = (format.match(sequences) ?? []).map((one) => pieceOf(one, pretty))
  return (packet) => {
    const at = new Date()
    return joined([...pieces.map((piece) => piece(packet, at)), end])
  }
}

function joined(parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}

function pieceOf(sequence: string, pretty: boolean): Piece {
  const last = sequence.at(-1)!
  if (sequence.startsWith('\\')) {
    const character = ESCAPES[sequence.slice(1)]
    if (character === undefined) throw unknownSequence(sequence)
    return () => character
  }
  if (sequence.startsWith('@')) {
    if (sequence === '@') throw unknownSequence(sequence)
    return sequence === '@@' ? () => '@' : (_, at) => strftime(last, at)
  }
  if (!sequence.startsWith('%')) return () => sequence
  const [, minus, zero, width, precision] = /^%(-?)(0?)(\d*)(?:\.(\d*))?./su.exec(sequence) ?? []
  const letter = sequence.length > 1 ? LETTERS[last] : undefined
  if (letter === undefined) throw unknownSequence(sequence)
  const how: Width = {
    left: minus === '-',
    pad: zero === '0' ? '0' : ' ',
    width: Number(width),
    precision: precision === undefined ? -1 : Number(precision),
  }
  return (packet, at) => letter(packet, how, at, pretty)
}

function unknownSequence(sequence: string): UsageError {
  return new UsageError(`--format: ${sequence} is not a placeholder; allowed: ${FORMAT_HELP}`)
}

function flagNumber(flag: boolean | undefined): number | undefined {
  return flag === undefined ? undefined : Number(flag)
}
