/**
 * The reconnect policy: that of the option `reconnect` and that of the control of this name are
 * validated here, once.
 */
import type { ReconnectPolicy } from '../protocol/config.ts'
import {
  bounded,
  checkFields,
  checkFunction,
  choice,
  DAY_MS,
  HOUR_MS,
  isPlainObject,
} from './check.ts'
import type { ReconnectOptions, ReconnectWhen } from './vocabulary.ts'

const POLICY_FIELDS: ReadonlySet<string> = new Set([
  'when',
  'minMs',
  'maxMs',
  'stableMs',
  'retryable',
])
const WHEN = ['always', 'after-first-success', 'never'] as const

/** One object for all loops that say nothing: a process may hold thousands. */
const DEFAULT_POLICY: ReconnectPolicy = {
  when: 'after-first-success',
  minMs: 100,
  maxMs: 30_000,
  stableMs: 30_000,
}

/**
 * @param name the path of the policy in messages: `reconnect` for the option, `reconnect.reconnect`
 *   for the control.
 * @throws UsageError that names the field, what is allowed and what was given.
 */
export function reconnectPolicy(name: string, given: unknown): ReconnectPolicy {
  if (given === undefined) return DEFAULT_POLICY
  if (!isPlainObject(given)) {
    return { ...DEFAULT_POLICY, when: choice(name, given, DEFAULT_POLICY.when, WHEN) }
  }
  checkFields(name, given, POLICY_FIELDS)
  const { when, minMs, maxMs, stableMs, retryable }: ReconnectOptions = given
  checkFunction(`${name}.retryable`, retryable, 'a function of a failure')
  return {
    when: choice(`${name}.when`, when, DEFAULT_POLICY.when, WHEN),
    minMs: bounded(`${name}.minMs`, minMs, DEFAULT_POLICY.minMs, 0, HOUR_MS),
    maxMs: bounded(`${name}.maxMs`, maxMs, DEFAULT_POLICY.maxMs, 0, DAY_MS),
    stableMs: bounded(`${name}.stableMs`, stableMs, DEFAULT_POLICY.stableMs, 0, DAY_MS),
  }
}

/** @returns the user's own judgement on failures, or null if the policy has none. */
export function retryableOf(
  policy: ReconnectWhen | ReconnectOptions | undefined,
): ReconnectOptions['retryable'] | null {
  return typeof policy === 'object' ? (policy.retryable ?? null) : null
}
