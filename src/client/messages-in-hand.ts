/**
 * Which messages were given and are not acknowledged? Those that are acknowledged are forgotten
 * when all before them are, too.
 */
import { Fifo } from './fifo.ts'
import type { DeliveredMessage } from './message.ts'
import type { Receipt } from './receipts.ts'

export class MessagesInHand extends Fifo<DeliveredMessage> {
  /** How many there are. */
  get count(): number {
    let count = 0
    for (const { isHandled } of this) if (!isHandled) count++
    return count
  }

  has(receipt: Receipt): boolean {
    for (const message of this) {
      if (message.receipt === receipt && !message.isHandled) return true
    }
    return false
  }

  /** Acknowledges all of them. */
  acknowledge(): void {
    for (let oldest = this.first; oldest !== undefined; oldest = this.first) {
      oldest.ack()
    }
  }

  /** Forgets those at the front that are acknowledged. */
  forget(): void {
    while (this.first?.isHandled) this.shift()
  }
}
