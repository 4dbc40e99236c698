/**
 * Is this side online? The user's `connectivityCheck` answers when a server fails (T4, a list of
 * servers), and `networkHints` say so as it changes (T5, network hints).
 */
import { describe, messageOf, UsageError, type WarningCode } from '../errors.ts'
import type { EventloopOptions } from '../options/options.ts'
import type { Input } from '../protocol/contract.ts'

export interface NetworkListener {
  now(): number
  run(input: Input): void
  warn(code: WarningCode, message: string): void
  fail(error: unknown): void
}

export class Network {
  readonly #options: EventloopOptions
  readonly #listener: NetworkListener
  /** The iterator of `networkHints`; null if it is not read. */
  #hints: AsyncIterator<unknown> | null = null
  /** Ends the check under way; null if there is none. */
  #check: AbortController | null = null
  #stopped = false

  constructor(options: EventloopOptions, listener: NetworkListener) {
    this.#options = options
    this.#listener = listener
  }

  /** Begins to read `networkHints`. */
  listen(): void {
    const { networkHints } = this.#options
    if (networkHints === undefined) return
    this.#pull(networkHints).catch((error: unknown) => {
      if (!this.#stopped) this.#listener.fail(error)
    })
  }

  async #pull(networkHints: AsyncIterable<unknown>): Promise<void> {
    const hints = networkHints[Symbol.asyncIterator]()
    this.#hints = hints
    for (;;) {
      const result: unknown = await hints.next()
      if (this.#stopped) return
      if (typeof result !== 'object' || result === null) {
        throw new UsageError(`networkHints: next() must give an object, not ${describe(result)}`)
      }
      const { done, value } = result as IteratorResult<unknown>
      if (done) return
      if (value !== 'online' && value !== 'offline') {
        throw new UsageError(
          `networkHints: "online" or "offline" is expected, ${describe(value)} came`,
        )
      }
      const online = value === 'online'
      this.#listener.run({ type: 'network', at: this.#listener.now(), online })
    }
  }

  /** Asks whether this side is online. A check that fails counts as no. */
  async check(): Promise<void> {
    const check = new AbortController()
    this.#check = check
    let online = false
    try {
      online = (await this.#options.connectivityCheck?.(check.signal)) === true
    } catch (error) {
      if (this.#check !== check) return
      this.#listener.warn(
        'CONNECTIVITY_CHECK_FAILED',
        `connectivityCheck failed: ${messageOf(error)}`,
      )
    }
    if (this.#check !== check) return
    this.#check = null
    this.#listener.run({ type: 'connectivity', at: this.#listener.now(), online })
  }

  /** Ends the check under way, whose answer is not needed any more. */
  forget(): void {
    const check = this.#check
    this.#check = null
    check?.abort()
  }

  /** Ends the check and the hints. */
  stop(): void {
    this.forget()
    this.#stopped = true
    const hints = this.#hints
    this.#hints = null
    // This is not awaited, because a stream may be slow to close.
    const closing = (async () => hints?.return?.())()
    closing.catch(() => {})
  }
}
