/**
 * Which of many deadlines is the next? A binary heap whose items know their place, so that one that
 * was answered is removed without a search. It has no clock.
 */

/** Something that has a deadline. */
export interface HasDeadline {
  /** In ms on the clock of the client. It may change only while the item is in no heap. */
  dueAt: number
  /** Its place in the heap, or -1. Only the heap writes it. */
  heapIndex: number
}

export class DeadlineHeap<T extends HasDeadline> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  /** The item that is due first, or undefined. */
  get first(): T | undefined {
    return this.#items[0]
  }

  add(item: T): void {
    this.#items.push(item)
    this.#up(item, this.#items.length - 1)
  }

  /** @returns whether the item was there. */
  remove(item: T): boolean {
    const index = item.heapIndex
    if (index < 0) return false
    item.heapIndex = -1
    const last = this.#items.pop()!
    if (last !== item) {
      this.#up(last, index)
      if (last.heapIndex === index) this.#down(last, index)
    }
    return true
  }

  /** @returns the first item, removed, if it is due; else undefined. */
  take(now: number): T | undefined {
    const first = this.#items[0]
    if (first === undefined || first.dueAt > now) return undefined
    this.remove(first)
    return first
  }

  #up(item: T, from: number): void {
    const items = this.#items
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = items[parent]!
      if (above.dueAt <= item.dueAt) break
      items[index] = above
      above.heapIndex = index
      index = parent
    }
    items[index] = item
    item.heapIndex = index
  }

  #down(item: T, from: number): void {
    const items = this.#items
    let index = from
    for (;;) {
      let child = 2 * index + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]!.dueAt < items[child]!.dueAt) child++
      const below = items[child]!
      if (below.dueAt >= item.dueAt) break
      items[index] = below
      below.heapIndex = index
      index = child
    }
    items[index] = item
    item.heapIndex = index
  }
}
