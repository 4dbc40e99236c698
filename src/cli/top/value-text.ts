/**
 * How is a message written in a few words: its payload, its properties, amounts and ages? What
 * comes out may still contain control characters; safe-text.ts makes it fit for a terminal.
 */
import type { IncomingPublish } from '../../index.ts'

/** How many bytes of a binary payload are written in one line. */
const HEX_BYTES_MAX = 32
/** Control characters that texts do not have; line ends and escape sequences do occur. */
const BINARY = /[\0-\x06\x0e-\x1a\x1c-\x1f]/
/** A string of JSON, or blanks outside of one. */
const JSON_STRING_OR_BLANKS = /("(?:\\.|[^"\\])*"?)|\s+/gs
const PROPERTIES_MAX = 20
const PROPERTY_CHARACTERS_MAX = 256

/**
 * @param length the length of the whole payload, of which `bytes` may be the beginning.
 * @returns the payload in one line: text, JSON without blanks, or hexadecimal digits.
 */
export function payloadText(bytes: Uint8Array, length: number): string {
  if (length === 0) return '(empty)'
  const text = readable(bytes, length)
  if (text === null) return hexText(bytes, length)
  const shown = /^\s*[[{]/.test(text) ? compactJson(text) : text.trim()
  return bytes.length < length ? `${shown}… (${amount(length)} bytes)` : shown
}

/** @returns the payload in lines, JSON indented. */
export function payloadLines(bytes: Uint8Array, length: number): string[] {
  const rest = bytes.length < length ? [`… (the first ${bytes.length} of ${length} bytes)`] : []
  if (length === 0) return ['(empty)']
  const text = readable(bytes, length)
  if (text !== null) return [...indented(text).split(/\r?\n/), ...rest]
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const row = Buffer.from(bytes.subarray(at, at + 16))
    const hex = row.toString('hex').replace(/..(?=.)/g, '$& ')
    const text = row.toString('latin1').replace(/[^ -~]/g, '.')
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${text}`)
  }
  return [...lines, ...rest]
}

/** @returns a line for each property that a publisher may have set. */
export function propertyLines(
  properties: NonNullable<IncomingPublish['properties']>,
): readonly string[] {
  const lines: string[] = []
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || name === 'topicAlias' || name === 'subscriptionIdentifier') continue
    if (name === 'userProperties') {
      for (const [key, values] of Object.entries(value as Record<string, string | string[]>)) {
        for (const one of [values].flat()) lines.push(shortened(`user property ${key}: ${one}`))
        if (lines.length > PROPERTIES_MAX) break
      }
    } else lines.push(shortened(`${WORDS[name] ?? name}: ${propertyText(value)}`))
  }
  return lines.length > PROPERTIES_MAX ? [...lines.slice(0, PROPERTIES_MAX), '…'] : lines
}

const WORDS: Readonly<Record<string, string>> = {
  contentType: 'content type',
  correlationData: 'correlation data',
  messageExpiryInterval: 'message expiry interval',
  payloadFormatIndicator: 'payload is UTF-8',
  responseTopic: 'response topic',
}

function propertyText(value: unknown): string {
  return value instanceof Uint8Array ? payloadText(value, value.length) : String(value)
}

/** A part of a string keeps the whole string in memory, so what is cut off is copied. */
function shortened(line: string): string {
  if (line.length <= PROPERTY_CHARACTERS_MAX) return line
  return `${Buffer.from(line.slice(0, PROPERTY_CHARACTERS_MAX)).toString()}…`
}

/** @returns the text without a character that is cut off, or null if it is not UTF-8. */
export function decodedText(bytes: Uint8Array, length: number): string | null {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    return decoder.decode(bytes, { stream: bytes.length < length })
  } catch {
    return null
  }
}

function readable(bytes: Uint8Array, length: number): string | null {
  const text = decodedText(bytes, length)
  return text === null || BINARY.test(text) ? null : text
}

function hexText(bytes: Uint8Array, length: number): string {
  const hex = Buffer.from(bytes.subarray(0, HEX_BYTES_MAX)).toString('hex')
  return `0x${hex}${length > HEX_BYTES_MAX ? '…' : ''} (${amount(length)} bytes)`
}

/** Numbers stay as they are written: parsed ones may lose digits. */
function compactJson(text: string): string {
  return text.replace(JSON_STRING_OR_BLANKS, (_, string: string | undefined) => string ?? '')
}

function indented(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text
  try {
    const value: unknown = JSON.parse(text)
    // Not if something would change: a number of 20 digits, a name that stands twice.
    return JSON.stringify(value) === compactJson(text) ? JSON.stringify(value, null, 2) : text
  } catch {
    return text
  }
}

/** @returns an amount in at most five characters: <0.1, 0.3, 12, 999, 1.2k, 345k, 6.7M. */
export function amount(value: number): string {
  if (value === 0) return '0'
  if (value < 0.05) return '<0.1'
  if (value < 9.95) return String(Number(value.toFixed(1)))
  let scaled = value
  for (const unit of ['', 'k', 'M', 'G', 'T', 'P']) {
    if (scaled < 999.5) {
      const isShort = unit !== '' && scaled < 99.95
      return `${isShort ? Number(scaled.toFixed(1)) : Math.round(scaled)}${unit}`
    }
    scaled /= 1000
  }
  return '>1E'
}

/** @returns a time in at most four characters: 0s, 59s, 12m, 3h, 45d. */
export function shortDuration(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.min(999, Math.floor(seconds / 86_400))}d`
}
