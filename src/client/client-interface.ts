/**
 * Which methods has a client, and what does it say of itself? Types only.
 */
import type {
  Eventloop,
  LoopState,
  PublishRequest,
  ReconnectOptions,
  ReconnectWhen,
  Session,
  Transition,
} from '../index.ts'
import type {
  ClientPublishOptions,
  Published,
  PublishedOne,
  TopicPublishOptions,
} from './client-types.ts'
import type { Codec } from './codec.ts'
import type { RequestCounters } from './request-types.ts'
import type { Requester } from './requester-type.ts'
import type { Decoded, NoSchema } from './standard-schema.ts'
import type {
  ClientSubscribeOptions,
  ClientSubscriptionState,
  NextOptions,
  Subscription,
} from './subscription-types.ts'
import type { ParamsOf, ParamsOfEach, Topic, TopicParams, ValueOfEach } from './topic-types.ts'

/** The state of the loop, and what the client adds. */
export interface ClientState extends Omit<LoopState, 'subscriptions'> {
  /** Publishes without an outcome; `waiting` of them wait for room (`maxQueued`). */
  readonly publishes: {
    /** How many have no outcome, those that wait included. */
    readonly open: number
    /** The bytes of those that have left. */
    readonly bytes: number
    /** How many wait for room, or for the first connection. */
    readonly waiting: number
  }
  /** The subscriptions that have not ended. */
  readonly subscriptions: readonly ClientSubscriptionState[]
  /** What became of the requests. */
  readonly requests: RequestCounters
  /** Messages that belonged to no subscription of this client. */
  readonly unmatched: number
}

/** How a client ended. */
export interface Closed {
  /** How many requests were settled in all. */
  readonly settled: number
  /** How many were not; the session holds those that had left. */
  readonly unsettled: number
  /** The session at the end, for a later client. */
  readonly session: Session
}

/**
 * An MQTT client whose promises drive it: the connection is read only while somebody awaits
 * something of the client.
 */
export interface Client extends Requester, AsyncDisposable {
  /**
   * Connects.
   * @returns the limits that the server gave in its CONNACK.
   * @throws the error that ended the client; `TIMEOUT`; the reason of the signal.
   */
  ready(options?: NextOptions): Promise<NonNullable<LoopState['connection']['limits']>>
  /**
   * Publishes one message. Publishes leave in the order of the calls, for each QoS.
   * @returns a promise of the outcome: at QoS 1 and 2 the server has the message.
   * @throws UsageError for what cannot be sent; RefusedError if the server refuses it; `TIMEOUT`;
   *   `ENDED`, with `held` true if the session still has it.
   */
  publish(
    topic: string,
    payload?: PublishRequest['payload'],
    options?: ClientPublishOptions,
  ): Promise<Published>
  /**
   * Publishes a value to a topic with parameters; the codec and the schema of the topic apply.
   * @param options `params` has the values of the topic's parameters, if it has any.
   */
  publish<P, V, S>(
    topic: Topic<P, V, S>,
    value: S,
    ...options: keyof P extends never ? [TopicPublishOptions<P>?] : [TopicPublishOptions<P>]
  ): Promise<Published>
  /** Publishes a value, encoded by the option `codec`. */
  publish<S>(
    topic: string,
    value: S,
    options: ClientPublishOptions & { readonly codec: Codec<unknown, S> },
  ): Promise<Published>
  /**
   * Publishes all requests of an iterable, which is pulled only as far as `concurrency` (default
   * 1,000; 1 to 65,535) allows.
   * @returns the outcomes, in the order in which they come. They drive the publishes.
   */
  publishAll<R extends Omit<PublishRequest, 'cmd'>>(
    requests: Iterable<R> | AsyncIterable<R>,
    options?: { readonly concurrency?: number | undefined },
  ): AsyncIterableIterator<PublishedOne<R>, undefined>
  /**
   * Subscribes. The SUBSCRIBE is queued by this call, in order with publishes, and leaves when
   * somebody awaits something of the client.
   * @param filter a Topic Filter, a template such as `plant/{line}/temp`, a `Topic`, or an array.
   * @throws UsageError for a filter or an option that cannot be used.
   */
  subscribe<const F extends string, V = NoSchema, C = Uint8Array>(
    filter: F,
    options?: ClientSubscribeOptions<V, C>,
  ): Subscription<ParamsOf<F>, Decoded<V, C>>
  /** Subscribes to a `Topic`: parameters and values have its types. */
  subscribe<P, V, S>(topic: Topic<P, V, S>, options?: ClientSubscribeOptions<V>): Subscription<P, V>
  /**
   * Subscribes to several filters with one subscription. A message has the parameters and the value
   * of the first member of the array that it matches.
   */
  subscribe<const F extends readonly (string | Topic<TopicParams, unknown>)[]>(
    filters: F,
    options?: ClientSubscribeOptions<ValueOfEach<F[number]>> & {
      readonly codec?: undefined
      readonly schema?: undefined
    },
  ): Subscription<ParamsOfEach<F[number]>, ValueOfEach<F[number]>>
  /** Subscribes to several filters, whose payloads are all decoded by the options. */
  subscribe<
    const F extends readonly (string | Topic<TopicParams, unknown>)[],
    V = NoSchema,
    C = unknown,
  >(
    filters: F,
    options: ClientSubscribeOptions<V, C>,
  ): Subscription<ParamsOfEach<F[number]>, Decoded<V, C>>
  /** Sends a PINGREQ and waits for the answer. */
  ping(): Promise<{
    /** The time from the PINGREQ to its PINGRESP, in ms. */
    readonly roundTripMs: number
  }>
  /**
   * Keeps the client reading until the signal is aborted: what a server of requests awaits.
   * @throws the error that ended the client.
   */
  run(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /**
   * Ends the client: takes nothing more, waits at most `timeout` ms (default 10,000) for outcomes
   * and for messages in hand, and disconnects. Subscriptions end without an error. To call it
   * twice is to call it once.
   */
  close(options?: { readonly timeout?: number | undefined }): Promise<Closed>
  /** A snapshot of the client. */
  readonly state: ClientState
  /** The session, as `loop.session`. */
  readonly session: Session
  /** Watches the connection change, as `loop.transitions()`. */
  transitions(): AsyncIterableIterator<Transition, undefined>
  /** As `loop.pause()`. */
  pause(ms?: number): void
  /** As `loop.resume()`. */
  resume(): void
  /** As `loop.reconnect()`. */
  reconnect(policy?: ReconnectWhen | ReconnectOptions): void
  /** As `loop.warn()`: reports a warning of a layer above the client as the client's own. */
  warn: Eventloop['warn']
  /** As `loop.reauthenticate()`. */
  reauthenticate: Eventloop['reauthenticate']
}
