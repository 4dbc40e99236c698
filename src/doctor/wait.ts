/**
 * How does the doctor wait? On the clock of the options, and never longer than its signal allows.
 */
import type { Platform } from '../index.ts'

/** Resolves after `ms`. @throws the reason of the signal if it is aborted before. */
export function delayed(clock: Platform, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const aborted = () => {
      clock.clearTimer(timer)
      reject(signal.reason)
    }
    const timer = clock.setTimer(() => {
      signal.removeEventListener('abort', aborted)
      resolve()
    }, ms)
    signal.addEventListener('abort', aborted, { once: true })
  })
}

/**
 * @returns what a promise resolves with, or null after `ms`.
 * @throws what the promise rejects with, or the reason of the signal.
 */
export async function orNullAfter<T>(
  clock: Platform,
  ms: number,
  signal: AbortSignal,
  promise: Promise<T>,
): Promise<T | null> {
  const over = new AbortController()
  const end = () => over.abort(signal.reason)
  if (signal.aborted) throw signal.reason
  signal.addEventListener('abort', end, { once: true })
  try {
    return await Promise.race([promise, delayed(clock, ms, over.signal).then(() => null)])
  } finally {
    signal.removeEventListener('abort', end)
    if (!over.signal.aborted) over.abort(OVER)
  }
}

/** The reason for ending a wait that has its result. */
const OVER = new Error('the wait is over')
