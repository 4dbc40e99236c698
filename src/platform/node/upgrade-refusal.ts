/**
 * What does an HTTP server mean that answers the WebSocket upgrade with a status?
 *
 * 401 and 403 are refusals of the credentials, as a CONNACK can have them: `connectOptions` is
 * asked for new ones once. Other statuses may pass with time or stay as they are.
 */
import type { IncomingMessage } from 'node:http'
import { type ErrorCode, RefusedError } from '../../errors.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
  /** What to do. */
  readonly advice: string
}

const CREDENTIALS = 'check the credentials in `headers`, in the URL or from `connectOptions`'
const WAIT = 'it may accept later'
const HERE = 'check host, port and path of the URL'

const MEANINGS: Readonly<Record<number, Meaning>> = {
  401: { code: 'BAD_CREDENTIALS', retryable: false, advice: CREDENTIALS },
  403: { code: 'NOT_AUTHORIZED', retryable: false, advice: CREDENTIALS },
  404: {
    ...{ code: 'UPGRADE_REFUSED', retryable: false },
    advice: 'there is nothing at this path; brokers often have WebSocket at /mqtt',
  },
  407: {
    ...{ code: 'UPGRADE_REFUSED', retryable: false },
    advice: 'a proxy wants credentials; open the tunnel with the option `transport`',
  },
  408: { code: 'UPGRADE_REFUSED', retryable: true, advice: WAIT },
  421: { code: 'UPGRADE_REFUSED', retryable: false, advice: 'check the host of the URL' },
  425: { code: 'UPGRADE_REFUSED', retryable: true, advice: WAIT },
  429: { code: 'CONNECTION_RATE_EXCEEDED', retryable: true, advice: WAIT },
  503: { code: 'SERVER_UNAVAILABLE', retryable: true, advice: WAIT },
  507: { code: 'QUOTA_EXCEEDED', retryable: true, advice: WAIT },
}

/** The meaning of other statuses, by their first digit. */
const CLASSES: Readonly<Record<number, Meaning>> = {
  3: { code: 'UPGRADE_REFUSED', retryable: false, advice: 'give the URL to which it redirects' },
  5: { code: 'SERVER_UNAVAILABLE', retryable: true, advice: WAIT },
}

const OTHER: Meaning = { code: 'UPGRADE_REFUSED', retryable: false, advice: HERE }

/** How many characters of the server's text are shown. */
const TEXT_CHARACTERS_MAX = 200

/** No server can keep a client away for longer than this. */
const RETRY_AFTER_MS_MAX = 3_600_000

/** @returns the error for an answer that is no upgrade. */
export function upgradeRefusal(url: URL, response: IncomingMessage): RefusedError {
  const { statusCode = 0, statusMessage = '', headers } = response
  const meaning = MEANINGS[statusCode] ?? CLASSES[Math.floor(statusCode / 100)] ?? OTHER
  const { code, retryable, advice } = meaning
  const reason = inPlainText(statusMessage)
  const named = reason === '' ? `${statusCode}` : `${statusCode} ${reason}`
  const to = headers.location === undefined ? '' : ` to ${withoutSecrets(headers.location)}`
  const message = `HTTP ${named}${to} instead of a WebSocket at the path ${url.pathname}; ${advice}`
  const retryAfterMs = retryable ? waitOf(headers['retry-after']) : undefined
  return new RefusedError(message, {
    ...{ code, retryable, reasonCode: 0, statusCode },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

/** A query may hold a signature, and what stands before the host a password. */
function withoutSecrets(location: string): string {
  return inPlainText(location.replace(/[?#].*$/s, '').replace(/\/\/[^/]*@/, '//'))
}

/** The text of a server must not control a terminal. */
function inPlainText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, TEXT_CHARACTERS_MAX)
}

/** @returns the ms of a Retry-After, which is a number of seconds or a date. */
function waitOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  if (!(ms > 0)) return undefined
  return Math.min(ms, RETRY_AFTER_MS_MAX)
}
