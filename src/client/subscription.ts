/**
 * What does one subscription do with its messages, until it ends? It gives them to those who pull,
 * keeps those that nobody has pulled, and acknowledges what is handled. (M5, a subscription
 * acknowledges what it has handled; M11, a refusal ends only its own subscription)
 */
import type { QoS } from '../index.ts'
import { checkWait } from './check-options.ts'
import { subscriptionEnded } from './client-errors.ts'
import { decodeMessage, paramsIn } from './decode-message.ts'
import { ForEach, type ForEachOptions, type MessageHandler } from './for-each.ts'
import { Grants } from './grants.ts'
import { IdleWaits } from './idle-waits.ts'
import { type InvalidReason, judge, PASSED_OVER } from './invalid-messages.ts'
import type { DeliveredMessage, MessageReader } from './message.ts'
import { MessagesInHand } from './messages-in-hand.ts'
import { IMMEDIATE, type MessageResult, NO_MORE, Pull, type Taker, TakerLine } from './pull.ts'
import type { Receipt } from './receipts.ts'
import type { RetainedTopics } from './retained-topics.ts'
import type { SubscriptionHost } from './subscription-host.ts'
import type { SubscriptionPlan, SubscriptionRules } from './subscription-plan.ts'
import type {
  ClientSubscriptionState,
  Message,
  NextOptions,
  Subscription,
  SubscriptionTransition,
  Synced,
} from './subscription-types.ts'
import { neverUnhandled } from './thenable.ts'
import type { TopicParams } from './topic-types.ts'
import { tracedHandler } from './tracing.ts'
import { WaitingMessages } from './waiting-messages.ts'
import { Watchers } from './watchers.ts'

