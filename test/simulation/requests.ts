/**
 * The request stream of a scenario: numbered requests, each with its number as key, so that a
 * client that lost them gives them again (D7, a key that the session holds is not sent again). It
 * yields batches or single requests, stalls, throws, and records who closed it.
 */
import type { Outcome, Request } from '../../src/index.ts'

export interface Item {
  readonly number: number
  readonly request: Request
  outcome: Outcome | null
  readonly cancel: AbortController | null
}

type Result = IteratorResult<Request | Request[], undefined>

/** All requests of the scenario, over all runs of the client. */
export class Backlog {
  readonly items: Item[] = []
  stalled = false
  #wake: (() => void)[] = []

  add(item: Item): void {
    this.items.push(item)
    this.wake()
  }

  stall(on: boolean): void {
    this.stalled = on
    if (!on) this.wake()
  }

  wake(): void {
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }

  changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  get unsettled(): number {
    return this.items.filter(isOwed).length
  }
}

/** Controls have no outcome that is reported. */
export function isOwed({ outcome, request }: Item): boolean {
  return outcome === null && SENT.has(request.cmd)
}

const SENT: ReadonlySet<string> = new Set(['publish', 'subscribe', 'unsubscribe'])

export class SimulatedRequests implements AsyncIterable<Request | Request[]> {
  /** How often `return()` was called, and whether anything was asked for afterwards. */
  returned = 0
  askedLate = false
  iterated = false
  /** Its process was killed: outcomes that arrive now count for nothing. */
  orphaned = false
  /** It threw, so nobody has to close it. */
  failed = false
  #failure: Error | null = null
  readonly #backlog: Backlog
  readonly #batch: number
  readonly #report: (request: Request, outcome: Outcome) => void
  #at = 0

  constructor(
    backlog: Backlog,
    batch: number,
    report: (request: Request, outcome: Outcome) => void,
  ) {
    this.#backlog = backlog
    this.#batch = batch
    this.#report = report
  }

  /** Resolves when what was handed out before this call has arrived. */
  async settled(request: Request, outcome: Outcome): Promise<void> {
    if (!this.orphaned) this.#report(request, outcome)
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** The reader gets this next. */
  fail(error: Error): void {
    this.#failure = error
    this.#backlog.wake()
  }

  [Symbol.asyncIterator](): AsyncIterator<Request | Request[], undefined> {
    this.iterated = true
    const iterator = {
      next: () => this.#next(),
      return: async (): Promise<Result> => {
        this.returned++
        this.#backlog.wake()
        return { done: true, value: undefined }
      },
    }
    return iterator
  }

  async #next(): Promise<Result> {
    if (this.returned > 0) this.askedLate = true
    for (;;) {
      const failure = this.#failure
      if (failure !== null) {
        this.#failure = null
        this.failed = true
        throw failure
      }
      if (this.returned > 0) return { done: true, value: undefined }
      const ready = this.#backlog.stalled ? [] : this.#take()
      if (ready.length === 0) await this.#backlog.changed()
      else return { done: false, value: this.#batch === 1 ? ready[0]! : ready }
    }
  }

  #take(): Request[] {
    const { items } = this.#backlog
    const taken: Request[] = []
    while (this.#at < items.length && taken.length < this.#batch) {
      const { request, outcome } = items[this.#at++]!
      if (outcome === null) taken.push(request)
    }
    return taken
  }
}
