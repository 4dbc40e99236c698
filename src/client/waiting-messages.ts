/**
 * Which messages wait to be pulled from one subscription? Those at QoS 1 and 2 are as few as the
 * Receive Maximum; of those that nobody acknowledges at most `overflow.max` wait. (M13, the memory
 * of a client is bounded)
 */
import { Fifo } from './fifo.ts'
import type { DeliveredMessage } from './message.ts'
import type { Receipt } from './receipts.ts'

export class WaitingMessages extends Fifo<DeliveredMessage> {
  /** How many of them nobody acknowledges. */
  #loose = 0

  get loose(): number {
    return this.#loose
  }

  has(receipt: Receipt): boolean {
    for (const message of this) if (message.receipt === receipt) return true
    return false
  }

  override push(message: DeliveredMessage): void {
    super.push(message)
    if (message.receipt === null) this.#loose++
  }

  override shift(): DeliveredMessage | undefined {
    const message = super.shift()
    if (message?.receipt === null) this.#loose--
    return message
  }

  /** Drops the oldest message that nobody acknowledges. There must be one. */
  dropOldest(): void {
    if (this.first?.receipt === null) {
      this.shift()
      return
    }
    this.#loose--
    this.remove(({ receipt }) => receipt === null)
  }

  /** Keeps only the messages for which `stays` is true. */
  override filter(stays: (message: DeliveredMessage) => boolean): void {
    if (this.length === 0) return
    super.filter(stays)
    this.#loose = [...this].filter(({ receipt }) => receipt === null).length
  }

  /** @returns the messages, none of which waits then. */
  override clear(): DeliveredMessage[] {
    this.#loose = 0
    return super.clear()
  }
}
