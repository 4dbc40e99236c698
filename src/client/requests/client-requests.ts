/**
 * What does a client have for requests and responses? The four methods, over one desk of requests
 * and one timer.
 */
import { UsageError, type UserProperties } from '../../index.ts'
import { checkCount, shown, TIME_MS_MAX } from '../check-options.ts'
import { calledAfterEnd } from '../client-errors.ts'
import type { Core } from '../core.ts'
import type {
  ManyOptions,
  RequestCounters,
  RequestOptions,
  Response,
  TraceOperation,
} from '../request-types.ts'
import type {
  RequestSubscription,
  RequestsOptions,
  Responder,
  RespondOptions,
} from '../respond-types.ts'
import type { Topic, TopicParams } from '../topic-types.ts'
import { payloadBytesOf, templateOf, tracedMany } from '../tracing.ts'
import { callPlanOf, poolPlanOf } from './call-plan.ts'
import { type Handler, HandlerResponder } from './handler-responder.ts'
import { LaneRequest } from './lane-request.ts'
import { ManyRequest } from './many-request.ts'
import { PulledRequests } from './pulled-requests.ts'
import { RequestCounts } from './request-counts.ts'
import { RequestDesk } from './request-desk.ts'
import { type Ask, type AskedPayload, askedPayload, askOf } from './request-plan.ts'
import { type SettleRequest, SingleRequest } from './single-request.ts'
import { StreamControls } from './stream-controls.ts'

/** The counters of a client that has made no request. */
export const NO_REQUEST_COUNTS: RequestCounters = new RequestCounts().snapshot

type Filter = string | Topic<TopicParams, never>

export class ClientRequests {
  readonly #core: Core
  readonly #desk: RequestDesk
  readonly #controls: StreamControls

  constructor(core: Core) {
    this.#core = core
    this.#desk = new RequestDesk(core)
    this.#controls = new StreamControls(core)
  }

  /** What became of the requests: `client.state.requests`. */
  get counters(): RequestCounters {
    return this.#desk.counts.snapshot
  }

  request<V>(topic: unknown, payload?: unknown, options?: RequestOptions<V>): Promise<Response<V>> {
    const { requestTimeout, trace } = this.#core.plan
    let ask: Ask
    let bytes: AskedPayload
    try {
      this.#mustBeOpen('request')
      const given = options as RequestOptions<never> | undefined
      ask = askOf('request', topic, payload, requestTimeout, given)
      bytes = askedPayload('request', payload, ask)
    } catch (error) {
      return Promise.reject(error)
    }
    if (trace === undefined) return this.#ask(ask, bytes)
    return trace(this.#operation(ask, bytes, topic), (added) =>
      this.#ask<V>(askWith(ask, added), bytes),
    )
  }

  #operation(ask: Ask, payload: AskedPayload, to: unknown): TraceOperation {
    return {
      kind: 'request',
      clientId: this.#core.clientId,
      topic: ask.topic,
      template: templateOf(to),
      userProperties: ask.properties?.userProperties,
      key: ask.key,
      payloadBytes: payloadBytesOf(payload),
    }
  }

  #ask<V>(ask: Ask, payload: AskedPayload): Promise<Response<V>> {
    return new Promise((resolve) => {
      const rare = ask.rare
      const turns = rare !== null && (rare.lane !== undefined || rare.fallback !== undefined)
      const Kind = turns ? LaneRequest : SingleRequest
      new Kind(this.#desk, ask, payload, resolve as SettleRequest).begin()
    })
  }

  requestMany<V>(
    topic: unknown,
    payload?: unknown,
    options?: ManyOptions<V>,
  ): AsyncIterableIterator<Response<V>, undefined> {
    const what = 'requestMany'
    this.#mustBeOpen(what)
    const { requestTimeout, trace } = this.#core.plan
    const ask = askOf(what, topic, payload, requestTimeout, options as ManyOptions<never>)
    const bytes = askedPayload(what, payload, ask)
    const { max, stallMs } = options ?? {}
    const name = `${what}: max`
    const most = max === undefined ? max : checkCount(name, max, 1, Number.MAX_SAFE_INTEGER)
    if (stallMs !== undefined) checkCount(`${what}: stallMs`, stallMs, 1, TIME_MS_MAX)
    const make = (added?: UserProperties) =>
      new ManyRequest(
        this.#desk,
        askWith(ask, added),
        bytes,
        most ?? Number.POSITIVE_INFINITY,
        stallMs,
      ) as unknown as AsyncIterableIterator<Response<V>, undefined>
    return trace === undefined
      ? make()
      : tracedMany(trace, this.#operation(ask, bytes, topic), make)
  }

  requests<P, V>(topic: unknown, options: RequestsOptions<V> = {}): RequestSubscription<P, V> {
    this.#mustBeOpen('requests')
    const plan = callPlanOf('requests', topic, options as RequestsOptions<never>)
    return new PulledRequests(
      this.#core,
      this.#desk.deadlines,
      this.#controls,
      topic as Filter,
      plan,
      options as RequestsOptions,
    ) as unknown as RequestSubscription<P, V>
  }

  respond<P, V>(topic: unknown, handler: unknown, options: RespondOptions<P, V> = {}): Responder {
    this.#mustBeOpen('respond')
    if (typeof handler !== 'function') {
      throw new UsageError(`respond: the handler must be a function, not ${shown(handler)}`)
    }
    const given = options as unknown as RespondOptions<never, never>
    const plan = callPlanOf('respond', topic, given)
    return new HandlerResponder(
      this.#core,
      this.#desk.deadlines,
      this.#controls,
      topic as Filter,
      handler as Handler,
      plan,
      poolPlanOf(given),
    )
  }

  #mustBeOpen(what: string): void {
    if (this.#core.closing) throw calledAfterEnd(what)
  }
}

function askWith(ask: Ask, added: UserProperties | undefined): Ask {
  if (added === undefined) return ask
  const { properties } = ask
  const userProperties = { ...properties?.userProperties, ...added }
  return { ...ask, properties: { ...properties, userProperties } }
}
