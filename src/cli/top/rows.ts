/**
 * Which topics are rows of the screen, and in which order? A pure function of the tree of topics and
 * of what is unfolded, filtered and sorted.
 */
import { matches, validateFilter } from '../../index.ts'
import type { Rates } from './sliding-rate.ts'
import type { Stats, TopicNode, Traffic } from './traffic.ts'

export const SORTS = ['name', 'rate', 'bytes', 'age'] as const
export type Sort = (typeof SORTS)[number]

/** What is unfolded: by default a number of levels, and what was folded or unfolded one by one. */
export interface Folds {
  /** Topics of a smaller depth are unfolded. */
  readonly depth: number
  readonly others: ReadonlyMap<TopicNode, boolean>
}

export interface Selection {
  readonly folds: Folds
  /** Part of a topic, or a topic filter with + or #; empty for all topics. */
  readonly filter: string
  readonly sort: Sort
}

export interface Row {
  readonly node: TopicNode
  readonly isOpen: boolean
}

export function isOpen({ depth, others }: Folds, node: TopicNode): boolean {
  return others.get(node) ?? node.depth < depth
}

/** @returns the visible rows, from the first to the last. */
export function rowsOf(traffic: Traffic, selection: Selection, now: number): Row[] {
  const { folds, filter, sort } = selection
  const shown = matching(traffic, filter)
  const rows: Row[] = []
  const add = (parent: TopicNode) => {
    for (const node of sorted(traffic, parent, sort, now)) {
      if (shown !== null && !shown.has(node)) continue
      const opened = node.children.size > 0 && isOpen(folds, node)
      rows.push({ node, isOpen: opened })
      if (opened) add(node)
    }
  }
  add(traffic.root)
  return rows
}

interface Matching {
  readonly filter: string
  readonly size: number
  readonly nodes: ReadonlySet<TopicNode>
}

/** The last answer for each tree; a topic that matches a filter always will. */
const MATCHING = new WeakMap<Traffic, Matching>()

/** @returns the topics that match and the levels above them, or null if there is no filter. */
export function matching(traffic: Traffic, filter: string): ReadonlySet<TopicNode> | null {
  if (filter === '') return null
  const known = MATCHING.get(traffic)
  if (known?.filter === filter && known.size === traffic.size) return known.nodes
  const nodes = new Set<TopicNode>()
  const does = matcherOf(filter)
  for (const topic of traffic.topics()) {
    if (!does(topic.path)) continue
    for (let one = topic; one.parent !== null && !nodes.has(one); one = one.parent) nodes.add(one)
  }
  MATCHING.set(traffic, { filter, size: traffic.size, nodes })
  return nodes
}

function matcherOf(filter: string): (topic: string) => boolean {
  const isFilter = /[+#]/.test(filter) && validateFilter(filter) === null
  if (isFilter) return (topic) => matches(filter, topic)
  const part = filter.toLowerCase()
  return (topic) => topic.toLowerCase().includes(part)
}

/** Numbers in names count as numbers: sensor2 comes before sensor10. */
const { compare } = new Intl.Collator('en', { numeric: true })

/** The children of a topic by name, until there are more of them. */
const BY_NAME = new WeakMap<TopicNode, readonly TopicNode[]>()

function byName(parent: TopicNode): readonly TopicNode[] {
  const known = BY_NAME.get(parent)
  if (known?.length === parent.children.size) return known
  const nodes = [...parent.children.values()].sort((a, b) => compare(a.name, b.name))
  BY_NAME.set(parent, nodes)
  return nodes
}

/** What the columns show that rows are sorted by, the largest first. */
const KEYS: Readonly<Record<Sort, (stats: Readonly<Stats>, rates: () => Rates) => number>> = {
  name: () => 0,
  rate: (_, rates) => rates().average,
  bytes: (_, rates) => rates().bytes,
  age: ({ lastAt }) => lastAt ?? -1,
}

function sorted(
  traffic: Traffic,
  parent: TopicNode,
  sort: Sort,
  now: number,
): readonly TopicNode[] {
  const nodes = byName(parent)
  if (sort === 'name' && !traffic.isFrozen) return nodes
  const keyed = nodes.flatMap((node) => {
    const stats = traffic.statsOf(node)
    if (stats === null) return []
    return [{ node, key: KEYS[sort](stats, () => traffic.ratesOf(stats, now)) }]
  })
  if (sort !== 'name') keyed.sort((a, b) => b.key - a.key)
  return keyed.map(({ node }) => node)
}
