/**
 * May the loop try again, and after which delay? (N1, delays grow and are random; N2, every failure
 * is classified)
 *
 * The delay is a function of the attempt, the cause and a random number. Ten thousand clients
 * spread evenly after their broker restarted, and a client that is disconnected again and again
 * does not flood its server.
 */
import type { ReconnectPolicy } from './config.ts'
import type { Failure } from './facts.ts'
import type { ReconnectState } from './state.ts'

/**
 * The largest n in 2ⁿ, so that the power stays finite. The delay has reached the maximum of any
 * policy long before.
 */
const ATTEMPTS_MAX = 40
const STABLE_DELAY_MS = 1000
const FIRST_SPAN_MS = 1000

/** The refusals of an overloaded server: other clients are waiting too. */
const CROWDED: ReadonlySet<string> = new Set([
  'SERVER_BUSY',
  'QUOTA_EXCEEDED',
  'CONNECTION_RATE_EXCEEDED',
])

/**
 * After a stable connection: random × 1 s. Otherwise: minMs + random × min(maxMs, 1 s × 2ⁿ), where
 * n is the number of failures before this one. If nobody answers the dial, or the server is
 * overloaded, the random part starts at a third of its span, so that a server that is down is tried
 * 40 times in ten minutes and not 50 (C31).
 * @returns the delay before the next attempt, in ms.
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
  const span = Math.min(policy.maxMs, FIRST_SPAN_MS * 2 ** exponent)
  const spread = crowded || failure.phase === 'dial' ? 1 / 3 + (random * 2) / 3 : random
  return policy.minMs + spread * span
}

/**
 * The delay varies by ± 50 %, so that clients that were suspended together do not return together
 * (T3, the connection follows the lifecycle table).
 * @returns the delay before the next attempt of a suspended loop, in ms.
 */
export function suspendedDelayMs(retryMs: number, random: number): number {
  return retryMs * (0.5 + random)
}

/**
 * The failures that may disappear with time: a name that does not exist yet, a clock that is not
 * set yet.
 */
const EARLY: ReadonlySet<string> = new Set(['ENOTFOUND', 'CERT_NOT_YET_VALID'])

/** The failures of a server that was there and is being replaced, such as HTTP 404 of a proxy. */
const LATER: ReadonlySet<string> = new Set(['UPGRADE_REFUSED'])

/** @returns whether the policy allows another attempt after this failure. */
export function mayRetry(state: ReconnectState, failure: Failure): boolean {
  const { retryable, code } = failure
  const passes = EARLY.has(code) || (state.everConnected && LATER.has(code))
  return policyAllows(state) && (retryable || passes)
}

/** @returns whether the policy allows another attempt after a retryable failure. */
export function policyAllows({ policy, everConnected }: ReconnectState): boolean {
  if (policy.when === 'never') return false
  return policy.when === 'always' || everConnected
}
