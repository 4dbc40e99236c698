/**
 * How does one wait for a message end? With the message, a signal, a time-out, or the end of the
 * subscription.
 */
import type { Platform } from '../index.ts'
import type { Message, NextOptions } from './client-types.ts'
import { Limits } from './publish-call.ts'
import type { TopicParams } from './topic-types.ts'

type Result = IteratorResult<Message<TopicParams, unknown>, undefined>

export class Pull {
  readonly resolve: (result: Result | Promise<Result>) => void
  readonly reject: (reason: unknown) => void
  readonly #limits: Limits | null
  #over: (() => void) | null = null

  constructor(
    clock: Platform,
    resolve: (result: Result | Promise<Result>) => void,
    reject: (reason: unknown) => void,
    options: NextOptions | undefined,
  ) {
    this.resolve = resolve
    this.reject = reject
    const { signal, timeout } = options ?? {}
    const isLimited = signal !== undefined || timeout !== undefined
    this.#limits = isLimited ? new Limits(clock, 'next', signal, timeout) : null
  }

  /** @param over is called once, when the wait is over. */
  begin(over: () => void): void {
    this.#over = over
    this.#limits?.begin((reason) => {
      if (this.#end()) this.reject(reason)
    })
  }

  answer(result: Result | Promise<Result>): void {
    if (this.#end()) this.resolve(result)
  }

  #end(): boolean {
    const over = this.#over
    if (over === null) return false
    this.#over = null
    this.#limits?.end()
    over()
    return true
  }
}
