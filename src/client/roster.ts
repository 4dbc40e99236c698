/**
 * Who is there now? Each one leaves without a search, whatever the order.
 *
 * It is no `Set`, because a `Set` or `Map` whose entries come and go is copied by V8 now and then,
 * and each copy is held by the one before it. So a young garbage collection keeps everything that
 * was in it since the last one, which costs more than all the rest of a publish.
 */

/** One who may be in a roster. */
export interface Listed {
  /** Its place, or -1 if it is in none. Only the roster writes it. */
  place: number
}

export class Roster<T extends Listed> {
  #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    item.place = this.#items.length
    this.#items.push(item)
  }

  /** @returns whether it was there. */
  delete(item: T): boolean {
    const { place } = item
    if (place < 0) return false
    item.place = -1
    const last = this.#items.pop()!
    if (last !== item) {
      this.#items[place] = last
      last.place = place
    }
    return true
  }

  /** @returns those who are there, in no order. */
  values(): T[] {
    return [...this.#items]
  }

  /** @returns those who were there; none is now. */
  clear(): T[] {
    const items = this.#items
    this.#items = []
    for (const item of items) item.place = -1
    return items
  }
}
