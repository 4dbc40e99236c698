/**
 * What does one subscription do with its messages, until it ends? It gives them to those who pull,
 * keeps those that nobody has pulled, and acknowledges what is handled. (M5, a subscription
 * acknowledges what it has handled; M11, a refusal ends only its own subscription)
 */
import type { QoS } from '../index.ts'
import { checkWait } from './check-options.ts'
import { subscriptionEnded } from './client-errors.ts'
import { bytes, type PayloadContext } from './codec.ts'
import { ForEach, type ForEachOptions, type MessageHandler } from './for-each.ts'
import { Grants } from './grants.ts'
import { IdleWaits } from './idle-waits.ts'
import { faultOfPayload, reasonToThrow } from './invalid-messages.ts'
import type { DeliveredMessage, MessageReader } from './message.ts'
import { MessagesInHand } from './messages-in-hand.ts'
import { decodePayload } from './payload.ts'
import type { MessageResult, Pull } from './pull.ts'
import type { Receipt } from './receipts.ts'
import { RetainedTopics } from './retained-topics.ts'
import type { SubscriptionHost } from './subscription-host.ts'
import type { SubscriptionPlan } from './subscription-plan.ts'
import type {
  ClientSubscriptionState,
  Message,
  NextOptions,
  Subscription,
  SubscriptionTransition,
  Synced,
} from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'
import { tracedHandler } from './tracing.ts'
import { WaitingMessages } from './waiting-messages.ts'
import { Watchers } from './watchers.ts'

const NO_MORE: MessageResult = { done: true, value: undefined }

export class ClientSubscription implements MessageReader, Subscription<TopicParams, unknown> {
  readonly plan: SubscriptionPlan
  /** The last message that was routed to it, so that none is given twice. */
  stamp = 0
  #pulled = false
  iterated = false
  running = 0
  readonly #idle = new IdleWaits()
  /** When the oldest waiting message came, if nobody has ever pulled. */
  waitingSince = 0
  status: ClientSubscriptionState['status'] = 'requested'
  /** How many retained messages have come, and when the last one did. */
  retained = 0
  retainedAt = Number.NEGATIVE_INFINITY
  /** The topics of retained messages that came without an identifier; null if there were none. */
  #retainedTopics: RetainedTopics | null = null
  readonly #host: SubscriptionHost<ClientSubscription>
  readonly #waiting = new WaitingMessages()
  #pulls: Pull[] = []
  /** Given and not acknowledged. */
  readonly #inHand = new MessagesInHand()
  #watchers: Watchers<SubscriptionTransition> | null = null
  readonly #grants: Grants
  #synced: Promise<Synced> | null = null
  /** The error with which it ended, until it was reported. */
  #error: { readonly reason: unknown } | null = null
  #isFull = false
  #unlisten: (() => void) | null = null
  #dropped = 0
  released = 0
  #invalid = 0

  constructor(plan: SubscriptionPlan, host: SubscriptionHost<ClientSubscription>) {
    this.plan = plan
    this.#host = host
    this.#grants = new Grants((by) => host.pulls(by))
    const { signal } = plan
    if (signal === undefined) return
    const abort = () => this.#leave({ reason: signal.reason })
    if (signal.aborted) void Promise.resolve().then(abort)
    else signal.addEventListener('abort', abort)
    this.#unlisten = () => signal.removeEventListener('abort', abort)
  }

  // ------------------------------------------------------------------------------------- the state

  get pulled(): boolean {
    return this.#pulled
  }

