/**
 * What does Ctrl-C do, or a signal to terminate? The first one starts an orderly end, the second
 * one ends the process immediately.
 */
import { constants } from 'node:os'
import { ENDING } from './signals.ts'

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
