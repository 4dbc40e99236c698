/**
 * Which methods has a client for requests and responses? Types only.
 */

import type { ManyOptions, RequestOptions, Response } from './request-types.ts'
import type {
  IncomingRequest,
  RequestSubscription,
  RequestsOptions,
  Responder,
  RespondOptions,
} from './respond-types.ts'
import type { Decoded, NoSchema } from './standard-schema.ts'
import type { ClientSubscribeOptions } from './subscription-types.ts'
import type { FillParams, ParamsOf, Topic } from './topic-types.ts'

/** The values of the parameters of a `Topic`, if it has any. */
type WithParams<P> = keyof P extends never
  ? { readonly params?: P | undefined }
  : { readonly params: FillParams<P> }

/** The methods of a client for requests and responses. */
export interface Requester {
  /**
   * Sends a request and waits for its response.
   * @throws RefusedError with `remote` for an answer that says no, and `NO_RESPONDERS` if the
   *   server says that nobody has subscribed; ConnectionError `TIMEOUT` (with `linkLost`) and
   *   `ENDED`; ProtocolError `INVALID_RESPONSE`; UsageError for what cannot be sent; the reason of
   *   the signal.
   */
  request<V = NoSchema, C = Uint8Array>(
    topic: string,
    payload?: unknown,
    options?: RequestOptions<V, C>,
  ): Promise<Response<Decoded<V, C>>>
  /** Sends a request to a `Topic`: its codec encodes the value; its parameters are options. */
  request<P, R, S, V = NoSchema, C = Uint8Array>(
    topic: Topic<P, R, S>,
    value: S,
    ...options: keyof P extends never
      ? [options?: RequestOptions<V, C> & WithParams<P>]
      : [options: RequestOptions<V, C> & WithParams<P>]
  ): Promise<Response<Decoded<V, C>>>
  /**
   * Sends a request when it is iterated, and yields its responses: those of several responders, or
   * the parts of a stream. It ends after `max`, after `stallMs` of silence, with the last part of a
   * stream, and at the deadline, if something came and it is no stream. `break` cancels a stream.
   * @throws as `request()`, and ConnectionError `STREAM_GAP` if a part is missing.
   */
  requestMany<V = NoSchema, C = Uint8Array>(
    topic: string,
    payload?: unknown,
    options?: ManyOptions<V, C>,
  ): AsyncIterableIterator<Response<Decoded<V, C>>, undefined>
  /** As above, for a `Topic`. */
  requestMany<P, R, S, V = NoSchema, C = Uint8Array>(
    topic: Topic<P, R, S>,
    value: S,
    ...options: keyof P extends never
      ? [options?: ManyOptions<V, C> & WithParams<P>]
      : [options: ManyOptions<V, C> & WithParams<P>]
  ): AsyncIterableIterator<Response<Decoded<V, C>>, undefined>
  /**
   * The requests to a filter, to be iterated. One is acknowledged when it was answered, or its
   * deadline has passed.
   */
  requests<const F extends string, V = NoSchema, C = Uint8Array>(
    filter: F,
    options?: RequestsOptions<V, C> & Pick<ClientSubscribeOptions, 'signal'>,
  ): RequestSubscription<ParamsOf<F>, Decoded<V, C>>
  /** As above, for a `Topic`. */
  requests<P, V, S>(
    topic: Topic<P, V, S>,
    options?: RequestsOptions<V> & Pick<ClientSubscribeOptions, 'signal'>,
  ): RequestSubscription<P, V>
  /**
   * Answers the requests to a filter with what `handler` returns: see `IncomingRequest.respond`.
   * The client reads while `done` or `run()` is awaited.
   */
  respond<const F extends string, V = NoSchema, C = Uint8Array>(
    filter: F,
    handler: (request: IncomingRequest<ParamsOf<F>, Decoded<V, C>>) => unknown,
    options?: RespondOptions<ParamsOf<F>, V, C>,
  ): Responder
  /** As above, for a `Topic`. */
  respond<P, V, S>(
    topic: Topic<P, V, S>,
    handler: (request: IncomingRequest<P, V>) => unknown,
    options?: RespondOptions<P, V>,
  ): Responder
}
