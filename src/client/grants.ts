/**
 * When is a subscription granted, for those who ask? The promise is made when somebody reads it, so
 * that a refusal which nobody waits for raises no unhandled rejection. (M11, a refusal ends only
 * its own subscription)
 */
import type { QoS } from '../index.ts'
import { neverUnhandled } from './thenable.ts'

type GrantAnswer = { readonly granted: readonly QoS[] } | { readonly reason: unknown }

interface Asker {
  resolve(granted: readonly QoS[]): void
  reject(reason: unknown): void
}

/** Is told how many more, or fewer, promises wait. */
interface Waited {
  pulls(by: number): void
}

export class Grants {
  readonly #host: Waited
  #answer: GrantAnswer | null = null
  #asker: Asker | null = null
  #promise: Promise<readonly QoS[]> | null = null

  constructor(host: Waited) {
    this.#host = host
  }

  get promise(): Promise<readonly QoS[]> {
    // `next()` throws the same error, so that it is not lost.
    this.#promise ??= neverUnhandled(this.#ask())
    return this.#promise
  }

  #ask(): Promise<readonly QoS[]> {
    return new Promise((resolve, reject) => {
      if (this.#answer !== null) return tell({ resolve, reject }, this.#answer)
      this.#host.pulls(1)
      this.#asker = { resolve, reject }
    })
  }

  /** Answers once; later answers are ignored. */
  settle(answer: GrantAnswer): void {
    if (this.#answer !== null) return
    this.#answer = answer
    const asker = this.#asker
    if (asker === null) return
    this.#asker = null
    this.#host.pulls(-1)
    tell(asker, answer)
  }
}

function tell({ resolve, reject }: Asker, answer: GrantAnswer): void {
  if ('granted' in answer) resolve(answer.granted)
  else reject(answer.reason)
}
