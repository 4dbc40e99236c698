/**
 * Which subscription does not move, so that others wait for it? It is told after `warnAfterMs`, and
 * only while somebody waits. (M7, the subscription that holds back others is named; M8, a
 * subscription that nobody pulls is reported)
 */
import type { IncomingPublish, Platform, WarningCode } from '../index.ts'
import type { ClientPlan } from './client-options.ts'
import type { Reception } from './reception.ts'
import type { ClientSubscription } from './subscription.ts'

/** How long after a responder was registered somebody has to await something, in ms. */
const DRIVEN_MS = 5000

const NONE: ReadonlySet<ClientSubscription> = new Set()

interface WatchmanHost {
  /** Whether anybody has ever awaited anything. */
  readonly hasBegun: boolean
  readonly plan: ClientPlan
  readonly reception: Reception
  readonly clock: Platform
  warn(code: WarningCode, message: string): void
}

export class Watchman {
  readonly #host: WatchmanHost
  #timer: unknown = null
  /** When to look next, also while nobody waits for a moment. */
  #dueAt: number | null = null
  /** The timer that began when the first responder was registered. */
  #registered: unknown = null
  /** The subscriptions that did not move at the last look, each of which was named. */
  #named: ReadonlySet<ClientSubscription> = NONE
  #lookedAt = Number.NEGATIVE_INFINITY
  /** When the present wait began, and how many messages had arrived by then. */
  #since = 0
  #arrived = 0
  /** The message that was named last. */
  #told: IncomingPublish | null = null

  constructor(host: WatchmanHost) {
    this.#host = host
  }

  /** Somebody waits for packets, while messages wait: looks after `warnAfterMs`. */
  begin(): void {
    if (this.#timer !== null || !this.#isNeeded()) return
    const { clock, plan } = this.#host
    const now = clock.now()
    const isPast = this.#dueAt !== null && this.#dueAt < now - plan.warnAfterMs
    if (this.#dueAt === null || isPast) {
      this.#dueAt = now + plan.warnAfterMs
      this.#since = now
      this.#arrived = this.#host.reception.receipts.arrived
    }
    this.#timer = clock.setTimer(() => this.#look(), Math.max(0, this.#dueAt - now))
  }

  #isNeeded(): boolean {
    const { receipts, unattended } = this.#host.reception
    return receipts.unhandled > 0 || unattended > 0
  }

  /** A responder was registered: it is told if nobody awaits anything. */
  registered(): void {
    const { clock } = this.#host
    if (this.#registered !== null || this.#host.hasBegun) return
    this.#registered = clock.setTimer(() => {
      if (this.#host.hasBegun) return
      const message =
        'A responder answers only while something of its client is awaited: await client.run(),' +
        ' or the `done` of a responder.'
      this.#host.warn('NOT_DRIVEN', message)
    }, DRIVEN_MS)
    // It keeps no process alive, where the runtime lets a timer do so.
    ;(this.#registered as { unref?(): void } | null)?.unref?.()
  }

  /** The client has ended. */
  end(): void {
    this.stop()
    if (this.#registered !== null) this.#host.clock.clearTimer(this.#registered)
  }

  stop(): void {
    if (this.#timer !== null) this.#host.clock.clearTimer(this.#timer)
    this.#timer = null
  }

  #look(): void {
    this.#timer = null
    this.#dueAt = null
    const { plan, reception, clock } = this.#host
    const now = clock.now()
    const since = now - plan.warnAfterMs
    // Without a look for long all have moved, or nobody waited.
    const named = this.#lookedAt < since - plan.warnAfterMs ? NONE : this.#named
    const still = new Set<ClientSubscription>()
    for (const subscription of reception.subscriptions) {
      const { pulled, waiting, waitingSince } = subscription
      if (!pulled && waiting.length > 0 && waitingSince <= since) still.add(subscription)
    }
    for (const subscription of still) {
      if (!named.has(subscription)) this.#tellUnpulled(subscription)
    }
    const { oldest } = reception.receipts
    if (oldest !== undefined && oldest.order < this.#arrived && this.#holdsBack()) {
      const holder = [...reception.subscriptions].find((one) => one.has(oldest)) ?? null
      const isNamed = holder !== null && named.has(holder)
      if (!isNamed && this.#told !== oldest.packet) this.#tellHolding(holder, oldest.packet, now)
      this.#told = oldest.packet
      if (holder !== null) still.add(holder)
    }
    this.#named = still
    this.#lookedAt = now
    this.begin()
  }

  /** Whether others wait: for their acknowledgements, or for messages that cannot come. */
  #holdsBack(): boolean {
    const { receipts } = this.#host.reception
    return receipts.heldBack > 0 || receipts.unhandled >= this.#host.plan.receiveMaximum
  }

  /** @returns how many acknowledgements wait for the oldest message of a subscription. */
  heldBackBy(subscription: ClientSubscription): number {
    const { receipts } = this.#host.reception
    const { oldest } = receipts
    return oldest !== undefined && subscription.has(oldest) ? receipts.heldBack : 0
  }

  #tellUnpulled(subscription: ClientSubscription): void {
    const filters = subscription.plan.filters.join(', ')
    this.#host.warn(
      'NOT_ITERATED',
      `The subscription of "${filters}" was never iterated, and ${subscription.waiting.length}` +
        ' messages wait in it; iterate it, or dispose of it.',
    )
  }

  #tellHolding(holder: ClientSubscription | null, { topic }: IncomingPublish, now: number): void {
    const { reception, warn } = this.#host
    const { receipts } = reception
    const who =
      holder === null
        ? 'A message that no subscription of this client gets'
        : `The subscription of "${holder.plan.filters.join(', ')}"`
    const ways =
      holder === null
        ? 'subscribe to its filter'
        : "take messages faster, or subscribe with acks: 'receipt' or connection: 'own', or use" +
          ' forEach with a concurrency'
    warn.call(
      this.#host,
      'HOLDS_BACK',
      `${who} holds back ${receipts.heldBack} acknowledgements of others: its oldest message, of` +
        ` topic "${topic}", has waited for ${Math.round(now - this.#since)} ms; ${ways}.`,
    )
  }
}
