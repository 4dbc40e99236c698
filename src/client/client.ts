/**
 * `createClient()`: promises, subscriptions and requests over one loop. The object that users get
 * checks what they give and passes it on.
 */
import {
  type Eventloop,
  type PublishRequest,
  type ReconnectOptions,
  type ReconnectWhen,
  type Session,
  type Transition,
  UsageError,
  validateTopic,
  type Warning,
} from '../index.ts'
import {
  checkChoice,
  checkedMs,
  checkOptionFields,
  checkSignal,
  checkWait,
  shown,
} from './check-options.ts'
import { ClientCore } from './client-core.ts'
import { calledAfterEnd } from './client-errors.ts'
import type { ClientHost } from './client-host.ts'
import type { Client, ClientState, Closed } from './client-interface.ts'
import type { ClientPublishOptions, ClientTarget, Published, PublishedOne } from './client-types.ts'
import { closeClient } from './close.ts'
import { LayerHost } from './layer-host.ts'
import { ownConnection } from './own-connection.ts'
import { encodePayload } from './payload.ts'
import { publishAll } from './publish-all.ts'
import { RequestCore } from './request-core.ts'
import type { ManyOptions, RequestOptions } from './request-types.ts'
import { ClientRequests, NO_REQUEST_COUNTS } from './requests/client-requests.ts'
import type { RequestsOptions, RespondOptions } from './respond-types.ts'
import { ClientSubscription } from './subscription.ts'
import { type AnyTopic, subscriptionPlan } from './subscription-plan.ts'
import type { ClientSubscribeOptions, NextOptions, Subscription } from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'
import { sendTraced } from './tracing.ts'
import { runUntil } from './waits.ts'

/**
 * Makes a client. It connects when somebody awaits something of it: a promise, or the next message
 * of a subscription.
 * @throws UsageError for an option that cannot be used, naming it.
 */
export function createClient(options: ClientTarget): Client {
  return new MqttClient(options) as Client
}

/**
 * What a layer above a client uses of it, such as `it-mqtt/presence`. The same client gives the
 * same host. Programs do not need it.
 * @throws UsageError for what `createClient()` did not make.
 */
export function hostOf(client: Client): ClientHost {
  return MqttClient.hostOf(client)
}

const PUBLISH_FIELDS = new Set([
  'qos',
  'retain',
  'properties',
  'key',
  'signal',
  'timeout',
  'codec',
  'params',
])

class MqttClient {
  readonly #core: ClientCore
  #closed: Promise<Closed> | null = null
  #requests: ClientRequests | null = null
  #host: LayerHost | null = null

  constructor(target: ClientTarget) {
    this.#core = new ClientCore(target)
  }

