/**
 * The inbox holds packets that were received and that the consumer has not taken. It also holds the
 * `next()` calls that wait for a packet. (R1, a message is acknowledged when it is handled; R3, a
 * slow consumer is normal; R6, messages not yet yielded wait for the CONNACK)
 *
 * `next()` calls are answered in order, one packet each. Packets that are taken are counted, so
 * that one input can report to the reducers how much a whole burst of calls took and handled.
 */
import type { YieldEffect } from '../protocol/contract.ts'
import { Unheard } from '../requests/unheard.ts'
import type { Incoming, IncomingPublish } from '../requests/vocabulary.ts'

type Resolve = (result: IteratorResult<Incoming, undefined>) => void

/**
 * A `next()` call that waits, and the call that waits behind it. It is a class and not an object
 * literal. V8 learns for each literal in the source how long its objects are used, and allocates
 * later ones in the old generation if earlier ones were used for long. A waiter there would keep
 * its packet in memory until a full garbage collection.
 */
class Waiter {
  readonly resolve: Resolve
  readonly reject: (reason: unknown) => void
  next: Waiter | null = null

  constructor(resolve: Resolve, reject: (reason: unknown) => void) {
    this.resolve = resolve
    this.reject = reject
  }
}

/**
 * The array is shortened when at least this many of its entries, and at least half of them, were
 * taken.
 */
const COMPACT_AT = 512

/** Shared by all inboxes that are empty; never changed. */
const NO_ENTRIES: YieldEffect[] = []

export class Inbox {
  #queue: YieldEffect[] = NO_ENTRIES
  #head = 0
  #oldest: Waiter | null = null
  #newest: Waiter | null = null
  /** Messages of a lost connection that wait for the next CONNACK; null if there are none. */
  #heldBack: YieldEffect[] | null = null
  /** Messages before this sequence number were dropped, because the server sends them again. */
  #droppedBefore = 0
  /** Messages at QoS > 0 that were yielded and are not handled. */
  #unhandled: YieldEffect[] | null = null
  /** With `acks: 'manual'`: how many of them, from the front, are acknowledged. */
  #unhandledFrom = 0
  /** The sequence numbers of those behind that are acknowledged; null if there never was one. */
  #acknowledgedEarly: Set<number> | null = null
  /** Refusals that only this consumer is given; null until there is one. */
  unheard: Unheard | null = null
  /** Whether the user acknowledges messages by `ack()` (`acks: 'manual'`). */
  manual = false
  /**
   * These four fields count what was taken and handled since the last report to the reducers:
   * packets, bytes, and the last sequence number yielded and handled.
   */
  packets = 0
  bytes = 0
  yieldedThrough = 0
  handledThrough = 0

  /** Whether something was taken or handled that was not reported to the reducers yet. */
  get dirty(): boolean {
    return this.packets > 0 || this.handledThrough > 0
  }

  get waiting(): boolean {
    return this.#oldest !== null
  }

