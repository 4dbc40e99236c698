/**
 * How are handlers called for each message, a few at once? Each message is acknowledged when its
 * handler has finished.
 */
import type { Message } from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'

type AnyMessage = Message<TopicParams, unknown>

export interface ForEachOptions {
  readonly concurrency?: number | undefined
  readonly onError?: ((error: unknown, message: AnyMessage) => unknown) | undefined
}

/** What it uses of its subscription. */
interface Worked {
  /** How many handlers run. */
  readonly running: number
  runs(by: 1 | -1): void
  pull(): Promise<IteratorResult<AnyMessage, undefined>>
  return(): Promise<unknown>
}

export class ForEach {
  readonly #subscription: Worked
  readonly #handler: (message: AnyMessage) => unknown
  readonly #concurrency: number
  readonly #onError: ForEachOptions['onError']
  #failure: { readonly error: unknown } | null = null
  #wake: (() => void) | null = null

  constructor(
    subscription: Worked,
    handler: (message: AnyMessage) => unknown,
    { concurrency = 1, onError }: ForEachOptions,
  ) {
    this.#subscription = subscription
    this.#handler = handler
    this.#concurrency = concurrency
    this.#onError = onError
  }

  async run(): Promise<void> {
    const subscription = this.#subscription
    while (this.#failure === null) {
      if (subscription.running >= this.#concurrency) await this.#room()
      else {
        const { done, value } = await subscription.pull()
        if (done) break
        subscription.runs(1)
        void this.#handle(value)
      }
    }
    while (subscription.running > 0) await this.#room()
    if (this.#failure !== null) throw this.#failure.error
  }

  async #handle(message: AnyMessage): Promise<void> {
    const subscription = this.#subscription
    try {
      try {
        await this.#handler(message)
      } catch (error) {
        if (this.#onError === undefined) throw error
        await this.#onError(error, message)
      }
      message.ack()
    } catch (error) {
      this.#failure ??= { error }
      await subscription.return()
    }
    subscription.runs(-1)
    this.#wake?.()
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
