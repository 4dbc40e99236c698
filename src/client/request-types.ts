/**
 * Which words do requests and responses have? Types only; docs/WIRE.md has their bytes.
 */
import type { IncomingPublish, PublishProperties, QoS, UserProperties } from '../index.ts'
import type { Codec } from './codec.ts'
import type { StandardSchema } from './standard-schema.ts'
import type { ClientSubscribeOptions, Message, Subscription } from './subscription-types.ts'
import type { ParamsOf, Topic, TopicParams } from './topic-types.ts'

// --------------------------------------------------------------------------------- the requester

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
   * deadline, however often it comes. Default: 32 random hexadecimal digits.
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

/** The values of the parameters of a `Topic`, if it has any. */
type WithParams<P> = keyof P extends never
  ? { readonly params?: P | undefined }
  : { readonly params: { readonly [K in keyof P]: P[K] | number } }

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

// --------------------------------------------------------------------------------- the responder

/** A failure that a requester is told: the fields of its `error.remote`. */
export interface DeclaredFailure {
  /** 400 to 599. Default 422, an error that the API declares. */
  readonly status?: number | undefined
  /** Names the case for programs, at most 128 characters. */
  readonly code: string
  /** For people; what is longer than 4 KiB is cut. */
  readonly message?: string | undefined
  /** The payload of the response. */
  readonly data?: unknown
}

/** The options of an answer. */
export interface AnswerOptions {
  /** Properties of the response. */
  readonly properties?:
    | Pick<PublishProperties, 'contentType' | 'payloadFormatIndicator' | 'userProperties'>
    | undefined
}

/** A request, as a responder gets it. */
export interface IncomingRequest<P = TopicParams, V = Uint8Array> {
  /** The topic. */
  readonly topic: string
  /** The parts of the topic that the template names, or the wildcards by number. */
  readonly params: P
  /** The payload; that inside of the envelope, if there is one. */
  readonly payload: Uint8Array
  /** The payload, decoded by the codec and validated by the schema. */
  readonly value: V
  /** The properties of the PUBLISH, or undefined. */
  readonly properties: IncomingPublish['properties']
  /** The User Properties: those of the PUBLISH, or those of the envelope. */
  readonly userProperties: UserProperties
  /** The name of the operation. Without one it is the response topic and the correlation. */
  readonly key: string
  /** Which attempt of the requester it is, from 1. */
  readonly attempt: number
  /** When it is too late for an answer, in ms on the clock of the client (`platform.now()`). */
  readonly deadline: number
  /** Aborted at the deadline, when the requester cancels a stream, and when the client closes. */
  readonly signal: AbortSignal
  /** The message that brought it. */
  readonly message: Message<P, Uint8Array>
  /**
   * Answers. A second answer is ignored.
   * @param payload text, bytes, what the codec encodes, nothing (204), or an async iterable, each
   *   value of which is sent as a part.
   * @returns a promise that resolves when the answer was handed to the connection, or given up.
   * @throws UsageError for a payload that cannot be encoded.
   */
  respond(payload?: unknown, options?: AnswerOptions): Promise<void>
  /**
   * Answers with status 422: the requester's promise is rejected with a RefusedError of this code.
   */
  fail(code: string, message?: string, data?: unknown): Promise<void>
}

/** Where the answers of a responder are remembered beyond its process. */
export interface DedupeStore {
  /**
   * Claims the execution of an operation until `expiresMs` from now; it must be atomic.
   * @returns `new` if the caller has to execute it; `running` if another process does; else its
   *   answer, as it was given to `finish`.
   */
  claim(
    key: string,
    fingerprint: string,
    expiresMs: number,
  ): Promise<'new' | 'running' | StoredAnswer>
  /** Stores the answer of an operation that was claimed. */
  finish(key: string, answer: StoredAnswer, expiresMs: number): Promise<void>
  /** Forgets a claim: the operation was not executed. */
  release(key: string): Promise<void>
}