export class ClientSubscription
  extends TakerLine
  implements MessageReader, Subscription<TopicParams, unknown>
{
  // What each message needs is in front: with thousands of subscriptions memory decides the speed.
  /** The last message that was routed to it, so that none is given twice. */
  stamp = 0
  readonly rules: SubscriptionRules
  readonly hasOneFilter: boolean
  readonly #isStrict: boolean
  /** Whether somebody takes messages, or nobody will. */
  pulled = false
  readonly #host: SubscriptionHost<ClientSubscription>
  readonly waiting = new WaitingMessages()
  readonly plan: SubscriptionPlan
  iterated = false
  running = 0
  #idle: IdleWaits | null = null
  /** When the oldest waiting message came, if nobody has ever pulled. */
  waitingSince = 0
  status: ClientSubscriptionState['status'] = 'requested'
  /** The number of the CONNECT of the connection on which it was granted. */
  grantedOn = 0
  /** How many retained messages have come, and when the last one did. */
  retained = 0
  retainedAt = Number.NEGATIVE_INFINITY
  /** The topics of retained messages that came without an identifier; null if there were none. */
  retainedTopics: RetainedTopics | null = null
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
    super()
    this.plan = plan
    this.rules = plan.rules
    this.hasOneFilter = plan.filters.length === 1
    this.#isStrict = plan.isStrict
    this.#host = host
    this.#grants = new Grants(host)
    const { signal } = plan.rules
    if (signal === undefined) return
    const abort = () => this.#leave({ reason: signal.reason })
    if (signal.aborted) void Promise.resolve().then(abort)
    else signal.addEventListener('abort', abort)
    this.#unlisten = () => signal.removeEventListener('abort', abort)
  }

  // ------------------------------------------------------------------------------------- the state

  #attend(): void {
    if (this.pulled) return
    this.pulled = true
    if (this.waiting.length > 0) this.#host.unattended(-1)
  }

  get hasEnded(): boolean {
    return this.status === 'ended' || this.status === 'refused'
  }

  /** A handler of `forEach` begins, or has finished. */
  runs(by: 1 | -1): void {
    this.running += by
    if (by < 0) this.#idle?.look()
  }

  /** Resolves when `isSo` is true after a handler has finished, or a message was handled. */
  when(isSo: () => boolean): Promise<void> {
    this.#idle ??= new IdleWaits()
    return this.#idle.when(isSo)
  }

  /** Whether it has the message and has not handled it. */
  has(receipt: Receipt): boolean {
    return this.#inHand.has(receipt) || this.waiting.has(receipt)
  }

  get inHand(): number {
    return this.#inHand.count
  }
  get state(): ClientSubscriptionState {
    return Object.freeze({
      filters: this.plan.filters,
      status: this.status,
      waiting: this.waiting.length,
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
    // Who does not await it is told by `next()`.
    this.#synced ??= neverUnhandled(this.#host.sync(this))
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
    if (gap) this.retainedTopics = null
    this.status = status === 'resumed' ? 'granted' : status
    this.#watchers?.report({ status, gap, ...(granted === undefined ? {} : { granted }) })
    if (status === 'granted' && granted !== undefined) this.#grants.settle({ granted })
  }

  // -------------------------------------------------------------------------------------- messages

  /** Whether reading may stop: there is a message, or none will come. */
  get isServed(): boolean {
    return this.waiting.length > 0 || this.hasEnded
  }

  /** @returns whether a topic that one of its filters matches is one of its templates too. */
  takes(topic: string): boolean {
    return !this.#isStrict || this.plan.topics.some((template) => template.match(topic) !== null)
  }

  paramsOf(topic: string): TopicParams {
    return paramsIn(this.plan, topic)
  }

  decode(message: DeliveredMessage): unknown {
    return decodeMessage(this.plan, message)
  }

  handled(message: DeliveredMessage): void {
    if (message.receipt === null) return
    this.#inHand.forget()
    this.#host.handled(message.receipt)
    this.#idle?.look()
  }

  /** Takes a message that the server sent. */
  offer(message: DeliveredMessage): void {
    if (message.retain) this.retained++
    if (this.firstTaker !== null) {
      const fault = this.#judge(message)
      if (fault === PASSED_OVER) return
      // The code of the user that judged it may have ended the wait, or the subscription.
      const taker = this.shiftTaker()
      if (this.hasEnded) return this.#host.letGo(this, [message])
      if (taker !== null) {
        this.#host.pulls(-1)
        return this.#serve(taker, message, fault)
      }
    }
    const wasEmpty = this.waiting.length === 0
    const { max, then } = this.rules.overflow
    if (message.receipt === null && this.waiting.loose >= max) {
      if (then === 'wait') this.#setFull(true)
      else {
        this.#dropped++
        if (then === 'dropNewest') return
        this.waiting.dropOldest()
      }
    }
    if (!this.pulled && wasEmpty) this.#host.unattended(1)
    this.waiting.push(message)
  }

  #setFull(isFull: boolean): void {
    if (this.#isFull !== isFull) this.#host.full(isFull ? 1 : -1)
    this.#isFull = isFull
  }

  keepOnly(stays: (message: DeliveredMessage) => boolean): void {
    const waited = this.waiting.length > 0
    this.waiting.filter(stays)
    if (waited && !this.pulled && this.waiting.length === 0) this.#host.unattended(-1)
  }

  next(options?: NextOptions): Promise<MessageResult> {
    if (options !== undefined) {
      try {
        checkWait('next', options)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    if (this.rules.acks === 'pull') this.#inHand.acknowledge()
    return this.#pull(options)
  }

  /** As `next()`, and acknowledges nothing. */
  #pull(options: NextOptions | undefined): Promise<MessageResult> {
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason)
    if (this.#giveNow(IMMEDIATE)) return IMMEDIATE.taken()
    return new Promise((resolve, reject) => {
      const pull = new Pull(resolve, reject)
      this.addTaker(pull)
      this.#host.pulls(1)
      if (options === undefined) return
      pull.limit(this.#host.clock, options, () => {
        if (this.removeTaker(pull)) this.#host.pulls(-1)
      })
    })
  }

  /** Gives one message, or what comes in its place, now or when it is there. */
  give(taker: Taker): void {
    if (this.#giveNow(taker)) return
    this.addTaker(taker)
    this.#host.pulls(1)
  }

  /** @returns whether there was something to give. */
  #giveNow(taker: Taker): boolean {
    this.#attend()
    for (;;) {
      if (this.waiting.length === 0) {
        if (this.hasEnded || this.firstTaker !== null) break
        this.#host.readNow(this)
      }
      const message = this.waiting.shift()
      if (message === undefined) break
      if (this.#isFull && this.waiting.loose < this.rules.overflow.max) this.#setFull(false)
      const hadEnded = this.hasEnded
      const fault = this.#judge(message)
      if (fault === PASSED_OVER) continue
      if (this.hasEnded && !hadEnded) this.#host.letGo(this, [message])
      else {
        this.#serve(taker, message, fault)
        return true
      }
    }
    if (this.hasEnded) this.#finishTaker(taker)
    return this.hasEnded
  }

  #judge(message: DeliveredMessage): InvalidReason | null {
    const fault = judge(this.rules, message)
    if (fault !== null) this.#invalid++
    if (fault === PASSED_OVER) message.ack()
    return fault
  }

  #serve(taker: Taker, message: DeliveredMessage, fault: InvalidReason | null): void {
    if (message.receipt !== null) this.#inHand.push(message)
    if (fault === null) taker.take(message)
    else taker.fail(fault.reason)
  }

  #finishTaker(taker: Taker): void {
    const error = this.#error
    if (error === null) return taker.finish()
    this.#error = null
    taker.fail(error.reason)
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
    return ForEach.run(this, tracedHandler(this.#host, this.plan.topics, handler), options)
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
    this.waiting.clear()
    this.#finish('ended', null)
  }

  #leave(error: { readonly reason: unknown } | null, releases = false): void {
    if (this.hasEnded) return this.#dropRest()
    this.#attend()
    const unhandled = [...this.#inHand.clear(), ...this.waiting.clear()]
    this.#error = error
    this.#finish('ended', error)
    if (releases) this.plan.keeps = false
    this.#host.left(this, unhandled)
  }

  /** What it had when it was ended: only a session sends it again, and none after a refusal. */
  #dropRest(): void {
    if (this.plan.keeps && this.status !== 'refused') return
    for (const message of [...this.#inHand.clear(), ...this.waiting.clear()]) {
      if (message.receipt === null) continue
      this.released++
      message.ack()
    }
  }

  /** @returns what waits, which it does not give any more. */
  takeWaiting(): readonly DeliveredMessage[] {
    this.#attend()
    return this.waiting.clear()
  }

  #finish(status: 'ended' | 'refused', error: { readonly reason: unknown } | null): void {
    if (status === 'refused') this.#watchers?.report({ status, gap: false })
    this.status = status
    this.#unlisten?.()
    this.#setFull(false)
    this.#grants.settle(error ?? { reason: subscriptionEnded() })
    for (let taker = this.shiftTaker(); taker !== null; taker = this.shiftTaker()) {
      this.#host.pulls(-1)
      this.#finishTaker(taker)
    }
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
