/**
 * Which error is the outcome of a request that failed? It names the topic or the filters, and a
 * refusal of the server says the reason in words.
 */
import { RefusedError } from '../errors.ts'
import type { Failure, ServerPacket } from '../protocol/facts.ts'
import { hex, reasonOf } from '../protocol/reason-codes.ts'
import { filterList, nameOfRequest, quoted } from './request-name.ts'
import type { SentRequest } from './vocabulary.ts'

/** @returns the failure with a message that names the request. */
export function named(failure: Failure, request: SentRequest): Failure {
  const message = `${failure.message.replace(/\.$/, '')}: ${nameOfRequest(request)}.`
  return { ...failure, message }
}

/** @returns the error for a request that the server refused in this packet. */
export function refusedError(
  { code, reasonCode = 0x80 }: Failure,
  packet: ServerPacket,
  request: SentRequest,
): RefusedError {
  const details = { code, packet }
  const reasonString = 'properties' in packet ? packet.properties?.['reasonString'] : undefined
  const said = typeof reasonString === 'string' ? ` It says ${quoted(reasonString)}.` : ''
  if (request.cmd === 'publish' || !('granted' in packet)) {
    const message = `The server refused ${nameOfRequest(request)}: ${reasonIn(reasonCode)}.${said}`
    return new RefusedError(message, { ...details, reasonCode })
  }
  const { granted: codes } = packet
  const filters =
    request.cmd === 'subscribe'
      ? request.subscriptions.map(({ topic }) => topic)
      : request.unsubscriptions
  const answers = filters.map((topic, i) => ({ topic, reasonCode: codes[i] ?? 0 }))
  const refused = answers.filter((answer) => answer.reasonCode >= 0x80)
  const granted = answers.filter((answer) => answer.reasonCode < 0x80)
  const message = refusedFilters(request.cmd, refused, granted) + said
  return new RefusedError(message, { ...details, reasonCode, refused, granted })
}

interface Answer {
  readonly topic: string
  readonly reasonCode: number
}

const DOING = {
  subscribe: { to: 'subscribe to', did: 'granted' },
  unsubscribe: { to: 'unsubscribe from', did: 'unsubscribed' },
} as const

function refusedFilters(
  cmd: 'subscribe' | 'unsubscribe',
  refused: readonly Answer[],
  granted: readonly Answer[],
): string {
  const { to, did } = DOING[cmd]
  const codes = [...new Set(refused.map(({ reasonCode }) => reasonCode))]
  const groups = codes.map((code) => {
    const filters = refused.filter(({ reasonCode }) => reasonCode === code)
    return `${filterList(filters.map(({ topic }) => topic))}: ${reasonIn(code)}`
  })
  const others = granted.map(({ topic }) => topic)
  const rest = others.length > 0 ? ` It ${did} ${filterList(others)}.` : ''
  return `The server refused to ${to} ${groups.join('; ')}.${rest}`
}

/** @returns the reason in words, with its code. */
function reasonIn(code: number): string {
  return `${reasonOf(code).description} (${hex(code)})`
}
