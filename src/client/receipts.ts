/**
 * Which messages are not acknowledged, in the order received? Acknowledgements leave in that order
 * [MQTT-4.6.0-2], so the oldest one that is not handled holds back all others. (M7, the
 * subscription that holds back others is named)
 */
import type { IncomingPublish } from '../index.ts'
import { Fifo } from './fifo.ts'

/** A message at QoS 1 or 2, and how many subscriptions have it. */
export class Receipt {
  readonly packet: IncomingPublish
  /** Its number in the order of arrival. */
  readonly order: number
  /** How many subscriptions have not handled it. */
  open: number
  /** Whether it belongs to a connection that was lost, and cannot be acknowledged any more. */
  isGone = false

  constructor(packet: IncomingPublish, order: number, open: number) {
    this.packet = packet
    this.order = order
    this.open = open
  }
}

export class Receipts {
  readonly #received = new Fifo<Receipt>()
  #handled = 0
  #order = 0

  /** How many messages are not handled. */
  get unhandled(): number {
    return this.#received.length - this.#handled
  }

  /** How many handled messages wait for the oldest one that is not. */
  get heldBack(): number {
    return this.#handled
  }

  /** The oldest message that is not handled, or undefined. */
  get oldest(): Receipt | undefined {
    return this.#received.first
  }

  /** How many messages have arrived. */
  get arrived(): number {
    return this.#order
  }

  /** @param open how many subscriptions get the message. */
  add(packet: IncomingPublish, open: number): Receipt {
    const receipt = new Receipt(packet, this.#order++, open)
    this.#received.push(receipt)
    return receipt
  }

  /** Notes that a message is handled by all who have it. */
  handled({ isGone }: Receipt): void {
    if (isGone) return
    this.#handled++
    while (this.#received.first?.open === 0) {
      this.#received.shift()
      this.#handled--
    }
  }

  /**
   * Forgets the messages of a lost connection.
   * @param stays says which ones may still be acknowledged.
   */
  reset(stays: (receipt: Receipt) => boolean): void {
    this.#received.filter((receipt) => {
      receipt.isGone = receipt.open > 0 && !stays(receipt)
      return receipt.open > 0 && !receipt.isGone
    })
    this.#handled = 0
  }
}
