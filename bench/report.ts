/**
 * How the figures of a row become lines of a table, and the tables become docs/BENCHMARKS.md.
 */
import { wrapped } from '../test/docs/markdown.ts'
import { type Figures, type Summary, summary } from './measure.ts'
import type { Metric, Row } from './row.ts'

/** One metric of one program of ours, beside the others at the same work. */
export interface Measured {
  readonly row: string
  readonly ours: string
  readonly metric: string
  readonly label: string
  readonly figures: Summary
  /** Undefined if MQTT.js is not in this row. */
  readonly mqttJs: Summary | undefined
  /** Undefined if the floor is not in this row. */
  readonly floor: Summary | undefined
  /** How many times better than MQTT.js. */
  readonly overMqttJs: number | undefined
  /** How many times better than the floor. */
  readonly overFloor: number | undefined
}

/** @returns a line for each program of ours and each metric of the row. */
export function judge(
  row: Pick<Row, 'name' | 'metrics'>,
  all: ReadonlyMap<string, readonly Figures[]>,
): Measured[] {
  const ours = [...all.keys()].filter((name) => name.startsWith('it-mqtt'))
  return row.metrics.flatMap((metric) => ours.map((name) => judgeOne(row.name, name, metric, all)))
}

function judgeOne(
  row: string,
  ours: string,
  { name: metric, label, better }: Metric,
  all: ReadonlyMap<string, readonly Figures[]>,
): Measured {
  const of = (name: string) => {
    const figures = all.get(name)
    return figures === undefined ? undefined : summary(figures, metric)
  }
  const figures = of(ours)!
  const over = (other: Summary | undefined) => {
    if (other === undefined) return undefined
    const ratio = figures.median / other.median
    return better === 'more' ? ratio : 1 / ratio
  }
  const [mqttJs, floor] = [of('mqtt.js'), of('floor')]
  const [overMqttJs, overFloor] = [over(mqttJs), over(floor)]
  return { row, ours, metric, label, figures, mqttJs, floor, overMqttJs, overFloor }
}

function shown(value: number | undefined): string {
  if (value === undefined) return ''
  const rounded = value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))
  return rounded.toLocaleString('en')
}

/** @returns a line of a table: the column's title and what stands there. */
export function cells(measured: Measured): Readonly<Record<string, string | number>> {
  const { row, ours, label, figures, mqttJs, floor, overMqttJs, overFloor } = measured
  return {
    row,
    program: ours,
    metric: label,
    '× MQTT.js': overMqttJs === undefined ? '' : Number(overMqttJs.toPrecision(3)),
    '× floor': overFloor === undefined ? '' : Number(overFloor.toPrecision(2)),
    median: shown(figures.median),
    spread: `${shown(figures.low)}–${shown(figures.high)}`,
    'MQTT.js': shown(mqttJs?.median),
    floor: shown(floor?.median),
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
