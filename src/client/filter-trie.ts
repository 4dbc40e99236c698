/**
 * Which of many Topic Filters match a topic? (4.7) A trie of their levels: what a message costs
 * depends on the levels of its topic, and not on the number of filters.
 *
 * A node with one child compares the child's level in place; only nodes with several have a Map.
 * Filters that end in `#` are kept at the node before, because `a/#` matches `a` too. All walks
 * have a stack of their own: a filter may have 32,768 levels.
 */
import { DOLLAR_CODE, endOfLevel, matchedLevels, SEPARATOR_CODE, shareLength } from './levels.ts'

/** What was added under one filter, or under several that differ in `$share/name/` only. */
class Held<Item> {
  readonly items: Item[]
  /** The filter of each item, as it was added. */
  readonly filters: string[]

  constructor(item: Item, filter: string) {
    this.items = [item]
    this.filters = [filter]
  }
}

class TrieNode<Item> {
  /** The level that leads here; `+` for a wildcard, and empty at the root. */
  readonly level: string
  /** What was added under the filter that ends here. */
  ending: Held<Item> | null = null
  /** What was added under the filter that ends here and `/#`. */
  below: Held<Item> | null = null
  plus: TrieNode<Item> | null = null
  /** The one child that is no wildcard, if there is one only; otherwise `children` has them. */
  only: TrieNode<Item> | null = null
  children: Map<string, TrieNode<Item>> | null = null

  constructor(level: string) {
    this.level = level
  }
}

/** Items by Topic Filter. Filters and topics must be valid. */
export class FilterTrie<Item> {
  /** How many nodes `match` has looked at since the trie was made. */
  visited = 0
  readonly #root = new TrieNode<Item>('')
  #size = 0
  #nodes = 1
  // The places where a walk has to come back to, kept between calls.
  #open: { readonly nodes: TrieNode<Item>[]; readonly starts: number[] } | null = null

  /** How many pairs of filter and item there are. */
  get size(): number {
    return this.#size
  }

  /** How many nodes there are; 1 if nothing was added. */
  get nodes(): number {
    return this.#nodes
  }

  /** @returns false if the item was added under this filter before. */
  add(filter: string, item: Item): boolean {
    let node = this.#root
    let isBelow = false
    for (const level of matchedLevels(filter)) {
      if (level === '#') isBelow = true
      else node = childOf(node, level) ?? this.#grow(node, level)
    }
    const held = isBelow ? node.below : node.ending
    if (held === null) {
      if (isBelow) node.below = new Held(item, filter)
      else node.ending = new Held(item, filter)
    } else {
      if (placeOf(held, filter, item) >= 0) return false
      held.items.push(item)
      held.filters.push(filter)
    }
    this.#size++
    return true
  }

