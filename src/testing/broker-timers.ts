/**
 * How does the broker wait? With timers of its clock that all end with it, and that keep no process
 * alive.
 */
import type { Platform } from '../platform/machine.ts'

/** A timer of Node can be told not to keep the process alive. */
interface Unrefable {
  unref?(): unknown
}

/** The timers of one broker. */
export class BrokerTimers {
  readonly #clock: Platform
  readonly #set = new Set<unknown>()

  constructor(clock: Platform) {
    this.#clock = clock
  }

  /**
   * Calls `callback` after `ms` milliseconds.
   * @returns what `clear` takes.
   */
  after(ms: number, callback: () => void): unknown {
    const timer = this.#clock.setTimer(() => {
      this.#set.delete(timer)
      callback()
    }, ms)
    this.#set.add(timer)
    if (typeof timer === 'object' && timer !== null) (timer as Unrefable).unref?.()
    return timer
  }

  clear(timer: unknown): void {
    if (this.#set.delete(timer)) this.#clock.clearTimer(timer)
  }

  clearAll(): void {
    for (const timer of this.#set) this.#clock.clearTimer(timer)
    this.#set.clear()
  }
}
