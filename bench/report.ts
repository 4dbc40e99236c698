/**
 * How the figures of a row become lines of a table, and the tables become docs/BENCHMARKS.md.
 */
import { wrapped } from '../test/docs/markdown.ts'
import { type Figures, type Summary, summary } from './measure.ts'
import { type Metric, MQTT_JS, type Peer, type Row } from './row.ts'

/** A peer at the same work, and what it has of a metric. */
export interface Beside {
  readonly title: string
  /** Undefined if the peer is not in this row. */
  readonly figures: Summary | undefined
  /** How many times better we are. */
  readonly over: number | undefined
}

/** One metric of one program of ours, beside the others at the same work. */
export interface Measured {
  readonly row: string
  readonly ours: string
  readonly metric: string
  readonly label: string
  readonly figures: Summary
  readonly peers: readonly Beside[]
  readonly floor: Beside
}

/** @returns a line for each program of ours and each metric of the row. */
export function judge(
  row: Pick<Row, 'name' | 'metrics'>,
  all: ReadonlyMap<string, readonly Figures[]>,
  peers: readonly Peer[] = [MQTT_JS],
): Measured[] {
  const ours = [...all.keys()].filter((name) => name.startsWith('it-mqtt'))
  return row.metrics.flatMap((metric) =>
    ours.map((name) => judgeOne(row.name, name, metric, all, peers)),
  )
}

function judgeOne(
  row: string,
  ours: string,
  { name: metric, label, better }: Metric,
  all: ReadonlyMap<string, readonly Figures[]>,
  peers: readonly Peer[],
): Measured {
  const of = (name: string) => {
    const figures = all.get(name)
    return figures === undefined ? undefined : summary(figures, metric)
  }
  const figures = of(ours)!
  const beside = ({ program, title }: Peer): Beside => {
    const other = of(program)
    if (other === undefined) return { title, figures: undefined, over: undefined }
    const ratio = figures.median / other.median
    return { title, figures: other, over: better === 'more' ? ratio : 1 / ratio }
  }
  const floor = beside({ program: 'floor', title: 'floor' })
  return { row, ours, metric, label, figures, peers: peers.map(beside), floor }
}

function shown(value: number | undefined): string {
  if (value === undefined) return ''
  const rounded = value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))
  return rounded.toLocaleString('en')
}

/** @returns a line of a table: the column's title and what stands there. */
export function cells(measured: Measured): Readonly<Record<string, string | number>> {
  const { row, ours, label, figures, peers, floor } = measured
  const ratio = (over: number | undefined, digits: number) =>
    over === undefined ? '' : Number(over.toPrecision(digits))
  return {
    row,
    program: ours,
    metric: label,
    ...Object.fromEntries(peers.map(({ title, over }) => [`× ${title}`, ratio(over, 3)])),
    '× floor': ratio(floor.over, 2),
    median: shown(figures.median),
    spread: `${shown(figures.low)}–${shown(figures.high)}`,
    ...Object.fromEntries(peers.map((peer) => [peer.title, shown(peer.figures?.median)])),
    floor: shown(floor.figures?.median),
  }
}

/** @returns a table in Markdown. */
export function markdown(rows: readonly object[]): string {
  const names = Object.keys(rows[0] ?? {})
  const line = (values: readonly unknown[]) => `| ${values.join(' | ')} |`
  return [line(names), line(names.map(() => '---')), ...rows.map((row) => line(Object.values(row)))]
    .map((text) => `${text}\n`)
    .join('')
}

/** A part of the page under a heading of its own. */
export interface Section {
  readonly title: string
  readonly text: string
}

const INTRODUCTION = `What users meet comes first: a broker, a rate that is offered, connections,
  the start, memory. Raw rows follow, in which the other end does as little as it can. A ratio above
  1 means that it-mqtt is better; only the ratios can be compared between machines. The columns
  MQTT.js and floor are their own medians. The floor is the least work that JavaScript can do: bytes
  made and scanned by hand on a raw socket. [bench/README.md](../bench/README.md) describes the
  programs and the method, \`JOURNAL.md\` of the repository what was tried and where the rest of the
  time goes.`

/**
 * @param titles all sections of the page, in their order.
 * @param measured sections that are new.
 * @param before the page as it was: sections that were not measured are kept.
 * @param others the section about clients of other languages, which no run measures.
 * @returns the page.
 */
export function page(
  titles: readonly string[],
  measured: readonly Section[],
  before: string,
  others: string,
): string {
  const known = new Map(
    [...sectionsOf(before), ...measured].map(({ title, text }) => [title, text]),
  )
  const sections = titles.flatMap((title) => {
    const text = known.get(title)
    return text === undefined ? [] : [`## ${title}\n\n${text.trim()}\n`]
  })
  const introduction = wrapped(INTRODUCTION)
  return ['# Benchmarks\n', `${introduction}\n`, ...sections, `${others.trim()}\n`].join('\n')
}

function sectionsOf(text: string): Section[] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n')
      return { title: part.slice(0, end), text: part.slice(end + 1) }
    })
}
