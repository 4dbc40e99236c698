/**
 * What must become of the messages of the asker? The broker's sessions say which of its
 * subscriptions a message is owed to; only what the broker forgot with a session is not owed.
 */
import type { Message, Subscription } from '../../../src/client/index.ts'
import { matches } from '../../../src/index.ts'
import type { PacketRecord, TestBroker } from '../../../src/testing/index.ts'
import type { ClientProcess } from './client-process.ts'
import type { Setup, SlotSetup } from './client-scenario.ts'

/** A message with its number, which its payload begins with. */
export interface Sent {
  readonly number: number
  readonly topic: string
  readonly qos: number
  readonly source: 'own' | 'offer'
  /** How often it came to the broker: a publish that is sent again is a message of its own. */
  arrivals: number
}

/** A subscription, and what it was given. */
export class Follower {
  readonly process: ClientProcess
  readonly subscription: Subscription
  readonly setup: SlotSetup
  readonly slot: Slot | null
  readonly given = new Map<number, number>()
  /** How often a message came without saying that it comes again. */
  readonly fresh = new Map<number, number>()
  readonly expected = new Set<number>()
  readonly handled = new Set<number>()
  /** The last message that came for the first time, by what keeps its order. */
  readonly last = new Map<string, number>()
  grantedAt = Number.POSITIVE_INFINITY
  hasLeft = false
  gaps = 0
  gapsDue = 0

  constructor(
    process: ClientProcess,
    subscription: Subscription,
    setup: SlotSetup,
    slot: Slot | null,
  ) {
    this.process = process
    this.subscription = subscription
    this.setup = setup
    this.slot = slot
  }

  get isLive(): boolean {
    return !this.process.isOver && !this.process.isEnding && !this.hasLeft
  }

  filterOf(topic: string): string | undefined {
    return this.setup.filters.find((filter) => matches(filter, topic))
  }
}

/** A subscription that every process has, and what it is owed by all of them together. */
export class Slot {
  readonly setup: SlotSetup
  readonly owed = new Set<number>()
  follower: Follower | null = null
  /** Whether what comes for its filters is owed to it. */
  isOwed = false

  constructor(setup: SlotSetup) {
    this.setup = setup
  }
}

type Report = (id: string, what: string) => void

export class Messages {
  readonly slots: readonly Slot[]
  readonly followers: Follower[] = []
  readonly sent: Sent[] = []
  /** What followers left with `keep` and had in hand, by filter. */
  readonly kept = new Map<string, Set<number>>()
  /** Filters that followers left with `keep`: what came for them waits for a subscription. */
  readonly keptFilters = new Set<string>()
  /** How many processes of the asker there were. */
  lives = 0
  readonly #setup: Setup
  readonly #broker: TestBroker
  readonly #problem: Report
  readonly #delivered = new Map<string, number>()
  readonly #first = new Map<string, number>()
  /** Messages at QoS 2 that the broker knows, by identifier. */
  readonly #unreleased = new Map<number, number>()

  constructor(setup: Setup, broker: TestBroker, problem: Report) {
    this.#setup = setup
    this.#broker = broker
    this.#problem = problem
    this.slots = setup.slots.map((slot) => new Slot(slot))
  }

