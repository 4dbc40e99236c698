/**
 * What do requests and responses use of the client, beside what all its parts use? Facts about the
 * connection, and messages that are pushed and acknowledged by hand.
 */
import {
  type EventChannel,
  type Eventloop,
  type IncomingPublish,
  type Platform,
  type ProtocolVersion,
  type PublishRequest,
  type QoS,
  requestChannel,
  type WarningCode,
} from '../index.ts'
import type { ClientCore } from './client-core.ts'
import type { ClientPlan } from './client-options.ts'
import type { Published } from './client-types.ts'
import type { Core, Health, Listener, OutcomeListener, PushReceiver } from './core.ts'
import { PushedMessages } from './pushed-messages.ts'
import { ClientSubscription } from './subscription.ts'
import { subscriptionPlan } from './subscription-plan.ts'
import type { ClientSubscribeOptions, Message, Subscription } from './subscription-types.ts'
import type { Topic, TopicParams } from './topic-types.ts'

type Filter = string | Topic<TopicParams, never>

export class RequestCore implements Core {
  readonly clock: Platform
  readonly plan: ClientPlan
  readonly loop: Eventloop
  readonly requestChannel: EventChannel = requestChannel
  readonly #core: ClientCore
  #disconnectedAt: number | null
  /** Whether the CONNACK of the last connection was read, and that connection is not lost. */
  #isConnected: boolean

  constructor(core: ClientCore) {
    this.#core = core
    this.clock = core.clock
    this.plan = core.plan
    this.loop = core.loop
    const { kind, downSince } = core.loop.state.connection
    const isConnected = kind === 'connected'
    this.#disconnectedAt = isConnected ? null : (downSince ?? core.clock.now())
    this.#isConnected = isConnected && core.epoch > 0
    core.onConnected(() => {
      if (core.loop.state.connection.kind !== 'connected') return
      this.#disconnectedAt = null
      this.#isConnected = true
    })
    void this.#watch()
  }

  /** The state of a loop is too expensive to be read for each request. */
  async #watch(): Promise<void> {
    for await (const { from, to, at } of this.loop.transitions()) {
      if (to === 'connected') this.#disconnectedAt = null
      else if (from === 'connected') {
        this.#disconnectedAt = at
        this.#isConnected = false
      }
    }
  }

  get connected(): boolean {
    return this.#isConnected
  }

  health(): Health {
    const { connection } = this.loop.state
    const { unansweredPings = 0 } = connection as { readonly unansweredPings?: number }
    return { unansweredPings, disconnectedAt: this.#disconnectedAt }
  }

  get clientId(): string {
    return this.loop.state.clientId
  }

  get protocolVersion(): ProtocolVersion {
    return this.#core.terms().isMqtt5 ? 5 : 4
  }

  get closing(): boolean {
    return this.#core.closing || this.#core.hasEnded
  }

  get epoch(): number {
    return this.#core.epoch
  }

  responseTopic(): string {
    return this.#core.responseTopic()
  }

  demand(): () => void {
    return this.#core.demand()
  }

  wants(by: 1 | -1): void {
    this.#core.pulls(by)
  }

  send(request: PublishRequest): Promise<Published> {
    return this.#core.send(request)
  }

  post(request: PublishRequest, listener: OutcomeListener): void {
    this.#core.post(request, listener)
  }

  listen(filter: string, qos: QoS, handler: (packet: IncomingPublish) => void): Listener {
    return this.#core.listen(filter, qos, handler)
  }

  receive(
    filter: Filter,
    options: Pick<ClientSubscribeOptions, 'qos' | 'share' | 'retained'>,
    handler: (message: Message) => void,
    ended: (error: unknown) => void,
  ): PushReceiver {
    const plan = subscriptionPlan(filter, { ...options, acks: 'manual' }, this.#core.plan)
    this.#core.registered()
    const subscription = new PushedMessages(plan, this.#core, handler, ended)
    this.#core.reception.add(subscription)
    return subscription.receiver
  }

  subscribe(filter: Filter, options: ClientSubscribeOptions): Subscription {
    const subscription = new ClientSubscription(
      subscriptionPlan(filter, options, this.#core.plan),
      this.#core,
    )
    this.#core.reception.add(subscription)
    return subscription as unknown as Subscription
  }

  onConnected(listener: (resumed: boolean) => void): () => void {
    return this.#core.onConnected(listener)
  }

  onClose(begin: () => Promise<unknown>): () => void {
    return this.#core.onClose(begin)
  }

  onEnd(listener: (error: unknown) => void): () => void {
    return this.#core.onEnd(listener)
  }

  warn(code: WarningCode, message: string): void {
    this.#core.warn(code, message)
  }
}
