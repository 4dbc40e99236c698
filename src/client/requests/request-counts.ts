/**
 * What became of the requests of a client, in numbers?
 */
import type { RequestCounters } from '../request-types.ts'

/** How many given-up correlations are remembered, so that their late answers are known. */
const GIVEN_UP_MAX = 1024

export class RequestCounts {
  sent = 0
  answered = 0
  timedOut = 0
  noResponders = 0
  lateAnswers = 0
  unknownAnswers = 0
  malformedAnswers = 0
  droppedAnswers = 0
  viaFallback = 0
  retried = 0
  open = 0
  readonly #byCode = new Map<string, number>()
  readonly #givenUp = new Set<string>()

  rejected(code: string): void {
    this.#byCode.set(code, (this.#byCode.get(code) ?? 0) + 1)
  }

  /** Nobody waits for the answer to this correlation any more. */
  giveUp(correlation: string): void {
    if (this.#givenUp.size >= GIVEN_UP_MAX) {
      for (const oldest of this.#givenUp) {
        this.#givenUp.delete(oldest)
        break
      }
    }
    this.#givenUp.add(correlation)
  }

  /** An answer came for which nobody waits. */
  unexpected(correlation: string): void {
    if (this.#givenUp.delete(correlation)) this.lateAnswers++
    else this.unknownAnswers++
  }

  get snapshot(): RequestCounters {
    return Object.freeze({
      sent: this.sent,
      answered: this.answered,
      timedOut: this.timedOut,
      noResponders: this.noResponders,
      lateAnswers: this.lateAnswers,
      unknownAnswers: this.unknownAnswers,
      malformedAnswers: this.malformedAnswers,
      droppedAnswers: this.droppedAnswers,
      viaFallback: this.viaFallback,
      retried: this.retried,
      open: this.open,
      byCode: Object.freeze(Object.fromEntries(this.#byCode)),
    })
  }
}
