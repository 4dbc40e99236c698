/**
 * How is a request made? The builders return plain data and check nothing: a request from a
 * builder, a literal and a line of NDJSON are the same thing, and `prepare` validates each of them
 * once, when the loop takes it.
 */
import { withoutUndefined } from './check.ts'
import type {
  PublishRequest,
  RequestFields,
  SubscribeRequest,
  Subscription,
  UnsubscribeRequest,
} from './vocabulary.ts'

/** The options of `publish()`. */
export type PublishOptions = Pick<
  PublishRequest,
  'qos' | 'retain' | 'properties' | keyof RequestFields
>

/** Options of filters, and of the whole request. */
export type SubscribeOptions = Partial<Omit<Subscription, 'topic'>> &
  Pick<SubscribeRequest, 'properties' | keyof RequestFields>

/** Options of the whole request. */
export type UnsubscribeOptions = Pick<UnsubscribeRequest, 'properties' | keyof RequestFields>

/**
 * Makes a request to publish one message. Nothing is checked here: a request that cannot be used
 * has a `UsageError` as its outcome.
 *
 * @param topic 1 to 65,535 bytes of UTF-8, without + and # [MQTT-3.3.2-2] and without U+0000.
 * @param payload text (sent as UTF-8), bytes, or `{ base64 }`. Default: empty. The whole packet may
 *   have 268,435,460 bytes. Bytes are not copied: they belong to the loop until the outcome is
 *   given.
 * @param options `qos` is 0 (default), 1 or 2. `retain` is false by default. `properties` need MQTT
 *   5; their `messageExpiryInterval` counts seconds. `key` is the name of the request in its
 *   stream. `signal` cancels the request.
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
 * Makes a request to subscribe to one filter or several with one SUBSCRIBE. Nothing is checked
 * here: a request that cannot be used has a `UsageError` as its outcome.
 *
 * @param filters a Topic Filter, a subscription with options of its own, or an array of these, at
 *   least one [MQTT-3.8.3-2]. A filter has 1 to 65,535 bytes of UTF-8; + and # stand for whole
 *   levels [MQTT-4.7.1-1], [MQTT-4.7.1-2]. `$share/name/filter` is a Shared Subscription of MQTT 5.
 * @param options the options of filters that have none of their own. `qos` is the largest QoS at
 *   which the server may send, 0 by default. `nl` keeps this client's own messages away, not with
 *   shared subscriptions [MQTT-3.8.3-4]. `rap` keeps the retain flag. `rh` says when retained
 *   messages are sent: always (0, default), only if the subscription is new (1), or never (2). For
 *   the request: `properties` with a `subscriptionIdentifier` of 1 to 268,435,455, `key`, and
 *   `signal`. `nl`, `rap`, `rh` and `properties` need MQTT 5.
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
      typeof filter === 'string'
        ? { topic: filter, ...defaults }
        : { ...defaults, ...withoutUndefined(filter) },
  )
  return { cmd: 'subscribe', subscriptions, ...rest }
}

/**
 * Makes a request to end subscriptions with one UNSUBSCRIBE. Nothing is checked here: a request
 * that cannot be used has a `UsageError` as its outcome.
 *
 * @param filters one filter or several [MQTT-3.10.3-2], each of them exactly as it was
 *   subscribed [MQTT-3.10.4-1].
 * @param options `properties` (MQTT 5), `key` and `signal`.
 */
export function unsubscribe(
  filters: string | readonly string[],
  options: UnsubscribeOptions = {},
): UnsubscribeRequest {
  const unsubscriptions = typeof filters === 'string' ? [filters] : [...filters]
  return { cmd: 'unsubscribe', unsubscriptions, ...options }
}
