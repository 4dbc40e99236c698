/**
 * How is the broker spared? Requests of all questions together leave at a bounded rate: a few may
 * go at the same moment, and are paid for by a pause afterwards.
 */
import type { Platform } from '../index.ts'
import { delayed } from './wait.ts'

/** One request in so many ms, averaged: ten a second. */
export const INTERVAL_MS = 100
/** How many requests may go at the same moment after a pause. */
const BURST = 10

export class Pacer {
  readonly #clock: Platform
  /** The instant at which all requests so far are paid for. */
  #paidAt: number
  /** How many requests went. */
  count = 0

  constructor(clock: Platform) {
    this.#clock = clock
    this.#paidAt = clock.now()
  }

  /** Resolves when `requests` of them, at most 10, may be sent together. */
  async turn(requests: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.now()
    const from = Math.max(now - BURST * INTERVAL_MS, this.#paidAt)
    this.#paidAt = from + requests * INTERVAL_MS
    this.count += requests
    if (this.#paidAt > now) await delayed(this.#clock, this.#paidAt - now, signal)
  }
}
