/** Time and chance as the machine has them. Looked up at each call, so that fake timers of a test are seen. */
import type { Platform } from './options/options.ts'

/** The longest that a Node timer can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1

export const machine: Platform = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, Math.min(Math.max(0, ms), TIMER_MS_MAX)),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  random: () => Math.random(),
}
