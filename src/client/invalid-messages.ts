/**
 * What happens to a message whose payload cannot be decoded, or is refused by the schema?
 */
import type { DeliveredMessage } from './message.ts'
import type { SubscriptionRules } from './subscription-plan.ts'
import type { Message } from './subscription-types.ts'

export interface InvalidReason {
  readonly reason: unknown
}

/** Nothing is given for a message that was passed over. */
export const PASSED_OVER: InvalidReason = { reason: null }

/**
 * Runs code of the user.
 *
 * @returns null if the message is given, and what is thrown in its place if it is not.
 */
export function judge(rules: SubscriptionRules, message: DeliveredMessage): InvalidReason | null {
  const fault = rules.decodes ? faultOfPayload(message) : null
  return fault === null ? null : (reasonToThrow(rules, fault.reason, message) ?? PASSED_OVER)
}

/** @returns what is wrong with the payload, or null if nothing is. */
function faultOfPayload(message: DeliveredMessage): InvalidReason | null {
  try {
    void message.value
    return null
  } catch (reason) {
    return { reason }
  }
}

/** @returns what a pull throws for a message that is not valid, or null to pass it over. */
function reasonToThrow(
  { onInvalid }: SubscriptionRules,
  reason: unknown,
  message: DeliveredMessage,
): InvalidReason | null {
  if (onInvalid === 'skip') return null
  if (onInvalid === 'throw') return { reason }
  try {
    onInvalid(reason, message as unknown as Message)
    return null
  } catch (thrown) {
    return { reason: thrown }
  }
}
