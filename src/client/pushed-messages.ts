/**
 * How does a part of the client get messages as they arrive, and acknowledge them itself? By a
 * subscription that nobody pulls. It needs nobody to wait, and is no demand.
 */
import type { QoS } from '../index.ts'
import { subscriptionEnded } from './client-errors.ts'
import type { PushReceiver } from './core.ts'
import type { DeliveredMessage } from './message.ts'
import { MessagesInHand } from './messages-in-hand.ts'
import type { Receipt } from './receipts.ts'
import { ClientSubscription } from './subscription.ts'
import type { SubscriptionHost } from './subscription-host.ts'
import type { SubscriptionPlan } from './subscription-plan.ts'
import type { Message, SubscriptionTransition } from './subscription-types.ts'

export class PushedMessages extends ClientSubscription {
  readonly receiver: PushReceiver
  readonly #host: SubscriptionHost<ClientSubscription>
  readonly #handler: (message: Message) => void
  readonly #ended: (error: unknown) => void
  readonly #open = new MessagesInHand()
  #settle: { resolve(): void; reject(error: unknown): void } | null = null

  constructor(
    plan: SubscriptionPlan,
    host: SubscriptionHost<ClientSubscription>,
    handler: (message: Message) => void,
    ended: (error: unknown) => void,
  ) {
    super(plan, host)
    this.pulled = true
    this.#host = host
    this.#handler = handler
    this.#ended = ended
    const granted = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    granted.catch(() => {})
    this.receiver = { granted, close: (unhandled) => this.#leave(unhandled) }
  }

  override get inHand(): number {
    return this.#open.count
  }

  override has(receipt: Receipt): boolean {
    return this.#open.has(receipt)
  }

  override offer(message: DeliveredMessage): void {
    if (message.receipt !== null) this.#open.push(message)
    this.#handler(message as unknown as Message)
  }

  override handled(message: DeliveredMessage): void {
    if (message.receipt === null) return
    this.#open.forget()
    this.#host.handled(message.receipt)
  }

  override changed(
    status: SubscriptionTransition['status'],
    gap: boolean,
    granted?: readonly QoS[],
  ): void {
    super.changed(status, gap, granted)
    if (status === 'granted') this.#settle!.resolve()
  }

  override end(
    error: { readonly reason: unknown } | null,
    status: 'ended' | 'refused' = 'ended',
  ): void {
    if (this.hasEnded) return
    super.end(error, status)
    this.#settle!.reject(error?.reason ?? new DOMException('The client has ended.', 'AbortError'))
    this.#ended(error === null ? null : error.reason)
  }

  override close(): void {
    if (this.hasEnded) return
    super.close()
    this.#settle!.reject(subscriptionEnded())
  }

  /** What others will acknowledge is not theirs to be released. */
  #leave(unhandled: readonly Message[]): void {
    if (this.hasEnded) return
    this.close()
    const messages = unhandled as unknown as readonly DeliveredMessage[]
    this.#host.left(
      this,
      messages.filter(({ receipt, isHandled }) => receipt !== null && !isHandled),
    )
  }
}
