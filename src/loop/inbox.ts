/**
 * What the broker sent and the consumer has not taken, and who waits for it. (R1, R3, R6)
 *
 * `next()` calls are answered in order, one packet each. Every change is counted, so that the loop can tell the reducers in
 * one input what a whole burst of calls took and handled.
 */

import type { YieldEffect } from '../protocol/contract.ts'
import type { Incoming } from '../requests/vocabulary.ts'

type Resolve = (result: IteratorResult<Incoming, undefined>) => void

/**
 * Somebody who waits, and who waits behind. A class: V8 moves object literals into the old generation where they once lived
 * long, and an old waiter keeps its packet until a full collection.
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

/** Beyond this many taken entries the array is cut. */
const COMPACT_AT = 512

/** One for all that are empty; never changed. */
const NOTHING: YieldEffect[] = []

export class Inbox {
  #queue: YieldEffect[] = NOTHING
  #head = 0
  #oldest: Waiter | null = null
  #newest: Waiter | null = null
  #withheld: YieldEffect[] | null = null
  /** Messages before this sequence were dropped in favour of their redelivery. */
  #droppedBefore = 0
  /** Messages at QoS > 0 that the consumer holds since its last `next()`. */
  #inHand: YieldEffect[] | null = null
  /** By packet, where acknowledgements are the user's to give. */
  readonly #sequences: WeakMap<object, number> | null
  packets = 0
  bytes = 0
  yieldedThrough = 0
  handledThrough = 0

  constructor(manual: boolean) {
    this.#sequences = manual ? new WeakMap() : null
  }

  /** Something has changed that the reducers do not know. */
  get dirty(): boolean {
    return this.packets > 0 || this.handledThrough > 0
  }

  get waiting(): boolean {
    return this.#oldest !== null
  }

  offer(entry: YieldEffect): void {
    if (this.#queue === NOTHING) this.#queue = [entry]
    else this.#queue.push(entry)
  }

  /** Answers those who wait. Only once all effects of a step are performed: a later one may withhold what an earlier one gave. */
  serve(): void {
    while (this.#oldest !== null) {
      const packet = this.take()
      if (packet === undefined) return
      this.#leave()!.resolve({ done: false, value: packet })
    }
  }

  /** The next packet, or undefined: none is here. */
  take(): Incoming | undefined {
    const entry = this.#queue[this.#head]
    if (entry === undefined) return undefined
    this.#head++
    if (this.#head === this.#queue.length) {
      this.#queue = NOTHING
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

  /** The oldest, who waits no more. */
  #leave(): Waiter | null {
    const waiter = this.#oldest
    if (waiter === null) return null
    this.#oldest = waiter.next
    waiter.next = null
    if (this.#oldest === null) this.#newest = null
    return waiter
  }

  #deliver(entry: YieldEffect): Incoming {
    this.packets++
    this.bytes += entry.bytes
    const packet = entry.packet as Incoming
    if (entry.sequence > 0) {
      this.yieldedThrough = entry.sequence
      if (this.#sequences !== null) this.#sequences.set(packet, entry.sequence)
      else if (this.#inHand === null) this.#inHand = [entry]
      else this.#inHand.push(entry)
    }
    return packet
  }

  /** The consumer asks for more: what it had in hand is handled. */
  handled(): void {
    if (this.#inHand === null) return
    this.handledThrough = this.#inHand[this.#inHand.length - 1]!.sequence
    this.#inHand = null
  }

  /** The sequence of a packet that may be acknowledged; undefined: it was, or is no such packet. */
  sequenceOf(packet: object): number | undefined {
    if (this.#sequences !== null) return this.#sequences.get(packet)
    return this.#inHand?.find((entry) => entry.packet === packet)?.sequence
  }

  /** What was counted is told. */
  reported(): void {
    this.packets = 0
    this.bytes = 0
    this.handledThrough = 0
  }

  /** Messages at QoS > 0 that nobody has taken wait for the next CONNACK. */
  withhold(): void {
    const rest = this.#queue.slice(this.#head)
    const earlier = this.#withheld ?? []
    this.#withheld = [...earlier, ...rest.filter(({ sequence }) => sequence > 0)]
    const kept = rest.filter(({ sequence }) => sequence === 0)
    this.#queue = kept.length > 0 ? kept : NOTHING
    this.#head = 0
  }

  /** Nobody will get it: it counts as taken, not as handled. */
  drop(entry: YieldEffect): void {
    this.packets++
    this.bytes += entry.bytes
  }

  unwithhold(drop: boolean, before: number): void {
    const withheld = this.#withheld ?? []
    this.#withheld = null
    if (drop) this.#droppedBefore = before
    for (const entry of withheld) {
      if (!drop) this.offer(entry)
      else this.drop(entry)
    }
  }

  get withholds(): boolean {
    return this.#withheld !== null
  }

  /** A message of a connection that is over by now. */
  offerLate(entry: YieldEffect): void {
    if (entry.sequence < this.#droppedBefore) this.drop(entry)
    else if (this.#withheld !== null) this.#withheld.push(entry)
    else this.offer(entry)
  }

  /** The loop is over: nothing that is left will be asked for. */
  clear(): void {
    this.#queue = NOTHING
    this.#head = 0
    this.#withheld = null
    this.#inHand = null
  }

  /** Answers those who wait: the oldest with the error, where there is one, the others with done. True: it was told. */
  end(error: { readonly reason: unknown } | null): boolean {
    const told = error !== null && this.waiting
    if (told) this.#leave()!.reject(error.reason)
    while (this.waiting) this.#leave()!.resolve({ done: true, value: undefined })
    return told
  }
}
