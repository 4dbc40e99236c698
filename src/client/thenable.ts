/** What is asked of promises: is a value one, and does it matter if nobody awaits it? */

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

/** @returns the same promise, whose rejection needs nobody to await it. */
export function neverUnhandled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
