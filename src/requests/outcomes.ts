/**
 * Who is given an outcome, and when? There is one for each request (D2, every request taken is
 * settled once, or held): for the request's stream first, then for the options' `onSettled`.
 *
 * Outcomes are collected while effects are performed and reported afterwards, so that a callback
 * may push requests, control the loop or abort it.
 */

import { outcomeChannel } from '#runtime'
import { ConnectionError, UsageError } from '../errors.ts'
import { NO_ITEMS } from '../protocol/facts.ts'
import type { Keys } from './keys.ts'
import type { Slots } from './slots.ts'
import type { Control, Outcome, Request, SentRequest, Settling } from './vocabulary.ts'

/** The outcome of every request that was sent; shared, because most have no more to say. */
export const OK: Outcome = Object.freeze({ ok: true })

export interface OutcomesListener {
  clientId(): string
  /** Ends the loop: a callback threw, or a failure has nobody to be reported to. */
  fail(error: unknown): void
}

/** An outcome that is not reported yet. */
interface Due {
  readonly request: SentRequest
  readonly settling: Settling | null
  readonly outcome: Outcome
}

type OnSettled = ((request: Request, outcome: Outcome) => void) | undefined

export class Outcomes {
  /** Code of this package that is given every outcome before the user is. */
  observer: ((request: SentRequest, outcome: Outcome) => void) | null = null
  readonly #onSettled: OnSettled
  readonly #listener: OutcomesListener
  #due: Due[] | null = null
  /** Outcomes that are being reported, up to `#reported` of them have been. */
  #reporting: readonly Due[] = NO_ITEMS
  #reported = 0

  constructor(onSettled: OnSettled, listener: OutcomesListener) {
    this.#onSettled = onSettled
    this.#listener = listener
  }

  /** @returns whether a good outcome would be reported to anybody; failures always are. */
  isWantedBy(settling: Settling | null): boolean {
    return this.isHeardBy(settling) || outcomeChannel.hasSubscribers
  }

  /** @returns whether the stream, `onSettled` or code of this package is given the outcome. */
  isHeardBy(settling: Settling | null): boolean {
    return settling !== null || this.#onSettled !== undefined || this.observer !== null
  }

  /**
   * @returns the handles of the requests whose outcomes are reported to somebody. A stream that
   *   replays its requests does not wait for them.
   */
  heardAmong(slots: Slots): number[] {
    const handles: number[] = []
    for (const [handle, slot] of slots.entries()) {
      if (slot === undefined || slot.settling?.replays) continue
      if (this.isHeardBy(slot.settling)) handles.push(handle)
    }
    return handles
  }

  add(due: Due): void {
    if (this.#due === null) this.#due = [due]
    else this.#due.push(due)
  }

  /** @returns the outcomes that are not reported yet. */
  unreported(): readonly Due[] {
    return [...this.#reporting.slice(this.#reported), ...(this.#due ?? [])]
  }

  /** Reports the outcomes that are due. If a callback throws, the others are still reported. */
  report(keys: Keys | null): void {
    while (this.#due !== null) {
      this.#reporting = this.#due
      this.#due = null
      for (this.#reported = 0; this.#reported < this.#reporting.length; ) {
        this.reportOne(this.#reporting[this.#reported++]!, keys)
      }
      this.#reporting = NO_ITEMS
    }
  }

  private reportOne({ request, settling, outcome }: Due, keys: Keys | null): void {
    const listener = this.#listener
    if (settling !== null) this.reportToStream(request, settling, outcome, keys)
    this.observer?.(request, outcome)
    if (outcomeChannel.hasSubscribers) {
      outcomeChannel.publish({ clientId: listener.clientId(), request, outcome })
    }
    try {
      this.#onSettled?.(request, outcome)
    } catch (error) {
      listener.fail(error)
    }
    if (outcome.ok || outcome.packet !== undefined || this.isHeardBy(settling)) return
    if (!isExpected(request, outcome)) listener.fail(outcome.error)
  }

  private reportToStream(
    request: SentRequest,
    settling: Settling,
    outcome: Outcome,
    keys: Keys | null,
  ): void {
    // A request that was refused may be anything, also null.
    const key = (request as SentRequest | null)?.key
    try {
      const done = settling.settled(request, outcome)
      if (done === undefined) {
        if (key !== undefined) keys?.confirmed(key)
        return
      }
      if (key !== undefined) keys?.rememberOutcome(key, outcome)
      Promise.resolve(done).then(
        () => {
          if (key !== undefined) keys?.confirmed(key)
        },
        (error: unknown) => this.#listener.fail(error),
      )
    } catch (error) {
      this.#listener.fail(error)
    }
  }

  /**
   * Reports the answer to a `ping` or `reauthenticate` of a stream. `error` is null if it is good.
   * A mistake of the program that nobody hears ends the loop; the connection may be lost.
   */
  reportControl(control: Control, error: unknown, good: { roundTripMs?: number }): void {
    if (error instanceof UsageError && this.#onSettled === undefined)
      return this.#listener.fail(error)
    try {
      this.#onSettled?.(control, error === null ? { ok: true, ...good } : { ok: false, error })
    } catch (thrown) {
      this.#listener.fail(thrown)
    }
  }
}

/**
 * @returns whether the user expects this failure, so that nobody needs to be given it: the request
 * was cancelled, or it was QoS 0, "at most once", and the connection broke.
 */
function isExpected(request: SentRequest, outcome: Outcome & { ok: false }): boolean {
  const signal = request?.signal
  if (signal?.aborted && outcome.error === signal.reason) return true
  return (
    request?.cmd === 'publish' &&
    (request.qos ?? 0) === 0 &&
    outcome.error instanceof ConnectionError
  )
}

/** @returns what a saved session knows of a failure: that there was one. */
export function failedEarlier(): Outcome {
  const message = 'the request failed before its session was saved'
  return { ok: false, error: new UsageError(message, { code: 'FAILED_EARLIER' }) }
}
