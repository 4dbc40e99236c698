/**
 * Who is told of something? The list is never changed in place, so that listeners may be added and
 * removed while all are told.
 */

type Told<Args extends readonly unknown[]> = (...args: Args) => void

/** Shared by all that have nobody; never changed. */
const NO_LISTENERS: readonly never[] = []

export class ListenerList<Args extends readonly unknown[]> {
  #all: readonly Told<Args>[] = NO_LISTENERS

  get size(): number {
    return this.#all.length
  }

  /** @returns a function that removes the listener. */
  add(listener: Told<Args>): () => void {
    this.#all = [...this.#all, listener]
    return () => {
      this.#all = this.#all.filter((one) => one !== listener)
    }
  }

  tell(...args: Args): void {
    for (const listener of this.#all) listener(...args)
  }

  clear(): void {
    this.#all = NO_LISTENERS
  }
}
