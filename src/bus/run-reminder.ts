/** Who is told that `run()` was forgotten? What was added does nothing without it. */
import { beforeEnd } from '#host'
import type { BusParts } from './bus-parts.ts'

export class RunReminder {
  readonly #bus: Pick<BusParts, 'service' | 'process' | 'warn'>
  /** Takes the reminder back; null before there is anything to run. */
  #takeBack: (() => void) | null = null

  constructor(bus: Pick<BusParts, 'service' | 'process' | 'warn'>) {
    this.#bus = bus
  }

  /** Something was added that needs a run. @param what the name of the method that was called. */
  added(what: string): void {
    const { service, process, warn } = this.#bus
    const message =
      `The process ends, and what ${what}() has added to the bus ${service}/${process} was never` +
      ' run; await bus.run().'
    this.#takeBack ??= beforeEnd(() => warn('RUN_MISSING', message))
  }

  /** There was a run, or there will be none. */
  end(): void {
    this.#takeBack?.()
    this.#takeBack = () => {}
  }
}
