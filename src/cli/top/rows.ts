/**
 * Which topics are rows of the screen, and in which order? A pure function of the tree of topics
 * and of what is unfolded, filtered and sorted.
 */
import { matches, validateFilter } from '../../index.ts'
import type { TopicNode, Traffic } from './traffic.ts'

export const SORTS = ['name', 'rate', 'bytes', 'age'] as const
type Sort = (typeof SORTS)[number]

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

export function isUnfolded({ depth, others }: Folds, node: TopicNode): boolean {
  return node.children.size > 0 && (others.get(node) ?? node.depth < depth)
}

/** @returns the topics that have a row, from the first to the last. */
export function rowsOf(traffic: Traffic, selection: Selection, now: number): TopicNode[] {
  const { folds, filter, sort } = selection
  const shown = matching(traffic, filter)
  const rows: TopicNode[] = []
  const add = (parent: TopicNode) => {
    for (const node of sorted(traffic, parent, sort, now)) {
      if (shown !== null && !shown.has(node)) continue
      if (traffic.statsOf(node) === null) continue
      rows.push(node)
      if (isUnfolded(folds, node)) add(node)
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

/** @returns the children of a topic: by name, or by what a column shows, the largest first. */
function sorted(
  traffic: Traffic,
  parent: TopicNode,
  sort: Sort,
  now: number,
): readonly TopicNode[] {
  const nodes = byName(parent)
  if (sort === 'name' || nodes.length < 2) return nodes
  const keyed = nodes.map((node) => ({ node, key: sortKey(traffic, node, sort, now) }))
  return keyed.sort((a, b) => b.key - a.key).map(({ node }) => node)
}

function sortKey(traffic: Traffic, node: TopicNode, sort: Sort, now: number): number {
  const stats = traffic.statsOf(node)
  if (stats === null) return 0
  if (sort === 'age') return stats.lastAt ?? -1
  const at = traffic.shownAt(now)
  return sort === 'bytes'
    ? stats.rate.bytes(at, traffic.since)
    : stats.rate.messages(at, traffic.since)
}