  /** @returns false if the item was not there under this filter. */
  delete(filter: string, item: Item): boolean {
    const way: TrieNode<Item>[] = [this.#root]
    let isBelow = false
    for (const level of matchedLevels(filter)) {
      if (level === '#') {
        isBelow = true
        continue
      }
      const node = childOf(way.at(-1)!, level)
      if (node === null) return false
      way.push(node)
    }
    const node = way.at(-1)!
    const held = isBelow ? node.below : node.ending
    const at = held === null ? -1 : placeOf(held, filter, item)
    if (at < 0) return false
    held!.items.splice(at, 1)
    held!.filters.splice(at, 1)
    if (held!.items.length === 0) {
      if (isBelow) node.below = null
      else node.ending = null
      this.#prune(way)
    }
    this.#size--
    return true
  }

  /**
   * Finds the items of all filters that match a topic, once for each filter. The order is fixed for
   * a given trie, but says nothing.
   *
   * @param into is emptied and takes the items, so that a call makes no array.
   * @returns `into`.
   */
  match(topic: string, into: Item[]): Item[] {
    empty(into)
    this.#open ??= { nodes: [], starts: [] }
    const open = this.#open
    // [MQTT-4.7.2-1]
    const opens = topic.charCodeAt(0) !== DOLLAR_CODE
    let node: TrieNode<Item> | undefined = this.#root
    let start = 0
    for (;;) {
      this.visited++
      if (node.below !== null && (start > 0 || opens)) takeItems(node.below, into)
      if (start > topic.length) {
        if (node.ending !== null) takeItems(node.ending, into)
        node = undefined
      } else {
        const plus: TrieNode<Item> | null = start > 0 || opens ? node.plus : null
        const only: TrieNode<Item> | null = node.only
        let fixed: TrieNode<Item> | undefined
        let end: number
        if (only !== null && hasLevel(topic, start, only.level)) {
          fixed = only
          end = start + only.level.length
        } else {
          end = endOfLevel(topic, start)
          fixed = node.children?.get(topic.slice(start, end))
        }
        if (fixed !== undefined && plus !== null) {
          open.nodes.push(plus)
          open.starts.push(end + 1)
        }
        node = fixed ?? plus ?? undefined
        start = end + 1
      }
      if (node === undefined) {
        node = open.nodes.pop()
        if (node === undefined) return into
        start = open.starts.pop()!
      }
    }
  }

  /** @returns the other filters that match a topic that this one matches too, each once. */
  overlapping(filter: string): readonly string[] {
    const levels = matchedLevels(filter)
    const opens = levels[0]!.charCodeAt(0) !== DOLLAR_CODE
    const found = new Set<string>()
    const open: (readonly [node: TrieNode<Item>, depth: number])[] = [[this.#root, 0]]
    for (;;) {
      const [node, depth] = open.pop() ?? [null, 0]
      if (node === null) break
      const level = levels[depth]
      // Beyond `#` all depths are alike.
      const next = level === '#' ? depth : depth + 1
      const isFree = depth > 0 || node !== this.#root
      if (isFree || opens) takeFilters(node.below, found)
      if (level === undefined || level === '#') takeFilters(node.ending, found)
      if (level === undefined) continue
      if ((isFree || opens) && node.plus !== null) open.push([node.plus, next])
      if (level === '#' || level === '+') {
        for (const child of fixedChildren(node)) {
          // [MQTT-4.7.2-1]
          if (isFree || child.level.charCodeAt(0) !== DOLLAR_CODE) open.push([child, next])
        }
      } else {
        const child = childOf(node, level)
        if (child !== null) open.push([child, next])
      }
    }
    return [...found].filter((other) => other !== filter && !meetInNothing(filter, other))
  }

  #grow(parent: TrieNode<Item>, level: string): TrieNode<Item> {
    const node = new TrieNode<Item>(level)
    this.#nodes++
    if (level === '+') parent.plus = node
    else if (parent.children !== null) parent.children.set(level, node)
    else if (parent.only === null) parent.only = node
    else {
      parent.children = new Map([
        [parent.only.level, parent.only],
        [level, node],
      ])
      parent.only = null
    }
    return node
  }

  /** Removes the nodes at the end of a way that hold nothing any more. */
  #prune(way: readonly TrieNode<Item>[]): void {
    for (let i = way.length - 1; i > 0 && isBare(way[i]!); i--) {
      const parent = way[i - 1]!
      const { level } = way[i]!
      this.#nodes--
      if (level === '+') parent.plus = null
      else if (parent.only !== null) parent.only = null
      else {
        parent.children!.delete(level)
        if (parent.children!.size > 1) continue
        parent.only = [...parent.children!.values()][0]!
        parent.children = null
      }
    }
  }
}

/**
 * @returns whether a topic can exist that both filters match. Share names do not count: they name
 *   who receives, and not what.
 */
export function filtersOverlap(one: string, other: string): boolean {
  if (meetInNothing(one, other)) return false
  const a = one.slice(shareLength(one))
  const b = other.slice(shareLength(other))
  // [MQTT-4.7.2-1]
  if (a.charCodeAt(0) === DOLLAR_CODE && /^[+#]/.test(b)) return false
  if (b.charCodeAt(0) === DOLLAR_CODE && /^[+#]/.test(a)) return false
  const [short, long] = [a.split('/'), b.split('/')].sort((x, y) => x.length - y.length)
  for (const [i, level] of short!.entries()) {
    const against = long![i]!
    if (level === '#' || against === '#') return true
    if (level !== against && level !== '+' && against !== '+') return false
  }
  // a/# matches a.
  const { length } = short!
  return long!.length === length || (long!.length === length + 1 && long![length] === '#')
}

/** @returns whether only the empty name, which is none, would fit two filters. [MQTT-4.7.3-1] */
function meetInNothing(one: string, other: string): boolean {
  const [a, b] = [one.slice(shareLength(one)), other.slice(shareLength(other))]
  return (a === '+' && b === '/#') || (a === '/#' && b === '+')
}

function childOf<Item>(node: TrieNode<Item>, level: string): TrieNode<Item> | null {
  if (level === '+') return node.plus
  if (node.only !== null) return node.only.level === level ? node.only : null
  return node.children?.get(level) ?? null
}

/** @returns whether a topic has this level at `start`; it is compared in place. */
function hasLevel(topic: string, start: number, level: string): boolean {
  if (!topic.startsWith(level, start)) return false
  const end = start + level.length
  return end === topic.length || topic.charCodeAt(end) === SEPARATOR_CODE
}

function fixedChildren<Item>({ only, children }: TrieNode<Item>): Iterable<TrieNode<Item>> {
  return only === null ? (children?.values() ?? []) : [only]
}

function isBare<Item>(node: TrieNode<Item>): boolean {
  if (node.ending !== null || node.below !== null || node.plus !== null) return false
  return node.only === null && node.children === null
}

function placeOf<Item>({ items, filters }: Held<Item>, filter: string, item: Item): number {
  return items.findIndex((other, at) => other === item && filters[at] === filter)
}

/** Empties an array that nearly always has one item: to set its length costs ten times as much. */
export function empty(items: unknown[]): void {
  while (items.length > 0) items.pop()
}

function takeItems<Item>({ items }: Held<Item>, into: Item[]): void {
  for (let i = 0; i < items.length; i++) into.push(items[i]!)
}

function takeFilters<Item>(held: Held<Item> | null, found: Set<string>): void {
  for (const filter of held?.filters ?? []) found.add(filter)
}
