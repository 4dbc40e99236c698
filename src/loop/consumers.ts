/**
 * Do two consumers take packets from one loop? Each packet goes to one of them only, which is
 * hardly ever meant, and each marks the other's messages as handled. (R1, a message is acknowledged
 * when it is handled)
 *
 * A `for await` asks the loop for an iterator when it begins. So the second one gets an object of
 * its own, and the calls of both can be told apart.
 */
import { isAlive } from './life.ts'
import type { Parts } from './parts.ts'

export class Consumers {
  readonly #loop: Parts
  #latest: object
  /** Whether another consumer has followed the first one, which may have finished. */
  #changed = false
  #reported = false

  /** @param first is the consumer that got the loop itself as its iterator. */
  constructor(loop: Parts, first: object) {
    this.#loop = loop
    this.#latest = first
  }

  /** Notes that a consumer asks for a packet. */
  asks(consumer: object): void {
    if (consumer === this.#latest) return
    this.#latest = consumer
    const { inbox, life } = this.#loop
    const shared = this.#changed || inbox.waiting
    this.#changed = true
    if (!shared || this.#reported || !isAlive(life)) return
    this.#reported = true
    const message =
      'Two consumers iterate this loop, and each packet goes to one of them only; ' +
      'iterate it once and pass the packets on.'
    this.#loop.warn('CONSUMERS_SHARE', message)
  }
}
