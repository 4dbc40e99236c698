/** How is something awaited that must not hold up the end of a bus for long? */
import type { Platform } from '../index.ts'

/** Resolves when the promise is settled, in whichever way, or after `ms`. */
export async function settledWithin(
  clock: Platform,
  promise: Promise<unknown>,
  ms: number,
): Promise<void> {
  let timer: unknown
  const late = new Promise<void>((resolve) => {
    timer = clock.setTimer(resolve, ms)
  })
  await Promise.race([promise.catch(() => {}), late])
  clock.clearTimer(timer)
}

/**
 * One time for several waits that follow one another.
 * @returns a function that says how many ms are left of it: at least 1, since nothing takes less.
 */
export function timeBudget(clock: Platform, ms: number): () => number {
  const endsAt = clock.now() + ms
  return () => Math.max(1, endsAt - clock.now())
}
