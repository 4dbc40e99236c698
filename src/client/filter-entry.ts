/**
 * What is known about one filter at the server, which several subscriptions may share? (M10,
 * subscriptions to one filter share it)
 */
import type { IncomingPublish, QoS } from '../index.ts'
import type { ListenerList } from './listener-list.ts'
import type { ClientSubscription } from './subscription.ts'

/** Shared by all filters without newcomers; never changed. */
const NO_SUBSCRIPTIONS: readonly ClientSubscription[] = []
const NO_IDENTIFIERS: readonly number[] = []

export class FilterEntry {
  /** As it is sent, with `$share`. */
  readonly filter: string
  subscriptions: readonly ClientSubscription[] = NO_SUBSCRIPTIONS
  /** Code of the client that reads it. */
  handlers: ListenerList<[packet: IncomingPublish]> | null = null
  /**
   * Who gets the retained messages that come now: those who asked last, or everybody after the
   * server had lost the session.
   */
  newcomers: readonly ClientSubscription[] | 'everybody' = NO_SUBSCRIPTIONS
  /** The subscription identifiers of its latest SUBSCRIBEs. */
  identifiers: readonly number[] = NO_IDENTIFIERS
  /** Whether a SUBSCRIBE has left. */
  asked = false
  /** What the server granted last. */
  granted: QoS | null = null
  /** The options of the last SUBSCRIBE. */
  qos: QoS = 0
  noLocal = false
  /** Whether it stays subscribed without a subscription of this client. */
  kept = false

  constructor(filter: string) {
    this.filter = filter
  }

  /** Notes what one more reader mayAsk for, when the SUBSCRIBE leaves: the stronger counts. */
  wants(qos: QoS, noLocal: boolean): void {
    const others = this.asked && this.subscriptions.length + this.handled > 1
    this.qos = others ? (Math.max(this.qos, qos) as QoS) : qos
    this.noLocal = others ? this.noLocal && noLocal : noLocal
    this.asked = true
  }

  /** Whether one of its subscriptions has QoS 0 and `qos` is another one, or the reverse. */
  differsFrom(qos: QoS): boolean {
    return this.subscriptions.some(({ rules }) => (rules.qos === 0) !== (qos === 0))
  }

  /** Whether it is to stay subscribed. */
  get isNeeded(): boolean {
    return this.isRead || this.kept
  }

  /** Whether somebody in this client reads it. */
  get isRead(): boolean {
    return this.subscriptions.length > 0 || this.handled > 0
  }

  /** How much code of the client reads it. */
  get handled(): number {
    return this.handlers?.size ?? 0
  }
}
