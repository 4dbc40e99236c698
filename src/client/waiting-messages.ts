/**
 * Which messages wait to be pulled from one subscription? Those at QoS 1 and 2 are as few as the
 * Receive Maximum; of those that nobody acknowledges at most `max` wait. (M13, memory is bounded)
 */
import type { ReceivedMessage } from './message.ts'
import type { Receipt } from './receipts.ts'

/** At least so many are removed from the front at once. */
const COMPACT_AT = 512

/** Shared by all that are empty; never changed. */
const NONE: ReceivedMessage[] = []

export class WaitingMessages {
  #queue: ReceivedMessage[] = NONE
  #head = 0
  /** How many of them nobody acknowledges. */
  #loose = 0

  get length(): number {
    return this.#queue.length - this.#head
  }

  get loose(): number {
    return this.#loose
  }

  has(receipt: Receipt): boolean {
    return this.#queue.some((message, i) => i >= this.#head && message.receipt === receipt)
  }

  push(message: ReceivedMessage): void {
    if (this.#queue === NONE) this.#queue = [message]
    else this.#queue.push(message)
    if (message.receipt === null) this.#loose++
  }

  shift(): ReceivedMessage | undefined {
    const message = this.#queue[this.#head]
    if (message === undefined) return undefined
    this.#head++
    if (message.receipt === null) this.#loose--
    if (this.#head === this.#queue.length) {
      this.#queue = NONE
      this.#head = 0
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return message
  }

  /** Drops the oldest message that nobody acknowledges. There must be one. */
  dropOldest(): void {
    const at = this.#queue.findIndex((one, i) => i >= this.#head && one.receipt === null)
    if (at === this.#head) this.shift()
    else {
      this.#queue.splice(at, 1)
      this.#loose--
    }
  }

  /** Keeps only the messages for which `stays` is true. */
  filter(stays: (message: ReceivedMessage) => boolean): void {
    if (this.length === 0) return
    const rest = this.clear().filter(stays)
    for (const message of rest) this.push(message)
  }

  /** @returns the messages, none of which waits then. */
  clear(): ReceivedMessage[] {
    const rest = this.#queue.slice(this.#head)
    this.#queue = NONE
    this.#head = 0
    this.#loose = 0
    return rest
  }
}