  offer(entry: YieldEffect): void {
    if (this.#queue === NO_ENTRIES) this.#queue = [entry]
    else this.#queue.push(entry)
  }

  /**
   * Answers the calls that wait. The loop calls this only after all effects of a step were
   * performed, because a later effect may take back a packet that an earlier one added.
   */
  serve(): void {
    while (this.#oldest !== null) {
      const packet = this.take()
      if (packet === undefined) return
      this.#leave()!.resolve({ done: false, value: packet })
    }
  }

  /** @returns the next packet, or undefined if there is none. */
  take(): Incoming | undefined {
    const entry = this.#queue[this.#head]
    if (entry === undefined) return undefined
    this.#head++
    if (this.#head === this.#queue.length) {
      this.#queue = NO_ENTRIES
      this.#head = 0
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return this.#deliver(entry)
  }

  wait(): Promise<IteratorResult<Incoming, undefined>> {
    return new Promise((resolve, reject) => this.#join(new Waiter(resolve, reject)))
  }

  #join(waiter: Waiter): void {
    if (this.#newest === null) this.#oldest = waiter
    else this.#newest.next = waiter
    this.#newest = waiter
  }

  /** @returns the oldest call that waits, removed from the queue, or null if none waits. */
  #leave(): Waiter | null {
    const waiter = this.#oldest
    if (waiter === null) return null
    this.#oldest = waiter.next
    waiter.next = null
    if (this.#oldest === null) this.#newest = null
    return waiter
  }

  /** Notes that a packet refuses something, of which nobody else is told. */
  noteUnheard(packet: Incoming, error: unknown): void {
    this.unheard ??= new Unheard()
    this.unheard.add(packet, error)
  }

  #deliver(entry: YieldEffect): Incoming {
    this.packets++
    this.bytes += entry.bytes
    const packet = entry.packet as Incoming
    if (this.unheard !== null) this.unheard.give(packet)
    if (entry.sequence > 0) {
      this.yieldedThrough = entry.sequence
      if (this.#unhandled === null) this.#unhandled = [entry]
      else this.#unhandled.push(entry)
    }
    return packet
  }

  /** Marks what was yielded as handled, because the consumer asks for the next packet. */
  handled(): void {
    if (this.#unhandled === null) return
    this.handledThrough = this.#unhandled[this.#unhandled.length - 1]!.sequence
    this.#unhandled = null
  }

  /**
   * @returns the sequence number of a message that the user may acknowledge, or undefined for any
   *   other packet.
   */
  sequenceOf(packet: object): number | undefined {
    const at = this.#placeOf(packet)
    return at < 0 ? undefined : this.#unhandled![at]!.sequence
  }

  /** @returns where a message is among those that are not handled, or -1. */
  #placeOf(packet: object): number {
    const unhandled = this.#unhandled
    if (unhandled === null) return -1
    // Messages are hardly ever acknowledged in another order than they came.
    for (let i = this.#unhandledFrom; i < unhandled.length; i++) {
      if (unhandled[i]!.packet === packet) return i
    }
    return -1
  }

  /** Notes that the user acknowledges a message. It is forgotten when all before it are, too. */
  acknowledged(packet: object): void {
    const unhandled = this.#unhandled!
    const { sequence } = unhandled[this.#placeOf(packet)]!
    if (unhandled[this.#unhandledFrom]!.sequence !== sequence) {
      this.#acknowledgedEarly ??= new Set()
      this.#acknowledgedEarly.add(sequence)
      return
    }
    do this.#unhandledFrom++
    while (this.#acknowledgedEarly?.delete(unhandled[this.#unhandledFrom]?.sequence ?? 0))
    if (this.#unhandledFrom === unhandled.length) this.#keepUnhandled([])
    else if (this.#unhandledFrom >= COMPACT_AT && this.#unhandledFrom * 2 >= unhandled.length) {
      this.#keepUnhandled(unhandled.slice(this.#unhandledFrom))
    }
  }

  #keepUnhandled(entries: YieldEffect[]): void {
    this.#unhandled = entries.length > 0 ? entries : null
    this.#unhandledFrom = 0
  }

  /** Resets the counts after they were reported to the reducers. */
  reported(): void {
    this.packets = 0
    this.bytes = 0
    this.handledThrough = 0
  }

  /**
   * Sets aside, until the next CONNACK, the messages at QoS > 0 that the consumer has not taken.
   */
  holdBack(): void {
    if (this.manual && this.#unhandled !== null) {
      // Only messages at QoS 2 can still be acknowledged.
      const yielded = this.#unhandled.slice(this.#unhandledFrom)
      this.#keepUnhandled(yielded.filter(({ packet }) => (packet as IncomingPublish).qos === 2))
    }
    const rest = this.#queue.slice(this.#head)
    const earlier = this.#heldBack ?? []
    this.#heldBack = [...earlier, ...rest.filter(({ sequence }) => sequence > 0)]
    const kept = rest.filter(({ sequence }) => sequence === 0)
    this.#queue = kept.length > 0 ? kept : NO_ENTRIES
    this.#head = 0
  }

  /** Counts a message that is dropped as taken, and not as handled. */
  drop(entry: YieldEffect): void {
    this.packets++
    this.bytes += entry.bytes
  }

  /**
   * Adds the messages that waited for the CONNACK, or drops those that the server sends again.
   * @param before the sequence number below which messages are dropped.
   */
  releaseHeldBack(drop: boolean, before: number): void {
    const messages = this.#heldBack ?? []
    this.#heldBack = null
    if (drop) this.#droppedBefore = before
    for (const entry of messages) {
      if (!drop) this.offer(entry)
      else this.drop(entry)
    }
  }

  get isHoldingBack(): boolean {
    return this.#heldBack !== null
  }

  /** Adds a message whose connection has ended. */
  offerLate(entry: YieldEffect): void {
    if (entry.sequence < this.#droppedBefore) this.drop(entry)
    else if (this.#heldBack !== null) this.#heldBack.push(entry)
    else this.offer(entry)
  }

  /** Drops all packets when the loop is over, because no call will take them. */
  clear(): void {
    this.#queue = NO_ENTRIES
    this.#head = 0
    this.#heldBack = null
    this.#keepUnhandled([])
    this.unheard = null
  }

  /**
   * Answers all calls that wait. The oldest call rejects with the error, if there is one; the
   * others resolve with `done: true`.
   * @returns whether the error was reported.
   */
  end(error: { readonly reason: unknown } | null): boolean {
    const reported = error !== null && this.waiting
    if (reported) this.#leave()!.reject(error.reason)
    while (this.waiting) this.#leave()!.resolve({ done: true, value: undefined })
    return reported
  }
}
