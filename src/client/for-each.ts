/**
 * How are handlers called for each message, a few at once? Each message is acknowledged when its
 * handler has finished.
 */
import { checkCount } from './check-options.ts'
import type { Message } from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'

type AnyMessage = Message<TopicParams, unknown>

export type MessageHandler = (message: AnyMessage) => unknown

export interface ForEachOptions {
  readonly concurrency?: number | undefined
  readonly onError?: ((error: unknown, message: AnyMessage) => unknown) | undefined
}

/** What it uses of its subscription. */
interface Worked {
  /** Says that a handler begins, or has finished. */
  runs(by: 1 | -1): void
  pull(): Promise<IteratorResult<AnyMessage, undefined>>
  return(): Promise<unknown>
}

export class ForEach {
  readonly #subscription: Worked
  readonly #handler: MessageHandler
  readonly #concurrency: number
  readonly #onError: ForEachOptions['onError']
  /** How many handlers run. */
  #running = 0
  #failure: { readonly error: unknown } | null = null
  #wake: (() => void) | null = null

  /** @throws UsageError if `concurrency` cannot be used. */
  constructor(
    subscription: Worked,
    handler: MessageHandler,
    { concurrency = 1, onError }: ForEachOptions,
  ) {
    this.#subscription = subscription
    this.#handler = handler
    this.#concurrency = checkCount('forEach: concurrency', concurrency, 1, 65_535)
    this.#onError = onError
  }

  async run(): Promise<void> {
    try {
      while (this.#failure === null) {
        if (this.#running >= this.#concurrency) await this.#room()
        else {
          const { done, value } = await this.#subscription.pull()
          if (done) break
          this.#runs(1)
          void this.#handle(value)
        }
      }
    } catch (error) {
      // A payload was not valid, or the subscription was ended.
      await this.#fail(error)
    }
    while (this.#running > 0) await this.#room()
    if (this.#failure !== null) throw this.#failure.error
  }

  async #handle(message: AnyMessage): Promise<void> {
    try {
      try {
        await this.#handler(message)
      } catch (error) {
        if (this.#onError === undefined) throw error
        await this.#onError(error, message)
      }
      message.ack()
    } catch (error) {
      await this.#fail(error)
    }
    this.#runs(-1)
    this.#wake?.()
  }

  async #fail(error: unknown): Promise<void> {
    this.#failure ??= { error }
    await this.#subscription.return()
  }

  #runs(by: 1 | -1): void {
    this.#running += by
    this.#subscription.runs(by)
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
