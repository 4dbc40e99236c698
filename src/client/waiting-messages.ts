/**
 * Which messages wait to be pulled from one subscription? Those at QoS 1 and 2 are as few as the
 * Receive Maximum; of those that nobody acknowledges at most `overflow.max` wait. (M13, the memory
 * of a client is bounded)
 */
import { Fifo } from './fifo.ts'
import type { DeliveredMessage } from './message.ts'
import type { Receipt } from './receipts.ts'

export class WaitingMessages {
  readonly #queue = new Fifo<DeliveredMessage>()
  /** How many of them nobody acknowledges. */
  #loose = 0

  get length(): number {
    return this.#queue.length
  }

  get loose(): number {
    return this.#loose
  }

  has(receipt: Receipt): boolean {
    for (const message of this.#queue) if (message.receipt === receipt) return true
    return false
  }

  push(message: DeliveredMessage): void {
    this.#queue.push(message)
    if (message.receipt === null) this.#loose++
  }

  shift(): DeliveredMessage | undefined {
    const message = this.#queue.shift()
    if (message?.receipt === null) this.#loose--
    return message
  }

  /** Drops the oldest message that nobody acknowledges. There must be one. */
  dropOldest(): void {
    this.#loose--
    if (this.#queue.first?.receipt === null) this.#queue.shift()
    else this.#queue.remove(({ receipt }) => receipt === null)
  }

  /** Keeps only the messages for which `stays` is true. */
  filter(stays: (message: DeliveredMessage) => boolean): void {
    if (this.length === 0) return
    this.#queue.filter(stays)
    this.#loose = [...this.#queue].filter(({ receipt }) => receipt === null).length
  }

  /** @returns the messages, none of which waits then. */
  clear(): DeliveredMessage[] {
    this.#loose = 0
    return this.#queue.clear()
  }
}
