/**
 * Which errors has a request that was not answered?
 */
import { ConnectionError, RefusedError } from '../../index.ts'

const NOBODY_MATCHED = 0x10

export function noResponders(topic: string): RefusedError {
  const message = `request to ${topic}: nobody has subscribed to this topic; start the responder`
  return new RefusedError(message, {
    code: 'NO_RESPONDERS',
    retryable: true,
    reasonCode: NOBODY_MATCHED,
  })
}

/** @param linkLost whether the connection was lost after the request had left. */
export function tooLate(topic: string, ms: number, linkLost: boolean): ConnectionError {
  const lost = linkLost ? '; the connection was lost meanwhile, so it may have been done' : ''
  const message = `request to ${topic}: there was no response within ${ms} ms${lost}`
  return new ConnectionError(message, { code: 'TIMEOUT', linkLost })
}

/** @param cause the error that ended the client, or null. */
export function endedBefore(topic: string, cause: unknown): ConnectionError {
  const why = cause === null ? '' : `: ${whyOf(cause)}`
  const message = `request to ${topic}: the client ended before there was a response${why}`
  const details = cause === null ? {} : { cause }
  return new ConnectionError(message, { code: 'ENDED', retryable: false, ...details })
}

export function streamGap(topic: string, why: string): ConnectionError {
  return new ConnectionError(`request to ${topic}: ${why}; ask again`, { code: 'STREAM_GAP' })
}

/** @returns the message of an error, or the text of anything else that was thrown. */
export function whyOf(cause: unknown): string {
  try {
    return cause instanceof Error ? cause.message : String(cause)
  } catch {
    return 'something that has no text was thrown'
  }
}
