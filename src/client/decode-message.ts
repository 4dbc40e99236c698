/** How is the payload of a message decoded? As the options say, or else as its own topic does. */
import { bytes, type PayloadContext } from './codec.ts'
import type { DeliveredMessage } from './message.ts'
import { decodePayload } from './payload.ts'
import type { SubscriptionPlan } from './subscription-plan.ts'

/** @throws ProtocolError with code INVALID_PAYLOAD if schema or codec refuse it. */
export function decodeMessage({ topics, rules }: SubscriptionPlan, message: DeliveredMessage) {
  const { topic, payload } = message
  const own = topics.length > 1 ? topics.find((one) => one.match(topic) !== null) : topics[0]
  const { codec = own?.codec ?? bytes, schema = own?.schema } = rules
  return decodePayload({ codec, schema }, payload, message as PayloadContext)
}
