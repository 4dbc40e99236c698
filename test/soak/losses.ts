/**
 * Which fault cost which connection? A connection that no fault explains was lost by the client or
 * the broker themselves.
 */
import type { Eventloop } from '../../src/index.ts'

/**
 * The kinds of fault, each with how long it lasts at most, in ms, and what it does to a connection:
 * `breaks` it sooner or later, `may` break it while it lasts, or `never` does.
 */
export const FAULTS = {
  reset: { ms: 0, effect: 'breaks' },
  'end within a packet': { ms: 0, effect: 'breaks' },
  stall: { ms: 2000, effect: 'may' },
  trickle: { ms: 2000, effect: 'may' },
  noDownlink: { ms: 8000, effect: 'breaks' },
  noUplink: { ms: 8000, effect: 'breaks' },
  noLink: { ms: 8000, effect: 'breaks' },
  closed: { ms: 1500, effect: 'breaks' },
  'reconnect()': { ms: 0, effect: 'breaks' },
  'pause()': { ms: 500, effect: 'never' },
} as const
export type Fault = keyof typeof FAULTS

/** How long after a fault that `may` break a connection it is still the cause, in ms. */
const AFTERMATH_MS = 5000

/** What a lost connection is counted under: the name of its fault, and the code of its failure. */
export type LossCounts = Record<string, Record<string, number>>

export class Losses {
  readonly counts: LossCounts
  readonly #problem: (what: string) => void
  /** The fault that explains the loss of this connection; null if none does. */
  #cause: Fault | null = null
  /** Until when it does, on the machine's clock. */
  #causeUntil = 0

  /**
   * @param counts may be shared by several loops.
   * @param problem is called for each connection that no fault explains.
   */
  constructor(counts: LossCounts, problem: (what: string) => void) {
    this.counts = counts
    this.#problem = problem
  }

  /** Counts the losses of a loop until it has ended. */
  async watch(loop: Eventloop): Promise<void> {
    for await (const { from, to, reason } of loop.transitions()) {
      // A new connection does not suffer from a fault that is over.
      if (to === 'connected' && performance.now() >= this.#causeUntil) this.#cause = null
      if (from !== 'connected' || to === 'closing' || to === 'connected') continue
      this.#lost(reason?.code ?? 'none', reason?.source ?? '', reason?.message ?? '')
    }
  }

  /** A fault begins, which ends after `ms`. */
  began(fault: Fault, ms: number): void {
    const { effect } = FAULTS[fault]
    if (effect === 'never') return
    const until = performance.now() + ms
    this.#cause = fault
    this.#causeUntil = effect === 'may' ? until + AFTERMATH_MS : until
  }

  #lost(code: string, source: string, message: string): void {
    const cause = this.#causeNow()
    // The relay damages no packet, so a packet that cannot be read is nobody's fault but ours or
    // the broker's.
    const explained = cause !== null && source !== 'protocol'
    const name = explained ? cause : 'no fault'
    const codes = (this.counts[name] ??= {})
    codes[code] = (codes[code] ?? 0) + 1
    if (!explained) this.#problem(`a connection was lost by no fault: ${message} (${code})`)
  }

  #causeNow(): Fault | null {
    if (this.#cause === null || FAULTS[this.#cause].effect === 'breaks') return this.#cause
    return performance.now() < this.#causeUntil ? this.#cause : null
  }
}
