/**
 * Which messages were given and are not acknowledged? Those that are acknowledged are forgotten
 * when all before them are, too.
 */
import { Fifo } from './fifo.ts'
import type { DeliveredMessage } from './message.ts'
import type { Receipt } from './receipts.ts'

export class MessagesInHand {
  readonly #given = new Fifo<DeliveredMessage>()

  /** How many there are. */
  get count(): number {
    let count = 0
    for (const { isHandled } of this.#given) if (!isHandled) count++
    return count
  }

  has(receipt: Receipt): boolean {
    for (const message of this.#given) {
      if (message.receipt === receipt && !message.isHandled) return true
    }
    return false
  }

  push(message: DeliveredMessage): void {
    this.#given.push(message)
  }

  /** Acknowledges all of them. */
  acknowledge(): void {
    for (let oldest = this.#given.first; oldest !== undefined; oldest = this.#given.first) {
      oldest.ack()
    }
  }

  /** Forgets those at the front that are acknowledged. */
  forget(): void {
    while (this.#given.first?.isHandled) this.#given.shift()
  }

  /** @returns all of them; none is in hand then. */
  clear(): DeliveredMessage[] {
    return this.#given.clear()
  }
}
