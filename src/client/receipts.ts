/**
 * Which messages are not acknowledged, in the order received? Acknowledgements leave in that order
 * [MQTT-4.6.0-2], so the oldest one that is not handled holds back all others. (M7, who holds back
 * the others is named)
 */
import type { IncomingPublish } from '../index.ts'

/** A message at QoS 1 or 2, and how many subscriptions have it. */
export class Receipt {
  readonly packet: IncomingPublish
  /** Its number in the order of arrival. */
  readonly order: number
  /** When it arrived, in ms on the clock of the client. */
  readonly at: number
  /** How many subscriptions have not handled it. */
  open: number
  /** Whether it belongs to a connection that was lost, and cannot be acknowledged any more. */
  isGone = false

  constructor(packet: IncomingPublish, order: number, at: number, open: number) {
    this.packet = packet
    this.order = order
    this.at = at
    this.open = open
  }
}

/** At least so many are removed from the front at once. */
const COMPACT_AT = 512

export class Receipts {
  #received: Receipt[] = []
  #head = 0
  #handled = 0
  #order = 0

  /** How many messages are not handled. */
  get unhandled(): number {
    return this.#received.length - this.#head - this.#handled
  }

  /** How many handled messages wait for the oldest one that is not. */
  get heldBack(): number {
    return this.#handled
  }

  /** The oldest message that is not handled, or undefined. */
  get oldest(): Receipt | undefined {
    return this.#received[this.#head]
  }

  /** @param open how many subscriptions get the message. */
  add(packet: IncomingPublish, at: number, open: number): Receipt {
    const receipt = new Receipt(packet, this.#order++, at, open)
    this.#received.push(receipt)
    return receipt
  }

  /** Notes that a message is handled by all who have it. */
  handled({ isGone }: Receipt): void {
    if (isGone) return
    this.#handled++
    while (this.#received[this.#head]?.open === 0) {
      this.#head++
      this.#handled--
    }
    if (this.#head === this.#received.length) {
      if (this.#head === 0) return
      this.#received = []
      this.#head = 0
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#received.length) {
      this.#received = this.#received.slice(this.#head)
      this.#head = 0
    }
  }

  /**
   * Forgets the messages of a lost connection.
   * @param stays says which ones may still be acknowledged.
   */
  reset(stays: (receipt: Receipt) => boolean): void {
    const open = this.#received.slice(this.#head).filter((receipt) => receipt.open > 0)
    for (const receipt of open) receipt.isGone = !stays(receipt)
    this.#received = open.filter(({ isGone }) => !isGone)
    this.#head = 0
    this.#handled = 0
  }
}
