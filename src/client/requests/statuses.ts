/**
 * Which statuses has an answer, and which error is each at the requester?
 */
import { RefusedError, type RemoteFailure } from '../../index.ts'
import type { GivenAnswer } from './answers.ts'

export const STATUS = {
  done: 200,
  nothing: 204,
  badRequest: 400,
  unknown: 404,
  keyReused: 409,
  declared: 422,
  failed: 500,
  busy: 503,
  timeout: 504,
} as const

/** A requester keeps no more characters than this of a text that another process sent. */
const TEXT_MAX = 4096
const CODE_MAX = 128

const CODES: Readonly<Record<number, string>> = {
  [STATUS.badRequest]: 'BAD_REQUEST',
  [STATUS.unknown]: 'UNKNOWN',
  [STATUS.keyReused]: 'KEY_REUSED',
  [STATUS.failed]: 'RESPONDER_FAILED',
  [STATUS.busy]: 'BUSY',
  [STATUS.timeout]: 'RESPONDER_TIMEOUT',
}

const MEANINGS: Readonly<Record<number, string>> = {
  [STATUS.badRequest]: 'the responder cannot use the request',
  [STATUS.unknown]: 'the responder does not know what was asked for',
  [STATUS.keyReused]: 'the responder knows this key with another payload; use a key once',
  [STATUS.declared]: 'the responder refused',
  [STATUS.failed]: 'the handler of the responder failed; see its log',
  [STATUS.busy]: 'the responder has no room; try again later',
  [STATUS.timeout]: 'the handler of the responder took too long',
}

/** @returns at most `max` UTF-16 units of a text, without a half of a pair at the end. */
export function cut(text: string, max = TEXT_MAX): string {
  if (text.length <= max) return text
  const end = text.charCodeAt(max - 1)
  return text.slice(0, end >= 0xd800 && end < 0xdc00 ? max - 1 : max)
}

/**
 * @param data the payload of the answer, decoded if it could be.
 * @returns the error of an answer with a status of 400 or above.
 */
export function refusalByRemote(topic: string, answer: GivenAnswer, data: unknown): RefusedError {
  const { status } = answer
  const declared = answer.code === undefined ? '' : cut(answer.code, CODE_MAX)
  const said = answer.message === undefined ? '' : cut(answer.message)
  // Only a declared error names itself; all others are named by their status.
  const own = status === STATUS.declared && declared !== '' ? declared : 'REFUSED_BY_RESPONDER'
  const code = CODES[status] ?? own
  const remote: RemoteFailure = { code: declared === '' ? code : declared, message: said, data }
  const meaning = MEANINGS[status] ?? 'the responder refused'
  const words = [declared, said].filter((text) => text !== '').join(': ')
  const message = `request to ${topic}: ${meaning} (status ${status}${words && `, ${words}`})`
  return new RefusedError(message, {
    code,
    retryable: status === STATUS.busy,
    reasonCode: 0,
    remote,
  })
}
