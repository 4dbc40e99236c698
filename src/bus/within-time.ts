/** How long is something waited for, on the clock of the client? */
import { ConnectionError } from '../index.ts'
import type { BusParts } from './bus-parts.ts'

/** @returns a promise that is rejected after the time-out, also if a hook never ends. */
export function withinTime<T>(
  bus: BusParts,
  what: string,
  whole: Promise<T>,
  ms: number,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = bus.clock.setTimer(() => {
      const message = `${what}: there was no result within ${ms} ms`
      reject(new ConnectionError(message, { code: 'TIMEOUT' }))
    }, ms)
    whole.then(resolve, reject).finally(() => bus.clock.clearTimer(timer))
  })
}
