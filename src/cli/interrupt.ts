/**
 * What does Ctrl-C do, or a signal to terminate? The first one starts an orderly end, the second
 * one ends the process immediately.
 */
import { constants } from 'node:os'
import type { Eventloop } from '../index.ts'
import { ENDING } from './signals.ts'
import { counted, duration } from './words.ts'

export class Interrupt {
  #caught: NodeJS.Signals | null = null
  readonly #listener: (signal: NodeJS.Signals) => void

  constructor(onFirst: () => void) {
    this.#listener = (signal) => {
      if (this.#caught !== null) process.exit(this.status)
      this.#caught = signal
      onFirst()
    }
    for (const signal of ENDING) process.on(signal, this.#listener)
  }

  get caught(): boolean {
    return this.#caught !== null
  }

  /** The status that a shell reports for a process that the signal ended (130 for Ctrl-C), or 0. */
  get status(): number {
    return this.#caught === null ? 0 : 128 + constants.signals[this.#caught]
  }

  close(): void {
    for (const signal of ENDING) process.off(signal, this.#listener)
  }
}

const UNCONNECTED: ReadonlySet<string> = new Set([
  'idle',
  'connecting',
  'disconnected',
  'suspended',
])

/** What is still waited for after so many ms is said. */
const PATIENCE_MS = 500

/**
 * The orderly end of a loop: outcomes are waited for as long as there is a connection on which they
 * may come. Without one the loop ends immediately, and holds what has no outcome.
 */
export class Drain {
  readonly #loop: Eventloop
  readonly #timeoutMs: number
  readonly #say: (text: string) => void
  #timer: NodeJS.Timeout | undefined

  constructor(loop: Eventloop, timeoutMs: number, say: (text: string) => void) {
    this.#loop = loop
    this.#timeoutMs = timeoutMs
    this.#say = say
  }

  begin(): void {
    if (this.#endIfUnconnected()) return
    this.#loop.disconnect(this.#timeoutMs)
    this.#watch().catch(() => {})
    if (this.#timeoutMs <= PATIENCE_MS) return
    this.#timer = setTimeout(() => this.#explain(), PATIENCE_MS)
  }

  end(): void {
    clearTimeout(this.#timer)
  }

  async #watch(): Promise<void> {
    for await (const _ of this.#loop.transitions()) if (this.#endIfUnconnected()) return
  }

  /** @returns whether there is no connection, so that nothing can be waited for. */
  #endIfUnconnected(): boolean {
    if (!UNCONNECTED.has(this.#loop.state.connection.kind)) return false
    this.#loop.shutdown()
    return true
  }

  #explain(): void {
    const { held } = this.#loop.state.counters
    const what =
      held === 0 ? 'the end of the connection' : `the outcome of ${counted(held, 'request')}`
    const limit = duration(this.#timeoutMs)
    this.#say(`waiting for ${what}, for at most ${limit}; Ctrl-C again ends this immediately`)
  }
}
