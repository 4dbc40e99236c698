/**
 * Which words does one who sends requests use? Types only; docs/WIRE.md has their bytes.
 */
import type { IncomingPublish, PublishProperties, QoS, UserProperties } from '../index.ts'
import type { Codec } from './codec.ts'
import type { StandardSchema } from './standard-schema.ts'

/** What the `fallback` of a request is given. */
export interface FallbackRequest {
  /** The topic of the request. */
  readonly topic: string
  /** The payload, encoded. */
  readonly payload: string | Uint8Array
  /** The key of the operation: what answers must know it, as the request may have arrived too. */
  readonly key: string
}

/** A topic at which a request is answered by a service with a wire of its own. */
export interface AnswerTopic {
  /** A Topic Filter. */
  readonly topic: string
  /** Whether a message there says that the request succeeded. */
  readonly ok: boolean
}

/** The options that `request()` and `requestMany()` share. */
interface AskOptions<V> {
  /**
   * After how many ms nobody waits any more, 1 to 86,400,000. In MQTT 5 it is sent as the Message
   * Expiry Interval, in whole seconds. Default: `requestTimeout` of the client.
   */
  readonly timeout?: number | undefined
  /** Gives the request up; it is not sent if it has not left. */
  readonly signal?: AbortSignal | undefined
  /** The QoS of the request, 0, 1 or 2. Default 1. */
  readonly qos?: QoS | undefined
  /**
   * The name of the operation, 1 to 1,024 characters. A responder executes it once before the
   * deadline, however often it comes. Default: 32 random hexadecimal digits; none at QoS 0, where
   * nothing is repeated, unless `retry`, `lane` or `fallback` is given.
   */
  readonly key?: string | undefined
  /** How responses are decoded, and how a payload is encoded that is neither text nor bytes. */
  readonly codec?: Codec<V> | undefined
  /** A Standard Schema that validates decoded responses. Default: none. */
  readonly schema?: StandardSchema<unknown, V> | undefined
  /** Properties of the request. MQTT 5; in MQTT 3.1.1 they travel in the envelope. */
  readonly properties?:
    | Pick<PublishProperties, 'contentType' | 'payloadFormatIndicator' | 'userProperties'>
    | undefined
}

/** The options of `client.request()`. */
export interface RequestOptions<V = Uint8Array> extends AskOptions<V> {
  /**
   * `lost`: if the connection was lost after the request had left, it is sent again with the same
   * key, within the same deadline. Several responders may then execute it twice. Default `never`:
   * the promise waits on, and its `TIMEOUT` has `linkLost` true.
   */
  readonly retry?: 'never' | 'lost' | undefined
  /**
   * Requests of the same lane go one after the other. With a lane or a `fallback`, `ackTimeout` and
   * `responseTimeout` count from its turn, in place of `timeout`. Default: no lane.
   */
  readonly lane?: string | undefined
  /** Lane: how many ms the server has for its PUBACK, 1 to 86,400,000. Default: `timeout`. */
  readonly ackTimeout?: number | undefined
  /** Lane: how many ms the response has from then on, 1 to 86,400,000. Default: `timeout`. */
  readonly responseTimeout?: number | undefined
  /**
   * Answers in place of the responder, while the connection is not healthy and when no PUBACK came
   * within `ackTimeout`. The request may have arrived all the same, so both must know keys. Its
   * answer resolves the request, with `via: 'fallback'`.
   */
  readonly fallback?:
    | ((
        request: FallbackRequest,
        signal: AbortSignal,
      ) => Promise<string | Uint8Array> | string | Uint8Array)
    | undefined
  /**
   * For how many ms there must be no connection before `fallback` is used, 0 to 86,400,000. Three
   * pings without an answer count too. Default 5,000.
   */
  readonly afterMs?: number | undefined
  /**
   * For services with a wire of their own, such as the shadows of AWS IoT: where they answer. The
   * request is then sent as it is, without response topic, correlation and key.
   */
  readonly responses?: readonly AnswerTopic[] | undefined
  /** With `responses`: whether a message there answers this request. Default: each does. */
  readonly correlate?: ((message: IncomingPublish) => boolean) | undefined
}