  static hostOf(client: unknown): ClientHost {
    if (typeof client !== 'object' || client === null || !(#core in client)) {
      throw new UsageError(`The client must be one of createClient(), not ${shown(client)}`)
    }
    client.#host ??= new LayerHost(client.#core)
    return client.#host
  }

  async ready(options: NextOptions = {}) {
    checkWait('ready', options)
    return this.#core.ready(options)
  }

  async publish(
    ...[to, ...rest]: [topic: string | AnyTopic, payload?: unknown, options?: AnyPublishOptions]
  ): Promise<Published> {
    const [payload, options = {}] = rest
    if (rest.length > 0 && payload === undefined) {
      throw new UsageError("publish: the payload is undefined; give '' for an empty message")
    }
    checkOptionFields('publish: options', options, PUBLISH_FIELDS)
    const { signal, timeout } = options
    checkSignal('publish: signal', signal)
    const request = requestOf(to, payload, options, this.#core.plan.qos)
    const limits = { signal, timeout: checkedMs('publish: timeout', timeout) }
    return sendTraced(this.#core, request, limits, to)
  }

  publishAll<R extends Omit<PublishRequest, 'cmd'>>(
    requests: Iterable<R> | AsyncIterable<R>,
    options: { readonly concurrency?: number | undefined } = {},
  ): AsyncIterableIterator<PublishedOne<R>, undefined> {
    return publishAll(this.#core, requests, options)
  }

  subscribe(filters: unknown, options: ClientSubscribeOptions = {}): Subscription {
    const core = this.#core
    if (!core.isOpen) throw calledAfterEnd('subscribe')
    const plan = subscriptionPlan(filters, options, core.plan)
    if (plan.rules.own) return ownConnection(core, plan) as unknown as Subscription
    const subscription = new ClientSubscription(plan, core)
    core.reception.add(subscription)
    return subscription as unknown as Subscription
  }

  get #asking(): ClientRequests {
    this.#requests ??= new ClientRequests(new RequestCore(this.#core))
    return this.#requests
  }

  request(topic: unknown, payload?: unknown, options?: RequestOptions<unknown>) {
    return this.#asking.request(topic, payload, options)
  }

  requestMany(topic: unknown, payload?: unknown, options?: ManyOptions<unknown>) {
    return this.#asking.requestMany(topic, payload, options)
  }

  requests(filter: unknown, options?: RequestsOptions<unknown>) {
    return this.#asking.requests(filter, options)
  }

  respond(filter: unknown, handler: unknown, options?: RespondOptions<TopicParams, unknown>) {
    return this.#asking.respond(filter, handler, options)
  }

  ping() {
    return this.#core.askConnected('ping', () => this.#core.loop.ping())
  }

  run({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return runUntil(this.#core, signal)
  }

  async close({ timeout }: { readonly timeout?: number | undefined } = {}): Promise<Closed> {
    this.#closed ??= closeClient(this.#core, checkedMs('close: timeout', timeout))
    return this.#closed
  }

  get state(): ClientState {
    const core = this.#core
    return Object.freeze({
      ...core.loop.state,
      publishes: core.publishing.state,
      subscriptions: [...core.reception.subscriptions].map((one) => one.state),
      requests: this.#requests?.counters ?? NO_REQUEST_COUNTS,
      unmatched: core.reception.unmatched,
    }) as ClientState
  }

  get session(): Session {
    return this.#core.loop.session
  }

  transitions(): AsyncIterableIterator<Transition, undefined> {
    return this.#core.loop.transitions()
  }

  pause(ms?: number): void {
    this.#core.loop.pause(ms)
  }

  resume(): void {
    this.#core.loop.resume()
  }

  reconnect(policy?: ReconnectWhen | ReconnectOptions): void {
    this.#core.loop.reconnect(policy)
  }

  warn(warning: Warning): void {
    this.#core.loop.warn(warning)
  }

  reauthenticate(): ReturnType<Eventloop['reauthenticate']> {
    return this.#core.askConnected('reauthenticate', () => this.#core.loop.reauthenticate())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

interface AnyPublishOptions extends ClientPublishOptions {
  readonly params?: TopicParams
}

/** @throws UsageError for what cannot be a publish. */
function requestOf(
  to: string | AnyTopic,
  given: unknown,
  options: AnyPublishOptions,
  defaultQos: 0 | 1 | 2,
): PublishRequest {
  const from = typeof to === 'string' ? null : to
  if (from !== null && typeof from?.fill !== 'function') {
    throw new UsageError(`publish: the topic must be a string or a topic(), not ${shown(to)}`)
  }
  const topic = from === null ? (to as string) : from.fill(options.params ?? {})
  const problem = validateTopic(topic)
  if (problem !== null) throw new UsageError(`publish: ${problem}: ${shown(topic)}`)
  const { retain = from?.retain, properties, key } = options
  const codec = options.codec ?? from?.codec
  const payload =
    codec === undefined
      ? plainPayload(given)
      : encodePayload({ codec, schema: from?.schema }, given)
  return {
    cmd: 'publish',
    topic,
    payload,
    qos: checkChoice('publish: qos', options.qos ?? from?.qos ?? defaultQos, [0, 1, 2]),
    ...(retain === undefined ? {} : { retain }),
    ...(properties === undefined ? {} : { properties }),
    ...(key === undefined ? {} : { key }),
  }
}

/** @returns a payload that needs no codec. */
function plainPayload(given: unknown): NonNullable<PublishRequest['payload']> {
  if (given === undefined) return ''
  if (typeof given === 'string' || given instanceof Uint8Array) return given
  if (typeof given === 'object' && given !== null && 'base64' in given) {
    return given as { base64: string }
  }
  throw new UsageError(
    `publish: the payload must be text or bytes, not ${shown(given)};` +
      ' give a codec, such as json, for other values',
  )
}
