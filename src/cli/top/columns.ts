/**
 * What does a row of the tree say, and in which columns? A narrow terminal has fewer columns; the
 * topic and the last value share what the others leave.
 */
import type { Row } from './rows.ts'
import { fitted } from './safe-text.ts'
import { WINDOW_S } from './sliding-rate.ts'
import type { Traffic } from './traffic.ts'
import { amount, duration, valueText } from './value-text.ts'

interface Column {
  readonly head: string
  readonly width: number
  /** Columns with a larger number go first if there is no room. */
  readonly rank: number
  readonly text: (facts: Facts) => string
}

interface Facts {
  readonly stats: NonNullable<ReturnType<Traffic['statsOf']>>
  readonly rates: ReturnType<Traffic['ratesOf']>
  readonly at: number
}

const AVERAGE = `${WINDOW_S}s/s`

/** In the order in which they stand. */
const COLUMNS: readonly Column[] = [
  { head: 'msg/s', width: 5, rank: 1, text: ({ rates }) => amount(rates.now) },
  { head: AVERAGE, width: 5, rank: 3, text: ({ rates }) => amount(rates.average) },
  { head: 'total', width: 5, rank: 4, text: ({ stats }) => amount(stats.messages) },
  { head: 'B/s', width: 5, rank: 5, text: ({ rates }) => amount(rates.bytes) },
  { head: 'size', width: 5, rank: 7, text: ({ stats }) => sizeText(stats) },
  { head: 'below', width: 5, rank: 8, text: ({ stats }) => belowText(stats) },
  { head: 'age', width: 4, rank: 2, text: ({ stats, at }) => ageText(stats.lastAt, at) },
  { head: 'Q', width: 1, rank: 9, text: ({ stats }) => String(stats.own?.last.qos ?? '') },
  { head: 'R', width: 1, rank: 6, text: ({ stats }) => (stats.own?.isRetained ? 'R' : '') },
]

const TOPIC_COLUMNS_MIN = 16
const VALUE_COLUMNS_MIN = 10
const TOPIC_COLUMNS_MAX = 60
/** From here on a level is indented by two columns. */
const WIDE = 60

export interface Layout {
  readonly topic: number
  readonly shown: readonly Column[]
  readonly value: number
}

export function layoutOf(columns: number): Layout {
  const room = columns - TOPIC_COLUMNS_MIN - 1 - VALUE_COLUMNS_MIN
  let used = 0
  let isFull = false
  const taken = new Set<Column>()
  for (const column of COLUMNS.toSorted((a, b) => a.rank - b.rank)) {
    isFull ||= used + column.width + 1 > room
    if (isFull) break
    used += column.width + 1
    taken.add(column)
  }
  const left = columns - used
  const most = Math.min(TOPIC_COLUMNS_MAX, left - 1 - VALUE_COLUMNS_MIN)
  const topic = Math.max(Math.min(TOPIC_COLUMNS_MIN, left), Math.min(most, Math.floor(left * 0.45)))
  const shown = COLUMNS.filter((column) => taken.has(column))
  return { topic, shown, value: Math.max(0, left - topic - 1) }
}

export function headLine({ topic, shown, value }: Layout): string {
  const cells = shown.map(({ head, width }) => fitted(head, width, 'right'))
  return joined([fitted('topic', topic), ...cells, fitted('last value', value)], value)
}

export function rowLine(layout: Layout, row: Row, traffic: Traffic, now: number): string {
  const { topic, shown, value } = layout
  const stats = traffic.statsOf(row.node)
  const name = fitted(nameText(row, topic >= WIDE / 2), topic)
  if (stats === null) return name
  const facts = { stats, rates: traffic.ratesOf(stats, now), at: traffic.shownAt(now) }
  const cells = shown.map(({ width, text }) => fitted(text(facts), width, 'right'))
  const last = stats.own?.last
  const text = last === undefined ? '' : valueText(last.bytes, last.length)
  return joined([name, ...cells, fitted(text, value)], value)
}

function joined(cells: readonly string[], value: number): string {
  return (value > 0 ? cells : cells.slice(0, -1)).join(' ')
}

function nameText({ node, isOpen }: Row, isWide: boolean): string {
  const mark = node.children.size === 0 ? ' ' : isOpen ? '▾' : '▸'
  const indent = ' '.repeat(Math.min(24, node.depth * (isWide ? 2 : 1)))
  const name = node.name === '' ? '(empty)' : node.name
  return `${indent}${mark} ${name}${node.children.size === 0 ? '' : '/'}`
}

function sizeText({ bytes, messages, own }: Facts['stats']): string {
  if (messages > 0) return amount(Math.round(bytes / messages))
  return own === null ? '' : amount(own.last.length)
}

function belowText({ topics, own }: Facts['stats']): string {
  const below = topics - (own === null ? 0 : 1)
  return below === 0 ? '' : amount(below)
}

/** A stored message says nothing about when it was published. */
function ageText(lastAt: number | null, at: number): string {
  return lastAt === null ? '-' : duration(at - lastAt)
}
