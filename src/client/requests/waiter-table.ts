/**
 * Who waits for the answer to which correlation? A hash table with open addressing.
 *
 * It is no `Map`, because a `Map` whose entries come and go is copied by V8 now and then, and each
 * copy is held by the one before it. So a young garbage collection keeps everything that was in it
 * since the last one: with 100 requests open that was a quarter of the time of a request.
 */

interface TableEntry {
  /** One character for each byte; at least three random ones. */
  readonly correlation: string
  /** Of two entries the older one has the smaller number. */
  readonly order: number
}

const SLOTS_MIN = 16

export class WaiterTable<T extends TableEntry> {
  /** A power of two, of which at most half are used. */
  #slots: (T | undefined)[] = new Array(SLOTS_MIN).fill(undefined)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(correlation: string): T | undefined {
    return this.#slots[this.#placeOf(correlation)]
  }

  /** @param entry has a correlation that no other entry has. */
  add(entry: T): void {
    if (this.#size * 2 >= this.#slots.length) this.#resize(this.#slots.length * 2)
    const at = this.#placeOf(entry.correlation)
    if (this.#slots[at] === undefined) this.#size++
    this.#slots[at] = entry
  }

  /** @returns whether there was an entry. */
  delete(correlation: string): boolean {
    const slots = this.#slots
    const mask = slots.length - 1
    let gap = this.#placeOf(correlation)
    if (slots[gap] === undefined) return false
    // What stands behind the gap, and not before its own home, moves into it.
    for (let at = (gap + 1) & mask; slots[at] !== undefined; at = (at + 1) & mask) {
      const fromHome = (at - correlationHash(slots[at]!.correlation)) & mask
      if (fromHome < ((at - gap) & mask)) continue
      slots[gap] = slots[at]
      gap = at
    }
    slots[gap] = undefined
    this.#size--
    if (slots.length > SLOTS_MIN && this.#size * 8 < slots.length) this.#resize(slots.length / 2)
    return true
  }

  /** @returns all entries, oldest first. */
  values(): T[] {
    const entries = this.#slots.filter((entry) => entry !== undefined)
    return entries.sort((a, b) => a.order - b.order)
  }

  /** @returns where an entry is, or where it would be. */
  #placeOf(correlation: string): number {
    const slots = this.#slots
    const mask = slots.length - 1
    let at = correlationHash(correlation) & mask
    while (slots[at] !== undefined && slots[at]!.correlation !== correlation) at = (at + 1) & mask
    return at
  }

  #resize(length: number): void {
    const entries = this.#slots
    this.#slots = new Array(length).fill(undefined)
    for (const entry of entries) {
      if (entry !== undefined) this.#slots[this.#placeOf(entry.correlation)] = entry
    }
  }
}

/** The bytes of a correlation are random, so that they need no mixing. */
function correlationHash(text: string): number {
  return text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16)
}
