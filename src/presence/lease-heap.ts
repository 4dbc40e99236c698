/**
 * Whose lease ends next? A heap of instants. One that moves to later stays where it is, and is put
 * right when its turn comes, so that a sign costs nothing here. (H8, the costs of presence are
 * bounded)
 */

/** Something that is due at an instant, which may have moved since it was put here. */
export interface Leased {
  /** When it is due, in ms. */
  dueAt: number
  /** For which instant it stands in the heap; infinite: it does not. */
  heapedAt: number
}

export class LeaseHeap<T extends Leased> {
  readonly #heap: { readonly at: number; readonly item: T }[] = []

  /** The earliest instant at which something may be due; infinite if nothing ever is. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** The instant of an item has changed. */
  put(item: T): void {
    // What stands there for an earlier instant is put right when that has come.
    if (item.dueAt >= item.heapedAt) return
    this.#push(item)
  }

  /** @returns something that is due at `now`, and takes it out; null if nothing is. */
  take(now: number): T | null {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined || first.at > now) return null
      this.#pop()
      const { at, item } = first
      // It stands there twice if its instant had moved to earlier.
      if (at !== item.heapedAt) continue
      item.heapedAt = Number.POSITIVE_INFINITY
      if (item.dueAt <= now) return item
      if (item.dueAt < Number.POSITIVE_INFINITY) this.#push(item)
    }
  }

  #push(item: T): void {
    const heap = this.#heap
    const entry = { at: item.dueAt, item }
    item.heapedAt = item.dueAt
    let i = heap.push(entry) - 1
    while (i > 0) {
      const above = (i - 1) >> 1
      if (heap[above]!.at <= entry.at) break
      heap[i] = heap[above]!
      i = above
    }
    heap[i] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let below = 2 * i + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && heap[below + 1]!.at < heap[below]!.at) below++
      if (heap[below]!.at >= last.at) break
      heap[i] = heap[below]!
      i = below
    }
    heap[i] = last
  }
}
