/**
 * How does the demand ask the loop for packets? (M1, without demand nothing runs)
 */
import type { Eventloop, Incoming } from '../index.ts'
import {
  type Demand,
  type DemandChange,
  demandAfter,
  isWanted,
  mayAsk,
  NO_DEMAND,
} from './demand.ts'

export interface LoopReaderListener {
  received(packet: Incoming): void
  /** The loop has ended; `error` is null if it ended in order. */
  ended(error: unknown): void
  /** Somebody needs the connection now, or nobody any more. */
  wanted(isWanted: boolean): void
}

export class LoopReader {
  readonly #loop: Eventloop
  /**
   * How many messages may be unacknowledged: a bound of memory for servers that know no Receive
   * Maximum.
   */
  readonly #unhandledMax: number
  #unhandled = 0
  readonly #listener: LoopReaderListener
  #demand: Demand = NO_DEMAND
  #begun = false
  // Bound once, because `next()` is called a million times.
  readonly #answered = (result: IteratorResult<Incoming, undefined>) => this.#take(result)
  readonly #failed = (error: unknown) => this.#listener.ended(error)

  constructor(loop: Eventloop, unhandledMax: number, listener: LoopReaderListener) {
    this.#loop = loop
    this.#unhandledMax = unhandledMax
    this.#listener = listener
  }

  /** Whether the loop was ever asked for a packet. */
  get hasBegun(): boolean {
    return this.#begun
  }

  get isWanted(): boolean {
    return isWanted(this.#demand)
  }

  change(change: DemandChange, by = 0): void {
    const wasWanted = isWanted(this.#demand)
    this.#demand = demandAfter(this.#demand, change, by)
    if (isWanted(this.#demand) !== wasWanted) this.#listener.wanted(!wasWanted)
    this.#read()
  }

  /** How many messages are not acknowledged, whatever subscription they belong to, has changed. */
  unhandled(by: number): void {
    this.#unhandled += by
    const isCrowded = this.#unhandled >= this.#unhandledMax
    if (isCrowded !== this.#demand.crowded) this.change(isCrowded ? 'crowded' : 'roomy')
  }

  /** @returns a function that ends the demand; to call it twice is to call it once. */
  demanding(type: 'calls' | 'lasting'): () => void {
    let isOver = false
    this.change(type, 1)
    return () => {
      if (isOver) return
      isOver = true
      this.change(type, -1)
    }
  }

  /**
   * Takes packets that were received already, until the reader is served: what would come with the
   * next `next()`, without a promise for each.
   */
  readNow(reader: { readonly isServed: boolean }): void {
    const loop = this.#loop
    while (!reader.isServed && !this.#demand.asked && !this.#demand.crowded) {
      const packet = loop.tryNext()
      if (packet === undefined) return
      this.#listener.received(packet)
    }
  }

  #read(): void {
    if (!mayAsk(this.#demand)) return
    this.#begun = true
    this.#demand = demandAfter(this.#demand, 'asked', 0)
    this.#loop.next().then(this.#answered, this.#failed)
  }

  #take({ done, value }: IteratorResult<Incoming, undefined>): void {
    if (done) return this.#listener.ended(null)
    this.#demand = demandAfter(this.#demand, 'answered', 0)
    this.#listener.received(value)
    this.#read()
  }
}
