/**
 * What do users of `it-mqtt/client` write, and what are they given? Types only.
 */
import type { Connected, EventloopOptions, PublishProperties, QoS } from '../index.ts'
import type { Codec } from './codec.ts'
import type { Trace } from './request-types.ts'
import type { FillParams } from './topic-types.ts'

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
  /**
   * The topic at which this client is answered; scratch topics for measurements are one level
   * below it. Default: `{responseInformation}/{random}` if the server gives Response Information,
   * else `clients/{clientId}/r/{random}`, with dots of the identifier as `%2E`.
   */
  readonly responseTopic?: string | undefined
  /** After how many ms a request is rejected with `TIMEOUT`, 1 to 86,400,000. Default 5,000. */
  readonly requestTimeout?: number | undefined
  /**
   * A text for the user property `agent` of the CONNECT, which names the program to the operator of
   * the server. It needs MQTT 5, so that a server of 3.1.1 alone refuses the client. Default:
   * none.
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
    ? {
        /** The topic has no parameters. */
        readonly params?: P | undefined
      }
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
    | {
        /** Whether it was published. */
        readonly ok: true
        /** What `publish()` would resolve with. */
        readonly value: Published
      }
    | {
        /** Whether it was published. */
        readonly ok: false
        /** What `publish()` would reject with. */
        readonly error: unknown
      }
}
