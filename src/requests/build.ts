/**
 * How is a request made? The builders return plain data and check nothing: a request from a builder,
 * a literal and a line of NDJSON are the same thing, and `prepare` validates each of them once, when
 * the loop takes it.
 */
import type {
  PublishRequest,
  RequestOptions,
  SubscribeRequest,
  Subscription,
  UnsubscribeRequest,
} from './vocabulary.ts'

/** Options of `publish()`. */
export type PublishOptions = Pick<
  PublishRequest,
  'qos' | 'retain' | 'properties' | keyof RequestOptions
>

/** Options of `subscribe()`; those of the subscription apply to every filter. */
export type SubscribeOptions = Partial<Omit<Subscription, 'topic'>> &
  Pick<SubscribeRequest, 'properties' | keyof RequestOptions>

/** Options of `unsubscribe()`. */
export type UnsubscribeOptions = Pick<UnsubscribeRequest, 'properties' | keyof RequestOptions>

/**
 * A request to publish one message.
 *
 * @param topic 1 to 65,535 bytes of UTF-8, without + and # [MQTT-3.3.2-2] and without U+0000.
 * @param payload Text (sent as UTF-8), bytes, or `{ base64 }`; default: empty. The packet, all in all, is at most 268,435,460 bytes.
 *   Bytes are not copied here: they belong to the engine until the outcome.
 * @param options `qos` 0 (default), 1 or 2; `retain`, default false; `properties` (MQTT 5; `messageExpiryInterval` in seconds);
 *   `key`, the request's name in its source; `signal` to cancel.
 * Nothing is thrown here. What is wrong is the request's outcome, a `UsageError`.
 */
export function publish(
  topic: string,
  payload?: PublishRequest['payload'],
  options: PublishOptions = {},
): PublishRequest {
  return payload === undefined
    ? { cmd: 'publish', topic, ...options }
    : { cmd: 'publish', topic, payload, ...options }
}

/**
 * A request to subscribe to one filter or several, in one SUBSCRIBE.
 *
 * @param filters A Topic Filter (1 to 65,535 bytes of UTF-8; + and # as whole levels [MQTT-4.7.1-1], [MQTT-4.7.1-2];
 *   `$share/name/filter` in MQTT 5), a subscription with options of its own, or an array of these, not empty [MQTT-3.8.3-2].
 * @param options For each filter that does not say otherwise: `qos`, the largest wanted, default 0; `nl`, no messages of one's
 *   own, default false, not for shared subscriptions [MQTT-3.8.3-4]; `rap`, keep the retain flag, default false; `rh`, retained
 *   messages always (0, default), if the subscription is new (1), never (2). For the request: `properties`
 *   (`subscriptionIdentifier` 1 to 268,435,455), `key`, `signal`. `nl`, `rap`, `rh` and `properties` need MQTT 5.
 * Nothing is thrown here. What is wrong is the request's outcome, a `UsageError`.
 */
export function subscribe(
  filters: string | Subscription | readonly (string | Subscription)[],
  options: SubscribeOptions = {},
): SubscribeRequest {
  const { qos = 0, nl, rap, rh, ...rest } = options
  const defaults = {
    qos,
    ...(nl === undefined ? {} : { nl }),
    ...(rap === undefined ? {} : { rap }),
    ...(rh === undefined ? {} : { rh }),
  }
  const subscriptions = (Array.isArray(filters) ? filters : [filters]).map(
    (filter: string | Subscription): Subscription =>
      typeof filter === 'string' ? { topic: filter, ...defaults } : { ...defaults, ...filter },
  )
  return { cmd: 'subscribe', subscriptions, ...rest }
}

/**
 * A request to end subscriptions, in one UNSUBSCRIBE.
 *
 * @param filters One filter or several (not none [MQTT-3.10.3-2]), character for character as subscribed [MQTT-3.10.4-1].
 * @param options `properties` (MQTT 5), `key`, `signal`.
 * Nothing is thrown here. What is wrong is the request's outcome, a `UsageError`.
 */
export function unsubscribe(
  filters: string | readonly string[],
  options: UnsubscribeOptions = {},
): UnsubscribeRequest {
  const unsubscriptions = typeof filters === 'string' ? [filters] : [...filters]
  return { cmd: 'unsubscribe', unsubscriptions, ...options }
}