  /** Whether copies of one message cannot be told apart. */
  get #isBlurred(): boolean {
    const { overlaps, overlap, protocolVersion } = this.#setup
    if (!overlaps || overlap !== 'separate') return false
    // Nobody knows the identifiers that an earlier process gave.
    return protocolVersion === 4 || this.keptFilters.size > 0 || this.lives > 1
  }

  /** A subscription begins. What a slot left is for the next one of its filter. */
  entered(follower: Follower): void {
    this.followers.push(follower)
    const { filters } = follower.setup
    for (const slot of this.slots) {
      if (slot === follower.slot || slot.follower !== null) continue
      if (slot.setup.filters.some((filter) => filters.includes(filter))) slot.owed.clear()
    }
  }

  /** Whether another subscription gets what comes for a slot that was left. */
  #isTaken(slot: Slot): boolean {
    if (slot.follower !== null) return false
    const { filters } = slot.setup
    return this.followers.some(
      ({ isLive, setup }) => isLive && setup.filters.some((one) => filters.includes(one)),
    )
  }

  add(topic: string, qos: number, source: Sent['source']): Sent {
    const sent = { number: this.sent.length + 1, topic, qos, source, arrivals: 0 }
    this.sent.push(sent)
    return sent
  }

  // ------------------------------------------------------------------------------- at the broker

  /** A publish of the asker came to the broker. */
  arrived({ packet }: PacketRecord): void {
    if (packet.cmd !== 'publish') return
    const sent = this.sent[numberIn(packet.payload as Uint8Array) - 1]
    if (sent === undefined) return
    const { messageId = 0 } = packet
    // The broker has it already, and does not give it to anybody once more.
    if (packet.qos === 2 && this.#unreleased.get(messageId) === sent.number) return
    if (packet.qos === 2) this.#unreleased.set(messageId, sent.number)
    if (sent.topic !== packet.topic)
      this.#problem('M3', `${sent.number} is sent to ${packet.topic}`)
    if (sent.arrivals === 0) {
      const order = `${sent.qos}`
      const before = this.#first.get(order) ?? 0
      if (sent.number < before) {
        this.#problem('M3', `${sent.number} at QoS ${sent.qos} arrives after ${before}`)
      }
      this.#first.set(order, sent.number)
    }
    this.routed(sent)
  }

  /** The asker lets the broker forget the identifier of a message at QoS 2. */
  released({ packet }: PacketRecord): void {
    this.#unreleased.delete((packet as { messageId: number }).messageId)
  }

  /** The broker gives a message to those who have subscribed. */
  routed(sent: Sent): void {
    sent.arrivals++
    const granted = this.#broker.sessions.get('asker')?.subscriptions
    if (granted === undefined) return
    const isFor = ({ filters, qos: level }: SlotSetup) =>
      filters.some(
        (filter) =>
          granted[filter] !== undefined &&
          matches(filter, sent.topic) &&
          Math.min(sent.qos, granted[filter], level) > 0,
      )
    for (const follower of this.followers) {
      if (!follower.isLive || follower.grantedAt === Number.POSITIVE_INFINITY) continue
      if (isFor(follower.setup)) follower.expected.add(sent.number)
    }
    for (const slot of this.slots) {
      const { setup } = slot
      if (this.#isTaken(slot)) continue
      if (slot.isOwed && setup.acks !== 'receipt' && isFor(setup)) slot.owed.add(sent.number)
    }
  }

  /** The broker sends a message to the asker. */
  delivered({ packet, connection }: PacketRecord): void {
    if (packet.cmd !== 'publish' || !packet.qos) return
    const number = numberIn(packet.payload as Uint8Array)
    if (number > 0) this.#delivered.set(`${connection} ${packet.messageId}`, number)
  }

  /** The asker acknowledges a message: whoever is to have it must have handled it. */
  acknowledged({ packet, connection }: PacketRecord): void {
    const { messageId } = packet as { messageId: number }
    const number = this.#delivered.get(`${connection} ${messageId}`)
    const { overlaps, overlap } = this.#setup
    if (number === undefined || (overlaps && overlap === 'separate')) return
    for (const follower of this.followers) {
      const { expected, handled, setup } = follower
      if (!follower.isLive || setup.acks === 'receipt') continue
      if (!expected.has(number) || handled.has(number)) continue
      this.#problem('M5', `${number} is acknowledged, and ${setup.filters} has not handled it`)
    }
  }

  /** The broker has no session of the asker any more. */
  sessionLost(): void {
    this.kept.clear()
    this.#unreleased.clear()
    for (const slot of this.slots) {
      slot.owed.clear()
      const { follower } = slot
      if (follower?.isLive !== true || follower.grantedAt === Number.POSITIVE_INFINITY) {
        slot.isOwed = false
      }
    }
    for (const { expected } of this.followers) expected.clear()
  }

  // ------------------------------------------------------------------------------- at the client

  given(follower: Follower, message: Message): number {
    const { qos, redelivered, topic, payload } = message
    const { filters } = follower.setup
    const number = numberIn(payload)
    const sent = this.sent[number - 1]
    if (sent === undefined || sent.topic !== topic || isDamaged(payload)) {
      this.#problem('M5', `a message to ${topic} that nobody sent: ${number}`)
      return 0
    }
    if (follower.filterOf(topic) === undefined) {
      this.#problem('M6', `${number} to ${topic} came to ${filters}`)
    }
    if (qos > Math.min(sent.qos, follower.setup.qos)) {
      this.#problem('M10', `${number} came at QoS ${qos} to ${filters}`)
    }
    const before = follower.given.get(number) ?? 0
    follower.given.set(number, before + 1)
    if (!redelivered) follower.fresh.set(number, (follower.fresh.get(number) ?? 0) + 1)
    if (before > 0) this.#checkRepeat(follower, message, sent, before)
    else if (!redelivered) this.#checkOrder(follower, sent)
    for (const filter of filters) this.kept.get(filter)?.delete(number)
    return number
  }

  #checkRepeat({ setup, fresh }: Follower, { qos }: Message, sent: Sent, before: number): void {
    if (this.#isBlurred) return
    const count = fresh.get(sent.number) ?? 0
    if (count > sent.arrivals) {
      this.#problem('M6', `${sent.number} came ${count} times to ${setup.filters}`)
    }
    // Of an overlapping subscription it may come at a lower QoS and be the same message.
    if (qos === 2 && before >= sent.arrivals) {
      this.#problem('M6', `${sent.number} came again at QoS 2 to ${setup.filters}`)
    }
  }

  /** The order is that of each topic at each QoS (4.6), and of each publisher. */
  #checkOrder({ setup, last }: Follower, { number, qos, topic, source, arrivals }: Sent): void {
    if (this.#isBlurred || arrivals > 1) return
    const order = `${source} ${topic} ${qos}`
    const before = last.get(order) ?? 0
    if (number < before) this.#problem('M5', `${number} came after ${before} to ${setup.filters}`)
    last.set(order, Math.max(before, number))
  }

  handled(follower: Follower, number: number): void {
    follower.handled.add(number)
    follower.slot?.owed.delete(number)
  }

  left(follower: Follower, releases: boolean): void {
    follower.hasLeft = true
    const { slot, setup, given, handled } = follower
    const keeps = setup.keeps && !releases
    if (keeps) for (const filter of setup.filters) this.keptFilters.add(filter)
    if (slot !== null) {
      slot.follower = null
      // With overlapping filters what it left may be acknowledged by another subscription.
      if (!keeps || this.#setup.overlaps) {
        slot.owed.clear()
        slot.isOwed = false
      }
    }
    if (!keeps || this.#setup.overlaps || setup.acks === 'receipt' || setup.qos === 0) return
    for (const number of given.keys()) {
      const { topic, qos } = this.sent[number - 1]!
      if (qos === 0 || handled.has(number) || !follower.expected.has(number)) continue
      const filter = follower.filterOf(topic)!
      const numbers = this.kept.get(filter) ?? new Set()
      this.kept.set(filter, numbers.add(number))
    }
  }

  granted(follower: Follower, at: number): void {
    follower.grantedAt = at
    if (follower.slot !== null && follower.isLive) follower.slot.isOwed = true
  }

  /** @returns what is still owed, in words. */
  owed(): readonly string[] {
    const slots = this.slots.filter(({ owed }) => owed.size > 0)
    const kept = [...this.kept].filter(([, numbers]) => numbers.size > 0)
    return [
      ...slots.map(({ setup, owed }) => `${[...owed]} to ${setup.filters}`),
      ...kept.map(([filter, numbers]) => `${[...numbers]}, which was left, to ${filter}`),
    ]
  }

  /**
   * @returns filters with messages that wait for a subscription: those that were left with `keep`,
   *   and those of a process that was killed.
   */
  unread(): ReadonlySet<string> {
    const { subscriptions = {} } = this.#broker.sessions.get('asker') ?? {}
    const isOwn = (filter: string) => filter.startsWith('clients/')
    const isRead = (filter: string) =>
      this.followers.some(({ isLive, setup }) => isLive && setup.filters.includes(filter))
    const orphans = Object.keys(subscriptions).filter((one) => !isOwn(one) && !isRead(one))
    return new Set([...this.keptFilters, ...orphans])
  }

  checkGaps(): void {
    for (const { gaps, gapsDue, setup } of this.followers) {
      if (gaps < gapsDue) this.#problem('M12', `${setup.filters} saw ${gaps} of ${gapsDue} gaps`)
    }
  }
}

/** The number of a message is at the head of its payload; the rest is filler. */
export function payloadOf(number: number, bytes: number): string {
  return `${number};`.padEnd(bytes, '.')
}

/** @returns the number in a payload, or 0. */
export function numberIn(payload: Uint8Array): number {
  const text = new TextDecoder().decode(payload)
  return /^\d+;/.test(text) ? Number.parseInt(text, 10) : 0
}

function isDamaged(payload: Uint8Array): boolean {
  return !/^\d+;\.*$/.test(new TextDecoder().decode(payload))
}
