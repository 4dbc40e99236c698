/**
 * How does one wait for a message end? With the message, a signal, a time-out, or the end of the
 * subscription.
 */
import type { Platform } from '../index.ts'
import { CallLimits } from './publish-call.ts'
import type { Message, NextOptions } from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'

export type MessageResult = IteratorResult<Message<TopicParams, unknown>, undefined>

export class Pull {
  readonly resolve: (result: MessageResult | Promise<MessageResult>) => void
  readonly reject: (reason: unknown) => void
  readonly #limits: CallLimits | null
  #over: (() => void) | null = null

  constructor(
    clock: Platform,
    resolve: (result: MessageResult | Promise<MessageResult>) => void,
    reject: (reason: unknown) => void,
    options: NextOptions | undefined,
  ) {
    this.resolve = resolve
    this.reject = reject
    const { signal, timeout } = options ?? {}
    const isLimited = signal !== undefined || timeout !== undefined
    this.#limits = isLimited ? new CallLimits(clock, 'next', signal, timeout) : null
  }

  /** @param over is called once, when the wait is over. */
  begin(over: () => void): void {
    this.#over = over
    this.#limits?.begin((reason) => {
      if (this.#end()) this.reject(reason)
    })
  }

  answer(result: MessageResult | Promise<MessageResult>): void {
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
