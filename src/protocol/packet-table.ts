/**
 * How can a table with 65,536 keys change in every step, while old versions of it are kept?
 *
 * The table is a trie over the bits of a 16-bit key (packet identifier, handle, sequence), 32 × 32
 * × 64. A change copies the path from the root to one leaf, about 130 slots, instead of all
 * entries: copying a Map of 65,535 entries costs 10 ms, copying a path 0.1 µs. An editor copies
 * each node at most once, however many changes it makes: a node that it made is its own until
 * `finish()`, and everything else is shared. Empty nodes are removed, so a table that was full once
 * does not stay large.
 */

export const TABLE_KEYS = 65_536

interface Leaf<V> {
  readonly count: number
  readonly slots: readonly (V | undefined)[]
}
interface Branch<V> {
  readonly count: number
  readonly slots: readonly (Leaf<V> | undefined)[]
}

/** A table is immutable and plain data. */
export interface PacketTable<V> {
  /** The number of entries. */
  readonly size: number
  readonly branches: readonly (Branch<V> | undefined)[]
}

const NO_LEAVES: number[] = []
const EMPTY_TABLE: PacketTable<never> = Object.freeze({ size: 0, branches: Object.freeze([]) })

export function emptyTable<V>(): PacketTable<V> {
  return EMPTY_TABLE
}

/** @returns the entry at `key` (0 to 65,535), or undefined. */
export function lookup<V>(table: PacketTable<V>, key: number): V | undefined {
  return table.branches[key >>> 11]?.slots[(key >>> 6) & 31]?.slots[key & 63]
}

/** Yields all entries by ascending key. */
export function* entries<V>(table: PacketTable<V>): Generator<[key: number, value: V]> {
  for (let b = 0; b < table.branches.length; b++) {
    const leaves = table.branches[b]?.slots ?? []
    for (let l = 0; l < leaves.length; l++) {
      const slots = leaves[l]?.slots ?? []
      for (let s = 0; s < slots.length; s++) {
        const value = slots[s]
        if (value !== undefined) yield [(b << 11) | (l << 6) | s, value]
      }
    }
  }
}

/**
 * Yields the keys whose entries differ, by ascending key. Nodes that the tables share cost nothing.
 */
export function* differences<V>(
  before: PacketTable<V>,
  after: PacketTable<V>,
): Generator<[key: number, before: V | undefined, after: V | undefined]> {
  if (before === after) return
  for (let b = 0; b < 32; b++) {
    const [branch, branchNow] = [before.branches[b], after.branches[b]]
    if (branch === branchNow) continue
    for (let l = 0; l < 32; l++) {
      const [leaf, leafNow] = [branch?.slots[l], branchNow?.slots[l]]
      if (leaf === leafNow) continue
      for (let s = 0; s < 64; s++) {
        const [value, valueNow] = [leaf?.slots[s], leafNow?.slots[s]]
        if (value !== valueNow) yield [(b << 11) | (l << 6) | s, value, valueNow]
      }
    }
  }
}

interface OwnLeaf<V> {
  count: number
  slots: (V | undefined)[]
}
interface OwnBranch<V> {
  count: number
  slots: (Leaf<V> | undefined)[]
}

/** Makes a changed copy of a table. After the last `finish()` the editor must not be used. */
export class TableEditor<V> {
  readonly #original: PacketTable<V>
  size: number
  /** The copied branches, or undefined before the first change. */
  #branches: (Branch<V> | undefined)[] | undefined = undefined
  /** Bit b says that this editor made branch b. */
  #ownBranches = 0
  /** By branch: bit l says that this editor made leaf l. */
  #ownLeaves: number[] = NO_LEAVES

  constructor(table: PacketTable<V>) {
    this.#original = table
    this.size = table.size
  }

  get(key: number): V | undefined {
    const branches = this.#branches ?? this.#original.branches
    return branches[key >>> 11]?.slots[(key >>> 6) & 31]?.slots[key & 63]
  }

  set(key: number, value: V): void {
    const leaf = this.#ownLeaf(key)
    if (leaf.slots[key & 63] === undefined) {
      leaf.count++
      this.size++
    }
    leaf.slots[key & 63] = value
  }

  /** @returns the entry that was removed, or undefined if there was none. */
  remove(key: number): V | undefined {
    const value = this.get(key)
    if (value === undefined) return undefined
    const leaf = this.#ownLeaf(key)
    leaf.slots[key & 63] = undefined
    leaf.count--
    this.size--
    if (leaf.count === 0) this.#prune(key)
    return value
  }

  clear(): void {
    this.#branches = new Array(32).fill(undefined)
    this.#ownBranches = 0
    this.#ownLeaves = NO_LEAVES
    this.size = 0
  }

  finish(): PacketTable<V> {
    if (this.#branches === undefined) return this.#original
    return this.size === 0 ? EMPTY_TABLE : { size: this.size, branches: this.#branches }
  }

  #ownLeaf(key: number): OwnLeaf<V> {
    const b = key >>> 11
    const l = (key >>> 6) & 31
    const branch = this.#ownBranch(b)
    const leaf = branch.slots[l]
    if ((this.#ownLeaves[b]! & (1 << l)) !== 0) return leaf as OwnLeaf<V>
    this.#ownLeaves[b]! |= 1 << l
    if (leaf === undefined) branch.count++
    const own = leaf
      ? { count: leaf.count, slots: leaf.slots.slice() }
      : { count: 0, slots: new Array<V | undefined>(64).fill(undefined) }
    branch.slots[l] = own
    return own
  }

  #ownBranch(b: number): OwnBranch<V> {
    if ((this.#ownBranches & (1 << b)) !== 0) return this.#branches![b] as OwnBranch<V>
    if (this.#branches === undefined) {
      this.#branches =
        this.#original.size > 0 ? this.#original.branches.slice() : new Array(32).fill(undefined)
    }
    if (this.#ownLeaves === NO_LEAVES) this.#ownLeaves = new Array<number>(32).fill(0)
    const branch = this.#branches[b]
    const own = branch
      ? { count: branch.count, slots: branch.slots.slice() }
      : { count: 0, slots: new Array<Leaf<V> | undefined>(32).fill(undefined) }
    this.#branches[b] = own
    this.#ownBranches |= 1 << b
    this.#ownLeaves[b] = 0
    return own
  }

  #prune(key: number): void {
    const b = key >>> 11
    const l = (key >>> 6) & 31
    const branch = this.#ownBranch(b)
    branch.slots[l] = undefined
    this.#ownLeaves[b]! &= ~(1 << l)
    branch.count--
    if (branch.count > 0) return
    this.#branches![b] = undefined
    this.#ownBranches &= ~(1 << b)
  }
}
