/**
 * How do things wait in order? An array whose front is taken without moving the rest.
 */

/** At least so many are removed from the front of the array at once. */
const SHORTEN_AT = 512

/** Shared by all that are empty; never changed. */
const EMPTY: never[] = []

export class Fifo<T> implements Iterable<T> {
  #items: T[] = EMPTY
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  /** The oldest one, or undefined. */
  get first(): T | undefined {
    return this.#items[this.#head]
  }

  push(item: T): void {
    if (this.#items === EMPTY) this.#items = [item]
    else this.#items.push(item)
  }

  shift(): T | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    if (this.#head === this.#items.length) this.#replace(EMPTY)
    else if (this.#head >= SHORTEN_AT && this.#head * 2 >= this.#items.length) {
      this.#replace(this.#items.slice(this.#head))
    }
    return item
  }

  /** Removes the first one for which `isIt` is true, if there is one. */
  remove(isIt: (item: T) => boolean): void {
    const at = this.#items.findIndex((item, i) => i >= this.#head && isIt(item))
    if (at >= 0) this.#items.splice(at, 1)
  }

  /** Keeps only those for which `stays` is true. */
  filter(stays: (item: T) => boolean): void {
    const rest = this.clear().filter(stays)
    if (rest.length > 0) this.#items = rest
  }

  /** @returns all of them, oldest first; none is left. */
  clear(): T[] {
    const rest = this.#items.slice(this.#head)
    this.#replace(EMPTY)
    return rest
  }

  #replace(items: T[]): void {
    this.#items = items
    this.#head = 0
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i]!
  }
}
