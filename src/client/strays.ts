/**
 * Which messages has nobody handled? Those that a subscription left (`onLeave: 'keep'`), and those
 * that came for a session before anybody subscribed. They are not acknowledged; the next
 * subscription of their filter gets them first, in the order received. (M5, a subscription
 * acknowledges what it has handled)
 */
import { type IncomingPublish, matches } from '../index.ts'
import type { UnaskedListener } from './client-host.ts'
import type { DeliveredMessage } from './message.ts'
import type { Receipt } from './receipts.ts'

interface Stray {
  readonly receipt: Receipt
  /** The message as it was given, which may still be acknowledged, or null. */
  readonly message: DeliveredMessage | null
  /** The filter of the subscription that left it, or null if there was none. */
  readonly filter: string | null
}

export class Strays {
  #strays: Stray[] = []
  readonly #listeners: UnaskedListener[] = []
  readonly #giveUp: (filters: readonly string[]) => void

  constructor(giveUp: (filters: readonly string[]) => void) {
    this.#giveUp = giveUp
  }

  get length(): number {
    return this.#strays.length
  }

  add(receipt: Receipt, filter: string | null, message: DeliveredMessage | null): void {
    const stray = { receipt, filter, message }
    const at = this.#strays.findIndex((other) => other.receipt.order > receipt.order)
    if (at < 0) this.#strays.push(stray)
    else this.#strays.splice(at, 0, stray)
  }

  /** @returns the messages that a new subscription of these filters gets, and removes them. */
  take(filters: readonly string[]): Receipt[] {
    if (this.#strays.length === 0) return []
    const isTaken = ({ receipt, filter }: Stray) =>
      filter === null
        ? filters.some((one) => matches(one, receipt.packet.topic))
        : filters.includes(filter)
    const strays = this.#strays.filter(({ message }) => message?.isHandled !== true)
    const taken = strays.filter(isTaken)
    this.#strays = strays.filter((stray) => !isTaken(stray))
    for (const { message } of taken) message?.supersede()
    return taken.map(({ receipt }) => receipt)
  }

  /** @returns what has come, and is for nobody by what a layer says; it is removed. */
  onUnasked(listener: UnaskedListener): Receipt[] {
    this.#listeners.push(listener)
    const taken: Receipt[] = []
    for (const { filter, receipt } of this.#strays) {
      if (filter === null && this.isForNobody(receipt.packet)) taken.push(receipt)
    }
    this.filter((receipt) => !taken.includes(receipt))
    return taken
  }

  /** Whether a layer says that nobody will ask for a message: its filters are given up then. */
  isForNobody(packet: IncomingPublish): boolean {
    for (const listener of this.#listeners) {
      const filters = listener(packet)
      if (filters?.length) this.#giveUp(filters)
      if (filters !== null) return true
    }
    return false
  }

  /** Keeps only the messages for which `stays` is true. */
  filter(stays: (receipt: Receipt) => boolean): void {
    this.#strays = this.#strays.filter(({ receipt }) => stays(receipt))
  }
}
