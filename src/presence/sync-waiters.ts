/**
 * Who waits for the end of a sync?
 */
import type { PresenceSynced } from './presence-types.ts'

interface SyncWaiter {
  resolve(synced: PresenceSynced): void
  reject(error: unknown): void
}

export class SyncWaiters {
  #waiters: SyncWaiter[] = []

  get length(): number {
    return this.#waiters.length
  }

  /** @returns a promise that `resolve` or `reject` settles, or the abortion of the signal. */
  wait(signal: AbortSignal): Promise<PresenceSynced> {
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject }
      this.#waiters.push(waiter)
      const aborted = () => {
        this.#waiters = this.#waiters.filter((one) => one !== waiter)
        reject(signal.reason)
      }
      signal.addEventListener('abort', aborted)
    })
  }

  resolve(synced: PresenceSynced): void {
    for (const { resolve } of this.#waiters.splice(0)) resolve(synced)
  }

  reject(error: unknown): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error)
  }
}
