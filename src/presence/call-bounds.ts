/**
 * When does a call of presence end without a result? When its signal is aborted, or after its
 * time-out. Nothing of it is left then: no listener, no timer.
 */
import { ConnectionError, type Platform, UsageError } from '../index.ts'
import type { CallBounds } from './presence-types.ts'

/** The longest time-out, in ms. */
const TIMEOUT_MS_MAX = 86_400_000

/** The names of the options that `checkBounds` checks. */
export const BOUND_NAMES = ['signal', 'timeout'] as const

/**
 * @throws UsageError for a signal or a time-out that cannot be used, and the reason of a signal
 *   that is aborted already.
 */
export function checkBounds(what: string, { signal, timeout }: CallBounds): void {
  const isSignal = typeof (signal as AbortSignal | null)?.addEventListener === 'function'
  if (signal !== undefined && !isSignal) {
    throw new UsageError(`${what}: signal must be an AbortSignal`)
  }
  const isTime = typeof timeout === 'number' && timeout > 0 && timeout <= TIMEOUT_MS_MAX
  if (timeout !== undefined && !isTime) {
    const rule = `must be a number of ms, more than 0 and at most ${TIMEOUT_MS_MAX}`
    throw new UsageError(`${what}: timeout ${rule}, not ${String(timeout)}`)
  }
  signal?.throwIfAborted()
}

/**
 * Calls `giveUp` with the reason when the bounds end a call.
 * @returns a function that removes the bounds.
 */
export function watchBounds(
  platform: Platform,
  what: string,
  { signal, timeout }: CallBounds,
  giveUp: (reason: unknown) => void,
): () => void {
  const aborted = () => over(signal!.reason)
  const timer =
    timeout === undefined ? null : platform.setTimer(() => over(unanswered(what, timeout)), timeout)
  const end = () => {
    if (timer !== null) platform.clearTimer(timer)
    signal?.removeEventListener('abort', aborted)
  }
  const over = (reason: unknown) => {
    end()
    giveUp(reason)
  }
  signal?.addEventListener('abort', aborted)
  return end
}

/**
 * @param begin waits; its signal is aborted with the reason when the call is given up.
 * @returns what `begin` resolves with.
 * @throws what `begin` rejects with, or the reason for which the call was given up.
 */
export async function withinBounds<T>(
  platform: Platform,
  what: string,
  bounds: CallBounds,
  begin: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController()
  let end = () => {}
  const over = new Promise<never>((_, reject) => {
    end = watchBounds(platform, what, bounds, (reason) => {
      ending.abort(reason)
      reject(reason)
    })
  })
  try {
    return await Promise.race([begin(ending.signal), over])
  } finally {
    end()
  }
}

function unanswered(what: string, ms: number): ConnectionError {
  const message = `${what}: the server has not answered within ${ms} ms`
  return new ConnectionError(message, { code: 'TIMEOUT', retryable: true })
}
