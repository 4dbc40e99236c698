/**
 * What happens to the messages of a client, from the loop to the subscriptions and back as
 * acknowledgements? (M4, awaiting never deadlocks; M5, a subscription acknowledges what it has
 * handled; M6, a message is given once to each subscription; M10, subscriptions to one filter share
 * it)
 */
import type { Incoming, IncomingPublish, Outcome, QoS, SubscribeRequest } from '../index.ts'
import { renewalRefused, subscribeRefused } from './client-errors.ts'
import type { FilterEntry } from './filter-entry.ts'
import { groupsOf } from './filter-groups.ts'
import { FormerFilters } from './former-filters.ts'
import { ListenerList } from './listener-list.ts'
import { DeliveredMessage } from './message.ts'
import { type Receipt, Receipts } from './receipts.ts'
import type { ReceptionHost } from './reception-host.ts'
import { Router } from './router.ts'
import { Strays } from './strays.ts'
import type { ClientSubscription } from './subscription.ts'
import { filterMatching, isAcknowledged } from './subscription-plan.ts'

/**
 * How long after its SUBACK, or after the last one, retained messages may still come to a
 * subscription, in ms.
 */
const EXPECTED_MS = 250

/** How many messages are held; with more the measurement goes on without them. */
const HELD_MAX = 1024

export class Reception {
  readonly receipts = new Receipts()
  readonly router: Router
  readonly subscriptions = new Set<ClientSubscription>()
  readonly strays = new Strays((filters) => this.#giveUp(filters))
  #former: FormerFilters | null = null
  readonly #host: ReceptionHost
  /** Whether messages that nobody asked for are kept: the session may outlive the client. */
  readonly #keeps: boolean
  isDistributing = false
  /** How many messages have been received. */
  arrivals = 0
  /** Messages that belonged to no subscription. */
  unmatched = 0
  /** How many subscriptions have messages that wait, and were never pulled. */
  unattended = 0
  /** Messages that are held until it is known how the server treats overlapping filters. */
  #held: IncomingPublish[] | null = null

  constructor(host: ReceptionHost, keeps: boolean, firstIdentifier: number) {
    this.#host = host
    this.#keeps = keeps
    this.router = new Router(firstIdentifier)
  }

  // ------------------------------------------------------------------------------------- messages

  /** Holds the messages that come from now on, until `release`. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const packet of held) this.receive(packet)
  }

  /** Meanwhile no others are read: code of the user that is called may pull one. */
  receive(packet: IncomingPublish): void {
    this.arrivals++
    const isInner = this.isDistributing
    this.isDistributing = true
    try {
      this.#take(packet)
    } finally {
      this.isDistributing = isInner
    }
  }

  #take(packet: IncomingPublish): void {
    const route = this.router.route(packet, this.#host.byIdentifier())
    const { subscriptions, entries, isLate } = route
    for (const { handlers } of entries) handlers?.tell(packet)
    if (this.#held !== null && entries.every(({ handled }) => handled === 0)) {
      if (this.#held.push(packet) >= HELD_MAX) this.release()
      return
    }
    if (subscriptions.length === 0) return this.#unread(packet, entries, isLate)
    let open = 0
    if (packet.qos > 0) for (const one of subscriptions) if (isAcknowledged(one.rules)) open++
    const receipt = open === 0 ? null : this.#receipt(packet, open)
    if (receipt === null && packet.qos > 0) this.#host.acknowledge(packet)
    // Nearly always it is one, for which no array is made.
    if (subscriptions.length === 1) return this.#give(subscriptions[0]!, packet, receipt, false)
    for (const one of [...subscriptions]) {
      this.#give(one, packet, isAcknowledged(one.rules) ? receipt : null, false)
    }
  }

  #receipt(packet: IncomingPublish, open: number): Receipt {
    this.#host.unhandled(1)
    return this.receipts.add(packet, open)
  }

  #give(
    subscription: ClientSubscription,
    packet: IncomingPublish,
    receipt: Receipt | null,
    left: boolean,
  ): void {
    if (subscription.hasEnded) return this.#missed(subscription, packet, receipt)
    const qos = Math.min(packet.qos, subscription.rules.qos) as QoS
    const message = new DeliveredMessage(packet, subscription, receipt, qos, left)
    if (!subscription.pulled && subscription.waiting.length === 0) {
      subscription.waitingSince = this.#host.now()
    }
    if (packet.retain) subscription.retainedAt = this.#host.now()
    subscription.offer(message)
  }