/** The answer of an operation, as plain data. */
export interface StoredAnswer {
  /** The fingerprint that was claimed; another one means another payload under the same key. */
  readonly fingerprint: string
  readonly status: number
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly payload: string | Uint8Array
  readonly contentType?: string | undefined
  readonly payloadFormatIndicator?: boolean | undefined
  readonly userProperties?: UserProperties | undefined
}

/** How a responder recognizes repeated requests. */
export interface DedupeOptions {
  /** How many bytes of answers and keys it keeps, at least 1,024. Default 16,777,216. */
  readonly maxBytes?: number | undefined
  /** How many operations it keeps, 1 to 10,000,000. Default 65,536. */
  readonly maxEntries?: number | undefined
  /** Where answers are kept beyond the process. Default: nowhere. */
  readonly store?: DedupeStore | undefined
}

/** The options that `respond()` and `requests()` share. */
export interface RequestsOptions<V = Uint8Array> {
  /** The largest QoS at which the server may send requests. Default: that of the client. */
  readonly qos?: QoS | undefined
  /** The name of a Shared Subscription: each request comes to one of those who share it. */
  readonly share?: string | undefined
  /** The QoS of responses. Default 0: they never wait behind a full window. */
  readonly responseQos?: QoS | undefined
  /**
   * The longest time from arrival to answer in ms, 1 to 86,400,000. Default: until the request
   * expires, and 30,000 for a request that does not say when.
   */
  readonly timeout?: number | undefined
  /**
   * Within its deadline an operation is executed once, however often it comes: repetitions get the
   * same answer. Nothing is forgotten before its deadline; when the memory is full, new requests
   * are answered with 503. False: each request is executed. Default: in memory.
   */
  readonly dedupe?: boolean | DedupeOptions | undefined
  /**
   * Filters of the topics to which answers may be published. Topics that begin with `$` or have
   * wildcards are never answered. Default: all others.
   */
  readonly allowResponseTopics?: readonly string[] | undefined
  /** How requests are decoded and answers encoded. Default: that of the topic, else bytes. */
  readonly codec?: Codec<V> | undefined
  /** A Standard Schema of requests; others are answered with 400. Default: that of the topic. */
  readonly schema?: StandardSchema<unknown, V> | undefined
}

/** The options of `client.respond()`. */
export interface RespondOptions<P = TopicParams, V = Uint8Array> extends RequestsOptions<V> {
  /** How many handlers may run, 1 to 65,535. Default 16. */
  readonly concurrency?: number | undefined
  /** How many requests may wait for a handler, 0 to 65,535; others get 503. Default 1,024. */
  readonly maxPending?: number | undefined
  /**
   * Called if a handler throws. What it returns is what the requester is told. Default: the
   * requester is told only that the handler failed, and `id`; the warning `HANDLER_FAILED` has the
   * same `id`, and the error.
   */
  readonly onError?:
    | ((error: unknown, request: IncomingRequest<P, V>, id: string) => DeclaredFailure | undefined)
    | undefined
}

/** What became of the requests that a responder got. */
export interface ResponderStats {
  /** Requests that came, repetitions included. */
  readonly received: number
  /** Handlers that run now. */
  readonly running: number
  /** Requests that wait for a handler. */
  readonly pending: number
  /** Answers with a status below 400. */
  readonly answered: number
  /** Answers with a status of 400 and above. */
  readonly failed: number
  /** Requests answered with 503, because too many waited or the memory was full. */
  readonly busy: number
  /** Repetitions that were not executed. */
  readonly repeated: number
  /** Requests that were not executed or not answered because their deadline had passed. */
  readonly expired: number
  /** Requests that were not executed because of their response topic (`allowResponseTopics`). */
  readonly unanswerable: number
  /** Handlers that had not ended at their deadline. They do not count as running. */
  readonly abandoned: number
}

/** Answers requests until it is closed. */
export interface Responder extends AsyncDisposable {
  /** Resolves when the server has granted the filter. Reading it makes the client connect. */
  readonly granted: Promise<void>
  /**
   * Resolves when the responder was closed, and rejects with what ended it. Reading it keeps the
   * client reading until then.
   */
  readonly done: Promise<void>
  /** What became of its requests. */
  readonly stats: ResponderStats
  /** Takes no more requests, and waits for those whose handlers run. */
  close(): Promise<void>
}

