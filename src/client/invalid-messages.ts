/**
 * What happens to a message whose payload cannot be decoded, or is refused by the schema?
 */
import type { DeliveredMessage } from './message.ts'
import type { SubscriptionRules } from './subscription-plan.ts'
import type { Message } from './subscription-types.ts'

interface InvalidReason {
  readonly reason: unknown
}

/** @returns what is wrong with the payload, or null if nothing is. */
export function faultOfPayload(message: DeliveredMessage): InvalidReason | null {
  try {
    void message.value
    return null
  } catch (reason) {
    return { reason }
  }
}

/** @returns what a pull throws for a message that is not valid, or null to pass it over. */
export function reasonToThrow(
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
