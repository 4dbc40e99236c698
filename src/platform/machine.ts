/**
 * What does every runtime give under the same names: a clock, timers and random numbers?
 *
 * Each function reads the globals when it is called, so that it uses the fake timers of a test.
 * What differs between runtimes is in the two flavours beside this file, node/ and web/.
 */

/** The clock, the timers and the random numbers of a loop. Tests and simulations replace them. */
export interface Platform {
  /** @returns milliseconds on a clock that never goes back. */
  now(): number
  /**
   * Calls `callback` after `ms` milliseconds.
   * @returns what `clearTimer` takes.
   */
  setTimer(callback: () => void, ms: number): unknown
  /** Prevents the call of a timer that has not fired. */
  clearTimer(timer: unknown): void
  /** @returns a number r with 0 ≤ r < 1. */
  random(): number
  /**
   * @returns milliseconds since 1970 on the wall clock, which may be set. Default: the machine's.
   */
  wallNow?(): number
}

/** The longest that a timer can wait, in ms, on every runtime. */
const TIMER_MS_MAX = 2 ** 31 - 1

/**
 * The clock, the timers and the random numbers of the machine: the default of the option
 * `platform`. It is public as `systemPlatform`, so that a program can replace only a part of it,
 * and code above a loop can use the same clock.
 */
export const machine: Platform = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, Math.min(Math.max(0, ms), TIMER_MS_MAX)),
  clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
  random: () => Math.random(),
}

/**
 * Calls `callback` after `ms` milliseconds, unless the process ends before: the timer does not keep
 * it running.
 * @returns what `machine.clearTimer` takes.
 */
export function setIdleTimer(callback: () => void, ms: number): unknown {
  const timer: unknown = machine.setTimer(callback, ms)
  // In a browser a timer is a number, and nothing waits for it.
  ;(timer as { readonly unref?: () => void }).unref?.()
  return timer
}

/** @returns milliseconds since 1970 on the wall clock of the machine. */
export function wallNow(): number {
  return Date.now()
}

/**
 * The name of the method that tells `console.log` and `util.inspect` of Node, Bun and Deno how to
 * show an object. Nobody calls it elsewhere.
 */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')
