/**
 * What do subscriptions use of their client? Types only.
 */
import type { Eventloop, Platform } from '../index.ts'
import type { ClientPlan } from './client-options.ts'
import type { DeliveredMessage } from './message.ts'
import type { Receipt } from './receipts.ts'
import type { Synced } from './subscription-types.ts'

/** What a subscription uses of its client. */
export interface SubscriptionHost<Self> {
  readonly plan: ClientPlan
  readonly loop: Eventloop
  readonly clock: Platform
  /** Begins a wait of `what`, which makes the client read; ended by `settled`. */
  pulls(by: number): void
  /** Takes packets that were received already, until the reader is served. */
  readNow(reader: { readonly isServed: boolean }): void
  /** Says that a subscription is full, or not any more. */
  full(by: number): void
  /** How many subscriptions have messages that wait, and were never pulled, has changed. */
  unattended(by: number): void
  /** A message is handled by one of those who have it. */
  handled(receipt: Receipt): void
  /** A subscription has ended, and leaves these messages, handled or not. */
  left(subscription: Self, unhandled: readonly DeliveredMessage[]): void
  /** It has ended, and had these messages, handled or not. */
  letGo(subscription: Self, unhandled: readonly DeliveredMessage[]): void
  sync(subscription: Self): Promise<Synced>
  heldBackBy(subscription: Self): number
}
