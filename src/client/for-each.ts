/**
 * How are handlers called for each message, a few at once? Each message is acknowledged when its
 * handler has finished.
 *
 * It takes messages without a promise for each: thousands of subscriptions that wait would each
 * have an old one, which the garbage collector is slow with. A handler begins in a microtask of its
 * own, never while messages are being distributed.
 */
import { checkCount } from './check-options.ts'
import type { DeliveredMessage } from './message.ts'
import type { Taker } from './pull.ts'
import type { Message } from './subscription-types.ts'
import { isThenable } from './thenable.ts'
import type { TopicParams } from './topic-types.ts'

type AnyMessage = Message<TopicParams, unknown>

export type MessageHandler = (message: AnyMessage) => unknown

export interface ForEachOptions {
  readonly concurrency?: number | undefined
  readonly onError?: ((error: unknown, message: AnyMessage) => unknown) | undefined
}

const NOW = Promise.resolve()

/** What it uses of its subscription. */
interface Worked {
  /** Says that a handler begins, or has finished. */
  runs(by: 1 | -1): void
  /** Gives one message now, or when it is there. */
  give(taker: Taker): void
  return(): Promise<unknown>
}

export class ForEach implements Taker {
  readonly #subscription: Worked
  readonly #handler: MessageHandler
  readonly #concurrency: number
  readonly #onError: ForEachOptions['onError']
  readonly #resolve: () => void
  readonly #reject: (reason: unknown) => void
  /** What was given and has not begun. */
  #given: DeliveredMessage | null = null
  /** How many handlers run. */
  #running = 0
  /** Whether it waits for a message. */
  #waits = false
  /** Whether it takes nothing more. */
  #isOver = false
  #failure: { readonly error: unknown } | null = null
  // Bound once, because it is scheduled for each message.
  readonly #work = () => this.#begin()

  private constructor(
    subscription: Worked,
    handler: MessageHandler,
    concurrency: number,
    onError: ForEachOptions['onError'],
    resolve: () => void,
    reject: (reason: unknown) => void,
  ) {
    this.#subscription = subscription
    this.#handler = handler
    this.#concurrency = concurrency
    this.#onError = onError
    this.#resolve = resolve
    this.#reject = reject
  }

  /** @throws UsageError if `concurrency` cannot be used. */
  static run(
    subscription: Worked,
    handler: MessageHandler,
    { concurrency = 1, onError }: ForEachOptions,
  ): Promise<void> {
    const atOnce = checkCount('forEach: concurrency', concurrency, 1, 65_535)
    return new Promise((resolve, reject) => {
      new ForEach(subscription, handler, atOnce, onError, resolve, reject).#look()
    })
  }

  // ------------------------------------------------------------------------- what it is given

  take(message: DeliveredMessage): void {
    this.#waits = false
    this.#given = message
    void NOW.then(this.#work)
  }

  /** A payload was not valid, or the subscription was ended. */
  fail(reason: unknown): void {
    this.#waits = false
    void NOW.then(() => this.#stop({ error: reason }))
  }

  finish(): void {
    this.#waits = false
    this.#isOver = true
    void NOW.then(() => this.#look())
  }

  // ------------------------------------------------------------------------------------- its work

  #begin(): void {
    const message = this.#given
    if (message === null) return
    this.#given = null
    this.#runs(1)
    let result: unknown
    try {
      result = this.#handler(message)
    } catch (error) {
      return void this.#failed(error, message)
    }
    if (isThenable(result)) void this.#settle(result, message)
    else this.#done(message)
    this.#look()
  }

  async #settle(result: PromiseLike<unknown>, message: DeliveredMessage): Promise<void> {
    try {
      await result
    } catch (error) {
      return this.#failed(error, message)
    }
    this.#done(message)
    this.#look()
  }

  async #failed(error: unknown, message: DeliveredMessage): Promise<void> {
    try {
      if (this.#onError === undefined) throw error
      await this.#onError(error, message)
      this.#done(message)
    } catch (failure) {
      this.#runs(-1)
      return this.#stop({ error: failure })
    }
    this.#look()
  }

  #done(message: DeliveredMessage): void {
    message.ack()
    this.#runs(-1)
  }

  #runs(by: 1 | -1): void {
    this.#running += by
    this.#subscription.runs(by)
  }

  #stop(failure: { readonly error: unknown }): void {
    this.#failure ??= failure
    this.#isOver = true
    // What was given and has not begun is not handled any more.
    this.#given = null
    void this.#subscription.return()
    this.#look()
  }

  /** Takes the next message if there is room for it, and ends when nothing is left to do. */
  #look(): void {
    if (this.#waits || this.#given !== null) return
    if (!this.#isOver) {
      if (this.#running >= this.#concurrency) return
      this.#waits = true
      this.#subscription.give(this)
      return
    }
    if (this.#running > 0) return
    if (this.#failure === null) this.#resolve()
    else this.#reject(this.#failure.error)
  }
}