/** An operation that `trace` sees. */
export interface TraceOperation {
  /**
   * `publish`: a message is sent. `request`: a request is sent and its answer awaited. `process`: a
   * handler runs for a message.
   */
  readonly kind: 'publish' | 'request' | 'process'
  /** The client identifier. */
  readonly clientId: string
  /** The topic. */
  readonly topic: string
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

/** The methods of a client for requests and responses. */
export interface Requester {
  /**
   * Sends a request and waits for its response.
   * @throws RefusedError with `remote` for an answer that says no, and `NO_RESPONDERS` if the
   *   server says that nobody has subscribed; ConnectionError `TIMEOUT` (with `linkLost`) and
   *   `ENDED`; ProtocolError `INVALID_RESPONSE`; UsageError for what cannot be sent; the reason of
   *   the signal.
   */
  request<V = Uint8Array>(
    topic: string,
    payload?: unknown,
    options?: RequestOptions<V>,
  ): Promise<Response<V>>
  request<P, W, V = Uint8Array>(
    topic: Topic<P, W>,
    value: W,
    options: RequestOptions<V> & WithParams<P>,
  ): Promise<Response<V>>
  /**
   * Sends a request when it is iterated, and yields its responses: those of several responders, or
   * the parts of a stream. It ends after `max`, after `stallMs` of silence, with the last part of a
   * stream, and at the deadline, if something came and it is no stream. `break` cancels a stream.
   * @throws as `request()`, and ConnectionError `STREAM_GAP` if a part is missing.
   */
  requestMany<V = Uint8Array>(
    topic: string,
    payload?: unknown,
    options?: ManyOptions<V>,
  ): AsyncIterableIterator<Response<V>, undefined>
  requestMany<P, W, V = Uint8Array>(
    topic: Topic<P, W>,
    value: W,
    options: ManyOptions<V> & WithParams<P>,
  ): AsyncIterableIterator<Response<V>, undefined>
  /**
   * The requests to a filter, to be iterated. One is acknowledged when it was answered, or its
   * deadline has passed.
   */
  requests<const F extends string, V = Uint8Array>(
    filter: F,
    options?: RequestsOptions<V> & Pick<ClientSubscribeOptions, 'signal'>,
  ): RequestSubscription<ParamsOf<F>, V>
  requests<P, V>(
    topic: Topic<P, V>,
    options?: RequestsOptions<V> & Pick<ClientSubscribeOptions, 'signal'>,
  ): RequestSubscription<P, V>
  /**
   * Answers the requests to a filter with what `handler` returns: see `IncomingRequest.respond`.
   * The client reads while `done` or `run()` is awaited.
   */
  respond<const F extends string, V = Uint8Array>(
    filter: F,
    handler: (request: IncomingRequest<ParamsOf<F>, V>) => unknown,
    options?: RespondOptions<ParamsOf<F>, V>,
  ): Responder
  respond<P, V>(
    topic: Topic<P, V>,
    handler: (request: IncomingRequest<P, V>) => unknown,
    options?: RespondOptions<P, V>,
  ): Responder
}

/** Requests, to be iterated. */
export interface RequestSubscription<P = TopicParams, V = Uint8Array>
  extends AsyncIterableIterator<IncomingRequest<P, V>, undefined>,
    AsyncDisposable {
  /** Resolves when the server has granted the filter. Reading it makes the client connect. */
  readonly granted: Subscription['granted']
  /** The state of the subscription. */
  readonly state: Subscription['state']
  /** The next request. Calls are answered in order, one request each. */
  next(options?: {
    readonly signal?: AbortSignal | undefined
    readonly timeout?: number | undefined
  }): Promise<IteratorResult<IncomingRequest<P, V>, undefined>>
  /** Ends it, as `break` does. */
  return(): Promise<IteratorResult<IncomingRequest<P, V>, undefined>>
}
