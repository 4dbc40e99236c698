/**
 * When is a subscription granted, for those who ask? The promise is made when somebody reads it, so
 * that a refusal which nobody waits for raises no unhandled rejection. (M11, a refusal ends only
 * its own subscription)
 */
import type { QoS } from '../index.ts'

type GrantAnswer = { readonly granted: readonly QoS[] } | { readonly reason: unknown }

interface Asker {
  resolve(granted: readonly QoS[]): void
  reject(reason: unknown): void
}

export class Grants {
  readonly #demands: (by: number) => void
  #answer: GrantAnswer | null = null
  #askers: Asker[] = []
  #promise: Promise<readonly QoS[]> | null = null

  /** @param demands is told how many more, or fewer, promises wait. */
  constructor(demands: (by: number) => void) {
    this.#demands = demands
  }

  get promise(): Promise<readonly QoS[]> {
    if (this.#promise === null) {
      this.#promise = this.#ask()
      // `next()` throws the same error, so that it is not lost.
      this.#promise.catch(() => {})
    }
    return this.#promise
  }

  #ask(): Promise<readonly QoS[]> {
    return new Promise((resolve, reject) => {
      if (this.#answer !== null) return tell({ resolve, reject }, this.#answer)
      this.#demands(1)
      this.#askers.push({ resolve, reject })
    })
  }

  /** Answers once; later answers are ignored. */
  settle(answer: GrantAnswer): void {
    if (this.#answer !== null) return
    this.#answer = answer
    for (const asker of this.#askers.splice(0)) {
      this.#demands(-1)
      tell(asker, answer)
    }
  }
}

function tell({ resolve, reject }: Asker, answer: GrantAnswer): void {
  if ('granted' in answer) resolve(answer.granted)
  else reject(answer.reason)
}
