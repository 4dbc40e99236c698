/**
 * What does a row of the tree say, and in which columns? A narrow terminal has fewer columns; the
 * topic and the last value share what the others leave.
 */
import { fitted } from './safe-text.ts'
import { WINDOW_S } from './sliding-rate.ts'
import type { Stats, TopicNode, Traffic } from './traffic.ts'
import { amount, payloadText, shortDuration } from './value-text.ts'

interface Column {
  readonly head: string
  readonly width: number
  /** Columns with a larger number go first if there is no room. */
  readonly rank: number
  readonly text: (facts: Facts) => string
}

interface Facts {
  readonly stats: Readonly<Stats>
  /** The instant to show, and when counting began, in ms. */
  readonly at: number
  readonly since: number
}

const AVERAGE = `${WINDOW_S}s/s`

/** In the order in which they stand. */
const ALL_COLUMNS: readonly Column[] = [
  { head: 'msg/s', width: 5, rank: 1, text: ({ stats, at }) => amount(stats.rate.lastSecond(at)) },
  { head: AVERAGE, width: 5, rank: 3, text: averageText },
  { head: 'total', width: 5, rank: 4, text: ({ stats }) => amount(stats.messages) },
  { head: 'B/s', width: 5, rank: 5, text: bytesText },
  { head: 'size', width: 5, rank: 7, text: ({ stats }) => sizeText(stats) },
  { head: 'below', width: 5, rank: 8, text: ({ stats }) => belowText(stats) },
  { head: 'age', width: 4, rank: 2, text: ({ stats, at }) => ageText(stats.lastAt, at) },
  { head: 'Q', width: 1, rank: 9, text: ({ stats }) => String(stats.own?.last.qos ?? '') },
  { head: 'R', width: 1, rank: 6, text: ({ stats }) => (stats.own?.isRetained ? 'R' : '') },
]

const TOPIC_COLUMNS_MIN = 16
const VALUE_COLUMNS_MIN = 10
const TOPIC_COLUMNS_MAX = 60
/** From this width on a level is indented by two columns. */
const WIDE = 30

interface Layout {
  readonly topic: number
  readonly shown: readonly Column[]
  readonly value: number
}

export function layoutOf(columns: number): Layout {
  const room = columns - TOPIC_COLUMNS_MIN - 1 - VALUE_COLUMNS_MIN
  let used = 0
  let isFull = false
  const taken = new Set<Column>()
  for (const column of ALL_COLUMNS.toSorted((a, b) => a.rank - b.rank)) {
    isFull ||= used + column.width + 1 > room
    if (isFull) break
    used += column.width + 1
    taken.add(column)
  }
  const left = columns - used
  const most = Math.min(TOPIC_COLUMNS_MAX, left - 1 - VALUE_COLUMNS_MIN)
  const topic = Math.max(Math.min(TOPIC_COLUMNS_MIN, left), Math.min(most, Math.floor(left * 0.45)))
  const shown = ALL_COLUMNS.filter((column) => taken.has(column))
  return { topic, shown, value: Math.max(0, left - topic - 1) }
}

export function headLine({ topic, shown, value }: Layout): string {
  const cells = shown.map(({ head, width }) => fitted(head, width, 'right'))
  return joined([fitted('topic', topic), ...cells, fitted('last value', value)], value)
}

/** @param isUnfolded whether the topics below have rows too. */
export function rowLine(
  layout: Layout,
  node: TopicNode,
  isUnfolded: boolean,
  traffic: Traffic,
  now: number,
): string {
  const { topic, shown, value } = layout
  const name = nameCell(node, isUnfolded, topic)
  const stats = traffic.statsOf(node) ?? node.stats
  const facts = { stats, at: traffic.shownAt(now), since: traffic.since }
  const cells = shown.map(({ width, text }) => fitted(text(facts), width, 'right'))
  const last = stats.own?.last
  const text = last === undefined ? '' : payloadText(last.bytes, last.length)
  return joined([name, ...cells, fitted(text, value)], value)
}

function joined(cells: readonly string[], value: number): string {
  return (value > 0 ? cells : cells.slice(0, -1)).join(' ')
}

function nameCell(node: TopicNode, isUnfolded: boolean, columns: number): string {
  const isLeaf = node.children.size === 0
  const mark = isLeaf ? ' ' : isUnfolded ? '▾' : '▸'
  const indent = Math.min(Math.floor(columns / 2), node.depth * (columns < WIDE ? 1 : 2))
  const name = `${node.name === '' ? '(empty)' : node.name}${isLeaf ? '' : '/'}`
  if (columns < indent + 3) return fitted(name, columns)
  return `${' '.repeat(indent)}${mark} ${fitted(name, columns - indent - 2)}`
}

function averageText({ stats, at, since }: Facts): string {
  return amount(stats.rate.messages(at, since))
}

function bytesText({ stats, at, since }: Facts): string {
  return amount(stats.rate.bytes(at, since))
}

function sizeText({ bytes, messages, own }: Stats): string {
  if (messages > 0) return amount(Math.round(bytes / messages))
  return own === null ? '' : amount(own.last.length)
}

function belowText({ topics, own }: Stats): string {
  const below = topics - (own === null ? 0 : 1)
  return below === 0 ? '' : amount(below)
}

/** A stored message says nothing about when it was published. */
function ageText(lastAt: number | null, at: number): string {
  return lastAt === null ? '-' : shortDuration(at - lastAt)
}
