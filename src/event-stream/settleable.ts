/** Which promises are settled by others, and must not end the process if nobody awaits them? */

/** A promise, and what settles it. */
export interface Settleable<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function settleable<T>(): Settleable<T> {
  let settle!: Pick<Settleable<T>, 'resolve' | 'reject'>
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // Whoever does not ask must not end the process.
  promise.catch(() => {})
  return { promise, ...settle }
}

/** Whoever does not await a send must not end the process by it; whoever does gets the error. */
export function settledQuietly(promise: Promise<void>): Promise<void> {
  promise.catch(() => {})
  return promise
}
