/** What others know of the network: a check when a server fails, and hints as they come. (T4, T5) */
import { describe, UsageError, type WarningCode } from '../errors.ts'
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
  #hints: AsyncIterator<unknown> | null = null
  #check: AbortController | null = null
  #stopped = false

  constructor(options: EventloopOptions, listener: NetworkListener) {
    this.#options = options
    this.#listener = listener
  }

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

  /** Is this side online? What cannot be found out counts as no. */
  async check(): Promise<void> {
    const check = new AbortController()
    this.#check = check
    let online = false
    try {
      online = (await this.#options.connectivityCheck?.(check.signal)) === true
    } catch (error) {
      if (this.#check !== check) return
      const why = error instanceof Error ? error.message : String(error)
      this.#listener.warn('CONNECTIVITY_CHECK_FAILED', `connectivityCheck failed: ${why}`)
    }
    if (this.#check !== check) return
    this.#check = null
    this.#listener.run({ type: 'connectivity', at: this.#listener.now(), online })
  }

  /** Nobody waits for the answer any more. */
  forget(): void {
    const check = this.#check
    this.#check = null
    check?.abort()
  }

  stop(): void {
    this.forget()
    this.#stopped = true
    const hints = this.#hints
    this.#hints = null
    // Not awaited: a stream may be slow to close.
    const closing = (async () => hints?.return?.())()
    closing.catch(() => {})
  }
}