  /** A message for a subscription that has just ended. Those of a client that closes wait. */
  #missed(
    subscription: ClientSubscription,
    packet: IncomingPublish,
    receipt: Receipt | null,
  ): void {
    if (receipt === null || this.subscriptions.has(subscription)) return
    if (!subscription.plan.keeps) return this.handled(receipt)
    this.strays.add(receipt, filterMatching(subscription.plan, packet.topic), null)
  }

  /** A message that no subscription of this client gets. */
  #unread(packet: IncomingPublish, entries: readonly FilterEntry[], isLate: boolean): void {
    const kept = entries.find((entry) => entry.kept && !entry.isRead)
    const isRead = entries.some((entry) => entry.isRead)
    const isKnown = isLate || entries.length > 0 || this.#former?.match(packet.topic) === true
    const isForLater = this.#keeps && !isKnown && !this.#host.isOwn(packet.topic)
    const { qos } = packet
    if (qos > 0 && (kept !== undefined || (isForLater && !this.strays.isForNobody(packet)))) {
      return this.strays.add(this.#receipt(packet, 1), kept?.filter ?? null, null)
    }
    // A retained message that is not for the subscriptions that had it already is no surprise.
    if (!isRead) this.unmatched++
    if (qos > 0) this.#host.acknowledge(packet)
  }

  /** Ends filters of an earlier process. Nobody waits for the answer. */
  #giveUp(filters: readonly string[]): void {
    const make = () => this.router.unneeded(filters)
    this.#host.request(make, () => {})
  }

  /** A message is handled by one of the subscriptions that have it. */
  handled(receipt: Receipt): void {
    if (--receipt.open > 0) return
    this.#host.acknowledge(receipt.packet)
    if (receipt.isGone) return
    this.receipts.handled(receipt)
    this.#host.unhandled(-1)
  }

  // -------------------------------------------------------------------------------- subscriptions

  /** Registers a subscription and puts its SUBSCRIBEs into the line. */
  add(subscription: ClientSubscription): void {
    const { router } = this
    const entries = this.#entriesOf(subscription)
    this.subscriptions.add(subscription)
    for (const entry of entries) entry.subscriptions = [...entry.subscriptions, subscription]
    const acknowledges = isAcknowledged(subscription.rules)
    for (const receipt of this.strays.take(subscription.plan.filters)) {
      if (!acknowledges) this.handled(receipt)
      this.#give(subscription, receipt.packet, acknowledges ? receipt : null, true)
    }
    const groups = groupsOf(entries)
    let open = groups.length
    for (const group of groups) {
      this.#host.request(
        () => (subscription.hasEnded ? null : this.#subscribe(subscription, group)),
        (outcome) => {
          open--
          if (!outcome.ok) this.#refused(subscription, outcome.error)
          else this.#granted(subscription, group, outcome.packet, open === 0)
        },
      )
    }
    for (const entry of entries) {
      const other = router.overlapping(entry)
      if (other === null) continue
      this.#host.overlaps(entry.filter, other.filter, other.differsFrom(subscription.rules.qos))
    }
  }

  /** @returns the SUBSCRIBE of a subscription, for some of its filters. */
  #subscribe(subscription: ClientSubscription, group: readonly FilterEntry[]): SubscribeRequest {
    const { rules } = subscription
    const newcomers = rules.retained === 'none' ? [] : [subscription]
    for (const entry of group) {
      const others = this.#expecting(entry, subscription)
      entry.newcomers = others.length === 0 ? newcomers : [...others, ...newcomers]
      entry.kept = false
      this.#former?.delete(entry.filter)
      entry.wants(rules.qos, rules.noLocal)
    }
    return this.#requestFor(group, newcomers, RETAIN_HANDLING[rules.retained])
  }

  /** @returns other subscriptions for which retained messages of a filter may still come. */
  #expecting({ newcomers, subscriptions }: FilterEntry, asking: ClientSubscription | null) {
    const since = this.#host.now() - EXPECTED_MS
    const others = newcomers === 'everybody' ? subscriptions : newcomers
    return others.filter((one) => {
      const isExpecting = one.status === 'requested' || one.retainedAt > since
      return one !== asking && !one.hasEnded && isExpecting
    })
  }

  #requestFor(
    group: readonly FilterEntry[],
    newcomers: readonly ClientSubscription[],
    rh: 0 | 1 | 2,
  ): SubscribeRequest {
    const { isMqtt5, hasIdentifiers } = this.#host.terms()
    const subscriptions = group.map(({ filter, qos, noLocal }) => ({
      topic: filter,
      qos,
      ...(noLocal ? { nl: true } : {}),
      ...(isMqtt5 && rh > 0 ? { rh } : {}),
    }))
    if (!isMqtt5 || !hasIdentifiers) return { cmd: 'subscribe', subscriptions }
    const subscriptionIdentifier = this.router.identify(group, newcomers)
    return { cmd: 'subscribe', subscriptions, properties: { subscriptionIdentifier } }
  }

  #granted(
    subscription: ClientSubscription,
    group: readonly FilterEntry[],
    packet: Incoming | undefined,
    isLast: boolean,
  ): void {
    const codes = packet?.cmd === 'suback' ? packet.granted : []
    for (const [i, entry] of group.entries()) entry.granted = (codes[i] ?? entry.qos) as QoS
    if (!isLast) return
    const { plan, rules } = subscription
    const levels = this.#entriesOf(subscription).map(
      ({ granted }) => Math.min(granted ?? 0, rules.qos) as QoS,
    )
    subscription.grantedOn = this.#host.attempt()
    const isGranted = () => subscription.changed('granted', false, levels)
    // MQTT 5 says in the CONNACK whether there are shared subscriptions.
    const isShared = plan.filters.some((filter) => filter.startsWith('$share/'))
    if (this.#host.terms().isMqtt5 || !isShared) return isGranted()
    this.#host.checkShared().then(isGranted, (error) => this.#refused(subscription, error))
  }

  #refused(subscription: ClientSubscription, cause: unknown): void {
    const reason = subscribeRefused(cause, subscription.plan.filters)
    // What came for other subscriptions of the filter does not wait for somebody to ask.
    const waiting = subscription.status === 'requested' ? subscription.takeWaiting() : []
    subscription.end({ reason }, 'refused')
    this.letGo(subscription, waiting)
    this.#remove(subscription, false)
    this.#host.refused()
  }

  /** A subscription was left with messages that nobody handled. */
  left(subscription: ClientSubscription, unhandled: readonly DeliveredMessage[]): void {
    this.letGo(subscription, unhandled)
    this.#remove(subscription, subscription.plan.keeps)
  }

  /** What a subscription had when it ended is kept, or given up. */
  letGo(subscription: ClientSubscription, unhandled: readonly DeliveredMessage[]): void {
    const { keeps } = subscription.plan
    for (const message of unhandled) {
      if (message.receipt === null || message.isHandled) continue
      if (keeps)
        this.strays.add(message.receipt, filterMatching(subscription.plan, message.topic), message)
      else {
        message.ack()
        subscription.released++
      }
    }
  }

  #remove(subscription: ClientSubscription, keeps: boolean): void {
    this.subscriptions.delete(subscription)
    for (const entry of this.#entriesOf(subscription)) {
      entry.subscriptions = entry.subscriptions.filter((one) => one !== subscription)
      if (keeps && entry.asked) entry.kept = true
      this.#unsubscribe(entry)
    }
  }

  #entriesOf({ plan }: ClientSubscription): FilterEntry[] {
    return plan.filters.map((filter) => this.router.entryOf(filter))
  }

  /** Ends a filter at the server if nobody needs it any more. */
  #unsubscribe(entry: FilterEntry): void {
    if (entry.isNeeded) return
    if (!entry.asked) return this.router.forget(entry)
    this.#host.request(
      () => {
        if (entry.isNeeded || !entry.asked) return null
        entry.asked = false
        this.#former ??= new FormerFilters()
        this.#former.add(entry.filter)
        return { cmd: 'unsubscribe', unsubscriptions: [entry.filter] }
      },
      () => {
        if (!entry.isNeeded && !entry.asked) this.router.forget(entry)
      },
    )
  }

  /**
   * Reads filters for the client itself, asked for by one SUBSCRIBE: messages are acknowledged as
   * they arrive.
   * @param rh Retain Handling: 0 for all retained messages, 2 for none.
   * @returns a function that ends it, or some of its filters.
   */
  listen(
    filters: readonly string[],
    { qos, rh }: { readonly qos: QoS; readonly rh: 0 | 2 },
    handler: (packet: IncomingPublish) => void,
    settled: (outcome: Outcome) => void,
  ): (filters?: readonly string[]) => void {
    const open = new Map<FilterEntry, () => void>()
    for (const filter of filters) {
      const entry = this.router.entryOf(filter)
      entry.handlers ??= new ListenerList()
      open.set(entry, entry.handlers.add(handler))
    }
    this.#host.request(() => {
      const entries = [...open.keys()]
      if (entries.length === 0) return null
      for (const entry of entries) {
        if (rh === 0) entry.newcomers = this.#expecting(entry, null)
        entry.wants(qos, false)
      }
      return this.#requestFor(entries, [], rh)
    }, settled)
    return (some = filters) => {
      for (const filter of some) {
        const entry = this.router.find(filter)
        const remove = entry && open.get(entry)
        if (remove === undefined) continue
        open.delete(entry!)
        remove()
        this.#unsubscribe(entry!)
      }
    }
  }

  // ----------------------------------------------------------------------------------- connections

  /** @param resumed whether the server of a new connection had the session. */
  connected(resumed: boolean): void {
    this.#forgetConnection(resumed)
    if (!resumed) for (const entry of this.router.entries) entry.newcomers = 'everybody'
    for (const subscription of this.subscriptions) {
      if (subscription.status !== 'granted' && subscription.status !== 'renewing') continue
      // Its SUBACK came on this connection, and was known before the CONNACK was read.
      if (subscription.grantedOn === this.#host.attempt()) continue
      if (resumed) subscription.changed('resumed', false)
      else subscription.changed('renewing', true)
    }
  }

  /**
   * Forgets what the lost connection brought. If the server goes on with the session, it sends
   * messages at QoS 1 again, so that those that wait are dropped; messages at QoS 2 are given once,
   * and may still be acknowledged. (M12, a reconnection is invisible to iterators)
   */
  #forgetConnection(resumed: boolean): void {
    const before = this.receipts.unhandled
    this.receipts.reset(({ packet }) => resumed && packet.qos === 2)
    this.#host.unhandled(this.receipts.unhandled - before)
    this.strays.filter(({ isGone }) => !isGone)
    if (!resumed) return
    if (this.#held !== null) this.#held = this.#held.filter(({ qos }) => qos !== 1)
    for (const subscription of this.subscriptions) {
      subscription.keepOnly(({ receipt }) => receipt === null || !receipt.isGone)
    }
  }

  /** The server answered the renewal of a filter, or the loop has given it up. */
  renewed(filter: string, code: number): void {
    for (const subscription of this.router.find(filter)?.subscriptions ?? []) {
      if (code < 0x80) subscription.changed('granted', false)
      // One that is asked for now has an answer of its own.
      else if (subscription.status !== 'requested') {
        this.#refused(subscription, renewalRefused(filter, code))
      }
    }
  }
}

const RETAIN_HANDLING = { all: 0, new: 1, none: 2 } as const
