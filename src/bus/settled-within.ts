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
