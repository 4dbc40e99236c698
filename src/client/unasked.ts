/**
 * What becomes of a message that an earlier process of the session has asked for? A layer above the
 * client may know that nobody will ask for it again. (M5, a subscription acknowledges what it has
 * handled)
 */
import type { IncomingPublish, Outcome } from '../index.ts'
import type { Making } from './line.ts'
import type { Router } from './router.ts'

/** @returns the filters by which the message may have come. */
type UnaskedListener = (packet: IncomingPublish) => readonly string[]

interface UnaskedHost {
  readonly reception: { readonly router: Router }
  request(make: Making, settled: (outcome: Outcome) => void): void
}

export class Unasked {
  readonly #host: UnaskedHost
  /** What a layer does with such a message, if there is one that owns the session. */
  listener: UnaskedListener | null = null

  constructor(host: UnaskedHost) {
    this.#host = host
  }

  /** @returns whether the message is for nobody. Then it is not asked for any more. */
  gaveUp(packet: IncomingPublish): boolean {
    if (this.listener === null) return false
    const former = this.listener(packet)
    const isNeeded = (filter: string) => this.#host.reception.router.find(filter)?.isNeeded === true
    const make = () => {
      const unsubscriptions = former.filter((filter) => !isNeeded(filter))
      return unsubscriptions.length === 0
        ? null
        : ({ cmd: 'unsubscribe', unsubscriptions } as const)
    }
    // Nobody waits for the answer: what comes in spite of it comes here again.
    if (former.length > 0) this.#host.request(make, () => {})
    return true
  }
}