/** The options of `client.requestMany()`. */
export interface ManyOptions<V = Uint8Array> extends AskOptions<V> {
  /** After how many responses it ends, at least 1. Default: no limit. */
  readonly max?: number | undefined
  /** After how many ms without a response it ends, 1 to 86,400,000. Default: never. */
  readonly stallMs?: number | undefined
}

/** A response to a request. */
export interface Response<V = Uint8Array> {
  /** The payload as it was received. */
  readonly payload: Uint8Array
  /** The payload, decoded by the codec and validated by the schema. */
  readonly value: V
  /** 200, or 204 if there is nothing to say. */
  readonly status: number
  /** The properties of the response, or undefined. */
  readonly properties: IncomingPublish['properties']
  /** Who answered: a responder, or the `fallback` of the request. */
  readonly via: 'mqtt' | 'fallback'
}

/** What became of the requests of a client: `client.state.requests`. */
export interface RequestCounters {
  /** Requests that were sent, each attempt. */
  readonly sent: number
  /** Requests that a response resolved or rejected. */
  readonly answered: number
  /** Requests that were rejected with `TIMEOUT`. */
  readonly timedOut: number
  /** Requests that were rejected with `NO_RESPONDERS`. */
  readonly noResponders: number
  /** Responses to requests that had been given up before; the latest 1,024 of them are known. */
  readonly lateAnswers: number
  /** Responses to no request that is known: repeated, or not meant for this client. */
  readonly unknownAnswers: number
  /** Responses that are not in the form of docs/WIRE.md. */
  readonly malformedAnswers: number
  /** Responses to `requestMany()` that were dropped because 10,000 waited already. */
  readonly droppedAnswers: number
  /** Requests that a `fallback` answered. */
  readonly viaFallback: number
  /** Attempts after the first one (`retry: 'lost'`). */
  readonly retried: number
  /** Requests that are not settled. */
  readonly open: number
  /** How many requests were rejected, by the code of the error. */
  readonly byCode: { readonly [code: string]: number }
}

/** How a request ended, as reported on the diagnostics channel `it-mqtt:request`. */
export interface RequestEvent {
  /** The client identifier. */
  readonly clientId: string
  /** The topic of the request. */
  readonly topic: string
  /** The key of the operation. */
  readonly key: string
  /** How often it was sent. */
  readonly attempt: number
  /** The code of the error with which it was rejected, or null. */
  readonly code: string | null
  /** How long it took, in ms. */
  readonly ms: number
  /** Who answered, or was waited for. */
  readonly via: 'mqtt' | 'fallback'
}

/** An operation that `trace` sees. */
export interface TraceOperation {
  /**
   * `publish`: a message is sent. `request`: a request is sent and its answer awaited, or its
   * answers (`requestMany`). `process`: a handler of `forEach` or `respond` runs for a message.
   */
  readonly kind: 'publish' | 'request' | 'process'
  /** The client identifier. */
  readonly clientId: string
  /** The topic. */
  readonly topic: string
  /**
   * What is the same for many topics: the template of a `Topic`, or the filter of a subscription.
   * Undefined for a topic that was given as text.
   */
  readonly template: string | undefined
  /** The User Properties of the message that came (`process`), else of the one to be sent. */
  readonly userProperties: UserProperties | undefined
  /** The key of a request, if it is known. */
  readonly key: string | undefined
}

/**
 * Surrounds an operation, for example with a span.
 *
 * @param proceed does it, once. For `publish` and `request`, what it is given is added to the User
 *   Properties of the message, such as `traceparent`. For `process` the handler runs inside of it.
 * @returns what `proceed` returned.
 */
export type Trace = <T>(
  operation: TraceOperation,
  proceed: (userProperties?: UserProperties) => Promise<T>,
) => Promise<T>
