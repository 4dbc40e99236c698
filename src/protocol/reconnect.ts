/**
 * After a connection ended: again, when, and with which version? (N1, N2)
 *
 * The delay is a function of the attempt, the cause and a random number, so that ten thousand clients spread evenly after
 * their broker restarted, and one that is kicked out again and again does not storm.
 */
import type { ReconnectPolicy } from './config.ts'
import type { Failure } from './facts.ts'
import type { ReconnectState } from './state.ts'

/** The number of failures after which the cap is reached whatever `minMs` and `maxMs` are; keeps 2ⁿ finite. */
const ATTEMPTS_MAX = 40
const STABLE_DELAY_MS = 1000
const FIRST_CAP_MS = 1000

/** Server busy and the like: others are waiting too. */
const CROWDED: ReadonlySet<string> = new Set([
  'SERVER_BUSY',
  'QUOTA_EXCEEDED',
  'CONNECTION_RATE_EXCEEDED',
])

/**
 * How long to wait before the next attempt, in ms.
 *
 * After a stable connection: random × 1 s. Else minMs + random × min(maxMs, 1 s × 2ⁿ), n = failures before this one.
 * Where nobody answers the dial at all, or the server says that it is crowded, the random part starts at a third of its
 * span: a server that is away is asked 40 times in ten minutes, not 50 (C31).
 */
export function retryDelayMs(
  policy: ReconnectPolicy,
  attempt: number,
  failure: Failure,
  stable: boolean,
  random: number,
): number {
  if (stable) return random * STABLE_DELAY_MS
  const crowded = CROWDED.has(failure.code)
  const exponent = Math.min(crowded ? attempt + 4 : attempt, ATTEMPTS_MAX)
  const span = Math.min(policy.maxMs, FIRST_CAP_MS * 2 ** exponent)
  const spread = crowded || failure.phase === 'dial' ? 1 / 3 + (random * 2) / 3 : random
  return policy.minMs + spread * span
}

/** Half of the interval more or less, so that those who were suspended together do not come back together. (T3) */
export function suspendedDelayMs(retryMs: number, random: number): number {
  return retryMs * (0.5 + random)
}

/** Causes that only time or a first success excuse: a name that is not there yet, a clock that is not set yet. */
const EARLY: ReadonlySet<string> = new Set(['ENOTFOUND', 'CERT_NOT_YET_VALID'])

export function mayRetry(state: ReconnectState, failure: Failure): boolean {
  const { when } = state.policy
  if (when === 'never' || (when === 'after-first-success' && !state.everConnected)) return false
  return failure.retryable || EARLY.has(failure.code)
}
