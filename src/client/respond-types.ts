/**
 * Which words does one who answers requests use? Types only; docs/WIRE.md has their bytes.
 */
import type { IncomingPublish, PublishProperties, QoS, UserProperties } from '../index.ts'
import type { Codec } from './codec.ts'
import type { StandardSchema } from './standard-schema.ts'
import type { Message, Subscription } from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'

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
  /** The status: 200, or one of docs/WIRE.md. */
  readonly status: number
  /** The name of a failure. */
  readonly code?: string | undefined
  /** The explanation of a failure, for people. */
  readonly message?: string | undefined
  /** The payload of the answer. */
  readonly payload: string | Uint8Array
  /** The type of the payload. */
  readonly contentType?: string | undefined
  /** Whether the payload is UTF-8 text. */
  readonly payloadFormatIndicator?: boolean | undefined
  /** The User Properties that the handler gave. */
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
  /** Resolves when the server has granted the filter. To read it makes the client connect. */
  readonly granted: Promise<void>
  /**
   * Resolves when the responder was closed, and rejects with what ended it. To read it keeps the
   * client reading until then.
   */
  readonly done: Promise<void>
  /** What became of its requests. */
  readonly stats: ResponderStats
  /** Takes no more requests, and waits for those whose handlers run. */
  close(): Promise<void>
}

/** Requests, to be iterated. */
export interface RequestSubscription<P = TopicParams, V = Uint8Array>
  extends AsyncIterableIterator<IncomingRequest<P, V>, undefined>,
    AsyncDisposable {
  /** Resolves when the server has granted the filter. To read it makes the client connect. */
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