  /** Notes that somebody takes messages, or that nobody will. */
  #attend(): void {
    if (this.#pulled) return
    this.#pulled = true
    if (this.#waiting.length > 0) this.#host.unattended(-1)
  }

  get hasEnded(): boolean {
    return this.status === 'ended' || this.status === 'refused'
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  /** A handler of `forEach` begins, or has finished. */
  runs(by: 1 | -1): void {
    this.running += by
    if (by < 0) this.#idle.look()
  }

  /** Resolves when no handler of `forEach` runs. */
  handlersDone(): Promise<void> {
    return this.#idle.when(() => this.running === 0)
  }

  /** Resolves when a `for await` has handled what it was given. */
  bodyDone(): Promise<void> {
    return this.#idle.when(() => !this.iterated || this.inHand === 0)
  }

  /** Whether it has a message and has not handled it. */
  has(receipt: Receipt): boolean {
    return this.#inHand.has(receipt) || this.#waiting.has(receipt)
  }

  get inHand(): number {
    return this.#inHand.count
  }

  get state(): ClientSubscriptionState {
    return Object.freeze({
      filters: this.plan.filters,
      status: this.status,
      waiting: this.#waiting.length,
      inHand: this.inHand,
      holding: this.#host.heldBackBy(this),
      dropped: this.#dropped,
      released: this.released,
      invalid: this.#invalid,
    })
  }

  get granted(): Promise<readonly QoS[]> {
    return this.#grants.promise
  }

  get synced(): Promise<Synced> {
    if (this.#synced === null) {
      this.#synced = this.#host.sync(this)
      // Who does not await it is told by `next()`.
      this.#synced.catch(() => {})
    }
    return this.#synced
  }

  transitions(): AsyncIterableIterator<SubscriptionTransition, undefined> {
    this.#watchers ??= new Watchers()
    const changes = this.#watchers.watch()
    if (this.hasEnded) this.#watchers.end()
    return changes
  }

  changed(status: SubscriptionTransition['status'], gap: boolean, granted?: readonly QoS[]): void {
    if (this.hasEnded) return
    if (gap) this.#retainedTopics = null
    this.status = status === 'resumed' ? 'granted' : status
    this.#watchers?.report({ status, gap, ...(granted === undefined ? {} : { granted }) })
    if (status === 'granted' && granted !== undefined) this.#grants.settle({ granted })
  }

  // -------------------------------------------------------------------------------------- messages

  readonly #hasMessage = () => this.#waiting.length > 0 || this.hasEnded

  /** @returns whether a topic that one of its filters matches is one of its templates too. */
  takes(topic: string): boolean {
    const { isStrict, topics } = this.plan
    return !isStrict || topics.some((template) => template.match(topic) !== null)
  }

  paramsOf(topic: string): TopicParams {
    for (const template of this.plan.topics) {
      const params = template.match(topic)
      if (params !== null) return params
    }
    return Object.create(null)
  }

  decode(message: DeliveredMessage): unknown {
    const { topics } = this.plan
    const { topic, payload } = message
    const own = topics.length > 1 ? topics.find((one) => one.match(topic) !== null) : topics[0]
    const { codec = own?.codec ?? bytes, schema = own?.schema } = this.plan
    return decodePayload({ codec, schema }, payload, message as PayloadContext)
  }

  handled(message: DeliveredMessage): void {
    if (message.receipt === null) return
    this.#inHand.forget()
    this.#host.handled(message.receipt)
    this.#idle.look()
  }

  /** @returns whether a retained message of a topic is the first one for it. */
  takesRetained(topic: string): boolean {
    this.#retainedTopics ??= new RetainedTopics()
    return this.#retainedTopics.isFirst(topic)
  }

  /** Takes a message that the server sent. */
  offer(message: DeliveredMessage): void {
    if (message.retain) this.retained++
    const pull = this.#pulls[0]
    if (pull !== undefined) {
      const result = this.#resultOf(message)
      if (result === null) return
      this.#pulls.shift()
      return pull.answer(result)
    }
    const { max, then } = this.plan.overflow
    if (message.receipt === null && this.#waiting.loose >= max) {
      if (then === 'wait') this.#setFull(true)
      else {
        this.#dropped++
        if (then === 'dropNewest') return
        this.#waiting.dropOldest()
      }
    }
    if (!this.#pulled && this.#waiting.length === 0) this.#host.unattended(1)
    this.#waiting.push(message)
  }

  #setFull(isFull: boolean): void {
    if (this.#isFull === isFull) return
    this.#isFull = isFull
    this.#host.full(isFull ? 1 : -1)
  }

  keepOnly(stays: (message: DeliveredMessage) => boolean): void {
    const waited = this.#waiting.length > 0
    this.#waiting.filter(stays)
    if (waited && !this.#pulled && this.#waiting.length === 0) this.#host.unattended(-1)
  }

  next(options?: NextOptions): Promise<MessageResult> {
    if (options !== undefined) {
      try {
        checkWait('next', options)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    if (this.plan.acks === 'pull') this.#inHand.acknowledge()
    return this.pull(options)
  }

  /** As `next()`, and acknowledges nothing. */
  pull(options?: NextOptions): Promise<MessageResult> {
    this.#attend()
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason)
    for (;;) {
      if (this.#waiting.length === 0) {
        if (this.hasEnded || this.#pulls.length > 0) break
        this.#host.readNow(this.#hasMessage)
      }
      const message = this.#waiting.shift()
      if (message === undefined) break
      if (this.#isFull && this.#waiting.loose < this.plan.overflow.max) this.#setFull(false)
      const result = this.#resultOf(message)
      if (result !== null) return result
    }
    if (this.hasEnded) return this.#resultAfterEnd()
    return new Promise((resolve, reject) => {
      this.#host.pulls(1)
      const pull = this.#host.pull(resolve, reject, options)
      this.#pulls.push(pull)
      pull.begin(() => {
        const at = this.#pulls.indexOf(pull)
        if (at >= 0) this.#pulls.splice(at, 1)
        this.#host.pulls(-1)
      })
    })
  }

  /** @returns what a pull is given for a message, or null if the message is passed over. */
  #resultOf(message: DeliveredMessage): Promise<MessageResult> | null {
    const fault = this.plan.decodes ? faultOfPayload(message) : null
    if (fault !== null) {
      this.#invalid++
      const thrown = reasonToThrow(this.plan, fault.reason, message)
      if (thrown === null) {
        message.ack()
        return null
      }
      this.#give(message)
      return Promise.reject(thrown.reason)
    }
    this.#give(message)
    return Promise.resolve({ done: false, value: message })
  }

  #give(message: DeliveredMessage): void {
    if (message.receipt !== null) this.#inHand.push(message)
  }

  #resultAfterEnd(): Promise<MessageResult> {
    const error = this.#error
    if (error === null) return Promise.resolve(NO_MORE)
    this.#error = null
    return Promise.reject(error.reason)
  }

  async first(options?: NextOptions): Promise<Message<TopicParams, unknown>> {
    try {
      const { done, value } = await this.next(options)
      if (done) throw subscriptionEnded()
      value.ack()
      return value
    } finally {
      this.#leave(null, true)
    }
  }

  forEach(handler: MessageHandler, options: ForEachOptions = {}): Promise<void> {
    return new ForEach(this, tracedHandler(this.#host, this.plan.topics, handler), options).run()
  }

  // --------------------------------------------------------------------------------------- the end

  /**
   * Ends it because the server or the client did: messages that wait are still given, and then the
   * error.
   */
  end(error: { readonly reason: unknown } | null, status: 'ended' | 'refused' = 'ended'): void {
    if (this.hasEnded) return
    this.#error = error
    this.#finish(status, error)
  }

  /** Ends it because the client closes: what waits is not given. */
  close(): void {
    if (this.hasEnded) return
    this.#attend()
    this.#waiting.clear()
    this.#finish('ended', null)
  }

  #leave(error: { readonly reason: unknown } | null, releases = false): void {
    if (this.hasEnded) return this.#dropRest()
    this.#attend()
    const unhandled = [...this.#inHand.clear(), ...this.#waiting.clear()]
    this.#error = error
    this.#finish('ended', error)
    if (releases) this.plan.keeps = false
    this.#host.left(this, unhandled)
  }

  /** What it had when it was ended: only a session sends it again, and none after a refusal. */
  #dropRest(): void {
    if (this.plan.keeps && this.status !== 'refused') return
    for (const message of [...this.#inHand.clear(), ...this.#waiting.clear()]) {
      if (message.receipt === null) continue
      this.released++
      message.ack()
    }
  }

  /** @returns what waits, which it does not give any more. */
  takeWaiting(): readonly DeliveredMessage[] {
    return this.#waiting.clear()
  }

  #finish(status: 'ended' | 'refused', error: { readonly reason: unknown } | null): void {
    if (status === 'refused') this.#watchers?.report({ status, gap: false })
    this.status = status
    this.#unlisten?.()
    this.#setFull(false)
    this.#grants.settle(error ?? { reason: subscriptionEnded() })
    const pulls = this.#pulls
    this.#pulls = []
    for (const pull of pulls) pull.answer(this.#resultAfterEnd())
    this.#watchers?.end()
  }

  return(): Promise<MessageResult> {
    this.#leave(null)
    return Promise.resolve(NO_MORE)
  }

  async throw(error?: unknown): Promise<MessageResult> {
    this.#leave(null)
    throw error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave(null)
  }

  [Symbol.asyncIterator](): this {
    this.iterated = true
    return this
  }
}
