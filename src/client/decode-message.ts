/**
 * What do the topics of a subscription make of a message? Its payload is decoded as the options
 * say, or else as its own topic does.
 */
import { bytes, type PayloadContext } from './codec.ts'
import type { DeliveredMessage } from './message.ts'
import { decodePayload } from './payload.ts'
import type { SubscriptionPlan } from './subscription-plan.ts'
import type { TopicParams } from './topic-types.ts'

/** @throws ProtocolError with code INVALID_PAYLOAD if schema or codec refuse it. */
export function decodeMessage({ topics, rules }: SubscriptionPlan, message: DeliveredMessage) {
  const { topic, payload } = message
  const own = topics.length > 1 ? topics.find((one) => one.match(topic) !== null) : topics[0]
  const { codec = own?.codec ?? bytes, schema = own?.schema } = rules
  return decodePayload({ codec, schema }, payload, message as PayloadContext)
}

/** @returns the parameters of a topic, by the first template that it matches. */
export function paramsIn({ topics }: SubscriptionPlan, topic: string): TopicParams {
  for (const template of topics) {
    const params = template.match(topic)
    if (params !== null) return params
  }
  return Object.create(null)
}
