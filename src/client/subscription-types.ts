/**
 * What does `client.subscribe()` take and give? Types only.
 */
import type { IncomingPublish, QoS } from '../index.ts'
import type { Codec } from './codec.ts'
import type { StandardSchema } from './standard-schema.ts'
import type { TopicParams } from './topic-types.ts'

/** What a subscription does with messages at QoS 0 that wait and are more than `max`. */
export interface Overflow {
  /** How many messages may wait, 1 to 1,000,000. Default 1,000. */
  readonly max?: number | undefined
  /**
   * `dropOldest` and `dropNewest` drop a message and count it. `wait` keeps it, and stops reading
   * while nobody but `run()` needs the connection. Default `dropOldest`.
   */
  readonly then?: 'dropOldest' | 'dropNewest' | 'wait' | undefined
}

/** The options of `client.subscribe()`. */
export interface ClientSubscribeOptions<V = unknown> {
  /** The largest QoS at which the server may send. Default: that of the client. */
  readonly qos?: QoS | undefined
  /**
   * When a message at QoS 1 or 2 is acknowledged: `pull`, when the next one is asked for;
   * `receipt`, as it arrives; `manual`, when `message.ack()` is called. Default `pull`.
   */
  readonly acks?: 'pull' | 'receipt' | 'manual' | undefined
  /** What happens to messages at QoS 0 that wait. */
  readonly overflow?: Overflow | undefined
  /**
   * What `break`, an error and disposal do. `release`: the last subscription of a filter ends it at
   * the server, and messages that were not handled are acknowledged. `keep`: the filter stays
   * subscribed, and these messages are given to the next subscription of it, or sent again by the
   * server to the next client on the session. Default: `keep` if the client goes on with a session
   * (`session`, or `cleanStart: false`), else `release`.
   */
  readonly onLeave?: 'keep' | 'release' | undefined
  /**
   * `own`: a connection of its own, so that it holds nobody back and nobody holds it back. Default
   * `shared`.
   */
  readonly connection?: 'shared' | 'own' | undefined
  /** The name of a Shared Subscription, without / + and #. Default: none. (4.8.2) */
  readonly share?: string | undefined
  /**
   * Which retained messages the server sends: `all`; `new`, only if it has no such subscription
   * yet; or `none`. Default `all`. MQTT 5. (3.8.3.1)
   */
  readonly retained?: 'all' | 'new' | 'none' | undefined
  /** Whether the server leaves out what this client published. Default false. MQTT 5. */
  readonly noLocal?: boolean | undefined
  /** How payloads are decoded. Default: that of the topic, else `bytes`. */
  readonly codec?: Codec<V, never> | undefined
  /** A Standard Schema that validates decoded payloads. Default: that of the topic, else none. */
  readonly schema?: StandardSchema<unknown, V> | undefined
  /**
   * What happens to a message whose payload cannot be decoded, or is refused by the schema:
   * `throw`: `next()` rejects with `INVALID_PAYLOAD`; `skip`: it is acknowledged and counted; a
   * function is given the error and the message, which is then acknowledged; what it throws
   * `next()` rejects with. Default `throw`. When `next()` rejects, the message counts as given, so
   * that the next pull acknowledges it.
   */
  readonly onInvalid?: 'throw' | 'skip' | ((error: unknown, message: Message) => void) | undefined
  /** Ends the subscription; its `next()` rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined
}

/** The options of `next()` and `first()`. */
export interface NextOptions {
  /** Ends the wait; the call rejects with the reason of the signal, and no message is lost. */
  readonly signal?: AbortSignal | undefined
  /** After how many ms the call rejects with `TIMEOUT`, 1 to 86,400,000. Default: never. */
  readonly timeout?: number | undefined
}

/** A message, as one subscription gets it. */
export interface Message<P = TopicParams, V = Uint8Array> {
  /** The topic. */
  readonly topic: string
  /** The parts of the topic that the template names, or the wildcards by number. */
  readonly params: P
  /** The payload as it was received. */
  readonly payload: IncomingPublish['payload']
  /**
   * The payload decoded by the codec and validated by the schema, when it is first read.
   * @throws ProtocolError `INVALID_PAYLOAD`; only with `onInvalid: 'throw'` it can be seen here.
   */
  readonly value: V
  /** The QoS, at most that of the subscription. */
  readonly qos: QoS
  /** Whether it is a retained message that the subscription brought. */
  readonly retain: boolean
  /** The properties of the PUBLISH, or undefined. MQTT 5. */
  readonly properties: IncomingPublish['properties']
  /** Whether it may have been given before: DUP, or a subscription left it. */
  readonly redelivered: boolean
  /** QoS 2: the number of the message in the session (R2, a QoS 2 message is yielded once). */
  readonly deliveryId: number | undefined
  /** The subscription that got it. */
  readonly subscription: Subscription<P, V>
  /** Acknowledges the message: it is handled. With `acks: 'pull'` the next pull does it. */
  ack(): void
}

/** A change of a subscription. */
export interface SubscriptionTransition {
  /** What happened. */
  readonly status: 'granted' | 'renewing' | 'resumed' | 'refused'
  /** Whether messages may be missing, because the server had lost the session. */
  readonly gap: boolean
  /** The QoS for each filter, with `granted`. */
  readonly granted?: readonly number[]
}

/** What is known about a subscription now. */
export interface ClientSubscriptionState {
  /** Its filters, as they are sent. */
  readonly filters: readonly string[]
  /** Whether the server has granted it. */
  readonly status: 'requested' | 'granted' | 'renewing' | 'refused' | 'ended'
  /** Messages that wait to be pulled. */
  readonly waiting: number
  /** Messages that were pulled and are not acknowledged. */
  readonly inHand: number
  /** How many acknowledgements of others wait behind its oldest unacknowledged message. */
  readonly holding: number
  /** Messages at QoS 0 that were dropped (`overflow`). */
  readonly dropped: number
  /** Messages that were left unhandled and acknowledged (`onLeave: 'release'`). */
  readonly released: number
  /** Messages whose payload was not valid (`onInvalid`). */
  readonly invalid: number
}

/** What `synced` resolves with. */
export interface Synced {
  /**
   * `ordered`: the server is known to send retained messages before a message that is published
   * after the SUBACK, and that message has come back. `quiet`: it has come back, and no retained
   * message came for 250 ms. MQTT has no proof that all have come.
   */
  readonly certainty: 'ordered' | 'quiet'
  /** How many retained messages have come. */
  readonly count: number
}

/** The messages of one subscription: iterate it, once. */
export interface Subscription<P = TopicParams, V = Uint8Array>
  extends AsyncIterableIterator<Message<P, V>, undefined>,
    AsyncDisposable {
  /**
   * The QoS that the server granted for each filter. Rejects if it refused one. To read it makes
   * the client connect.
   */
  readonly granted: Promise<readonly QoS[]>
  /** Resolves when the retained messages of the filters have come, as far as this can be known. */
  readonly synced: Promise<Synced>
  /** What is known about it now. */
  readonly state: ClientSubscriptionState
  /**
   * The next message. Calls are answered in order, one message each.
   * @throws what ended the subscription, or `TIMEOUT`, or the reason of the signal.
   */
  next(options?: NextOptions): Promise<IteratorResult<Message<P, V>, undefined>>
  /**
   * The next message; then the subscription ends, and what else has come is acknowledged.
   * @throws as `next()`; and ConnectionError `ENDED` if the subscription ends before.
   */
  first(options?: NextOptions): Promise<Message<P, V>>
  /**
   * Calls `handler` with each message until the subscription ends. A message is acknowledged when
   * its handler has finished.
   * @param options `concurrency`: how many handlers may run, 1 to 65,535; default 1. `onError`:
   *   called if a handler throws; then the message counts as handled. Default: the error ends the
   *   subscription and rejects the promise, and the message is not acknowledged.
   */
  forEach(
    handler: (message: Message<P, V>) => unknown,
    options?: {
      readonly concurrency?: number | undefined
      readonly onError?: ((error: unknown, message: Message<P, V>) => unknown) | undefined
    },
  ): Promise<void>
  /** Watches it change. None of these iterators delays the client. */
  transitions(): AsyncIterableIterator<SubscriptionTransition, undefined>
  /** Ends it, as `break` does. */
  return(): Promise<IteratorResult<Message<P, V>, undefined>>
}
