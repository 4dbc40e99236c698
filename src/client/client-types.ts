/**
 * What do users of `it-mqtt/client` write, and what are they given? Types only.
 */
import type {
  Connected,
  Eventloop,
  EventloopOptions,
  LoopState,
  PublishProperties,
  PublishRequest,
  QoS,
  ReconnectOptions,
  ReconnectWhen,
  Session,
  Transition,
} from '../index.ts'
import type { BrokerProfile } from './broker-profile.ts'
import type { Codec } from './codec.ts'
import type { RequestCounters, Requester, Trace } from './request-types.ts'
import type {
  ClientSubscribeOptions,
  ClientSubscriptionState,
  NextOptions,
  Subscription,
} from './subscription-types.ts'
import type { FillParams, ParamsOf, Topic, TopicParams } from './topic-types.ts'

/** What `createClient` may be given: a URL, options, or what `connect()` resolved with. */
export type ClientTarget = string | URL | ClientOptions | Connected

/** The options of `createClient()`: those of `eventloop()`, without its own, and these. */
export interface ClientOptions
  extends Omit<EventloopOptions, 'acks' | 'until' | 'onSettled' | 'packets'> {
  /**
   * The QoS of publishes and subscriptions that do not say theirs. Default 1: a publish is then
   * settled when the server has the message.
   */
  readonly qos?: QoS | undefined
  /** How many publishes may be without an outcome, 1 to 10,000,000. Default 10,000. */
  readonly maxQueued?: number | undefined
  /** How many bytes of publishes may be without an outcome, at least 1. Default 67,108,864. */
  readonly maxQueuedBytes?: number | undefined
  /**
   * What a publish beyond these bounds does: it waits in the order of the calls, or it is rejected
   * with `QUEUE_FULL`. Default `wait`.
   */
  readonly whenFull?: 'wait' | 'reject' | undefined
  /**
   * After how many ms a publish without an outcome is rejected with `TIMEOUT`, 1 to 86,400,000.
   * Default: never.
   */
  readonly publishTimeout?: number | undefined
  /**
   * How the subscriptions of a message are found: by the subscription identifiers that it carries
   * (MQTT 5), or by comparing its topic with the filters. Default `auto`: by identifiers where the
   * server has them.
   */
  readonly dispatch?: 'auto' | 'identifier' | 'filter' | undefined
  /** What is known about the server by measurement. Default: nothing. */
  readonly profile?: BrokerProfile | undefined
  /**
   * The topic at which this client is answered; scratch topics for measurements are one level
   * below it. Default: `{responseInformation}/{random}` if the server gives Response Information,
   * else `clients/{clientId}/r/{random}`.
   */
  readonly responseTopic?: string | undefined
  /** After how many ms a request is rejected with `TIMEOUT`, 1 to 86,400,000. Default 5,000. */
  readonly requestTimeout?: number | undefined
  /**
   * A text for the user property `agent` of the CONNECT, which names the program to the operator of
   * the server. MQTT 5. Default: none.
   */
  readonly agent?: string | undefined
  /**
   * Surrounds each publish, each request and each handler of a request, for example with a span of
   * OpenTelemetry. Default: nothing does.
   */
  readonly trace?: Trace | undefined
}

/** The options of `client.publish()`. */
export interface ClientPublishOptions {
  /** Default: that of the topic, else that of the client. */
  readonly qos?: QoS | undefined
  /** Default: that of the topic, else false. */
  readonly retain?: boolean | undefined
  /** MQTT 5. */
  readonly properties?: PublishProperties | undefined
  /**
   * The name of the request in the session (D7, a key that the session holds is not sent again).
   */
  readonly key?: string | number | undefined
  /** Cancels the publish: the promise is rejected with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Replaces `publishTimeout`. In ms, 1 to 86,400,000. */
  readonly timeout?: number | undefined
  /** How the payload is encoded. Default: that of the topic, else text and bytes only. */
  readonly codec?: Codec<unknown, never> | undefined
}

/** The options of `client.publish()` to a `Topic`. */
export type TopicPublishOptions<P> = Omit<ClientPublishOptions, 'codec'> &
  (keyof P extends never
    ? { readonly params?: P | undefined }
    : {
        /** The values of the topic's parameters. */
        readonly params: FillParams<P>
      })

/** What `client.publish()` resolves with. */
export interface Published {
  /** The reason code of the server; 0 at QoS 0 and in MQTT 3. */
  readonly reasonCode: number
  /** Whether the server says that nobody has subscribed to the topic (0x10, MQTT 5). */
  readonly noMatchingSubscribers: boolean
}

/** What `client.publishAll()` yields. */
export interface PublishedOne<R> {
  /** The request, as it was given. */
  readonly request: R
  /** Its outcome. */
  readonly outcome:
    | { readonly ok: true; readonly value: Published }
    | { readonly ok: false; readonly error: unknown }
}

/** The state of the loop, and what the client adds. */
export interface ClientState extends Omit<LoopState, 'subscriptions'> {
  /** Publishes without an outcome; `waiting` of them wait for room (`maxQueued`). */
  readonly publishes: {
    readonly open: number
    readonly bytes: number
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
  publish<P, V, S>(
    topic: Topic<P, V, S>,
    value: S,
    ...options: keyof P extends never ? [TopicPublishOptions<P>?] : [TopicPublishOptions<P>]
  ): Promise<Published>
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
  subscribe<const F extends string, V = Uint8Array>(
    filter: F,
    options?: ClientSubscribeOptions<V>,
  ): Subscription<ParamsOf<F>, V>
  subscribe<P, V, S>(topic: Topic<P, V, S>, options?: ClientSubscribeOptions<V>): Subscription<P, V>
  subscribe<V = Uint8Array>(
    filters: readonly (string | Topic<TopicParams, V>)[],
    options?: ClientSubscribeOptions<V>,
  ): Subscription<TopicParams, V>
  /** Sends a PINGREQ and waits for the answer. */
  ping(): Promise<{ readonly roundTripMs: number }>
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
  /** As `loop.reauthenticate()`. */
  reauthenticate: Eventloop['reauthenticate']
}
