/**
 * How does the result of a bench look? An SVG of three charts: the latency by percentile, on an
 * axis on which each nine takes as much room as the one before (as HDR histograms are drawn), the
 * rates over time, and the 99th percentile over time. Pure.
 */
import { inMs } from './report-text.ts'
import type { BenchResult } from './result.ts'

interface Point {
  readonly x: number
  readonly y: number
}

interface Curve {
  readonly name: string
  readonly color: string
  readonly points: readonly Point[]
}

interface Tick {
  readonly at: number
  readonly text: string
}

interface Chart {
  readonly title: string
  readonly lines: readonly Curve[]
  readonly xTicks: readonly Tick[]
  readonly xMax: number
  readonly xTitle: string
  readonly yText: (value: number) => string
}

const WIDTH = 960
const MARGIN = { left: 90, right: 60, top: 46, bottom: 52 }
const HEADER = 84
const CHART_HEIGHT = 270
const BLUE = '#1f5fa8'
const ORANGE = '#c8580a'

/** @returns the SVG as text. */
export function plot(result: BenchResult): string {
  const charts = [percentileChart(result), ratesChart(result), p99Chart(result)].filter((chart) =>
    chart.lines.some(({ points }) => points.length > 0),
  )
  const height = HEADER + Math.max(1, charts.length) * CHART_HEIGHT
  const drawn = charts.map((chart, index) => drawChart(chart, HEADER + index * CHART_HEIGHT))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" ` +
      `height="${height}" font-family="sans-serif" font-size="13" fill="#222">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    caption(20, 34, `it-mqtt bench ${result.bench}: ${result.server}`, 'font-size="20"'),
    caption(20, 58, subtitle(result), 'fill="#555"'),
    ...(charts.length === 0 ? [caption(20, HEADER + 40, 'Nothing was measured.')] : drawn),
    '</svg>\n',
  ].join('\n')
}

function subtitle({ setting, startedAt, seconds, model, perSecond, connections }: BenchResult) {
  const { publishers, subscribers, qos, sizeMin, sizeMax } = setting
  const size = sizeMin === sizeMax ? `${sizeMin}` : `${sizeMin} to ${sizeMax}`
  const parts = [
    startedAt.slice(0, 19).replace('T', ' '),
    `${seconds.toFixed(1)} s`,
    ...(publishers > 0 ? [`${publishers} publishers`] : []),
    ...(subscribers > 0 ? [`${subscribers} subscribers`] : []),
    ...(publishers + subscribers > 0 ? [`QoS ${qos}`] : [`${connections.wanted} connections`]),
    ...(publishers > 0 ? [`${size} bytes`] : []),
    ...(model === null ? [] : [`${model} loop`]),
    ...(perSecond.wanted === null ? [] : [`${perSecond.wanted} a second wanted`]),
  ]
  return parts.join(', ')
}

function percentileChart({ plotted }: BenchResult): Chart {
  const points = plotted.points.map(({ percentile, ms }) => ({ x: nines(percentile), y: ms }))
  const xMax = Math.max(1, Math.ceil(points.at(-1)?.x ?? 1))
  const xTicks = Array.from({ length: xMax + 1 }, (_, at) => {
    // 99.9 and not 99.90000000000001.
    const percentile = at === 0 ? 0 : Number((100 - 10 ** (2 - at)).toFixed(Math.max(0, at - 2)))
    return { at, text: `${percentile} %` }
  })
  return {
    title: `Latency by percentile, ms (${plotted.name})`,
    lines: [{ name: '', color: BLUE, points }],
    ...{ xTicks, xMax, xTitle: 'so much of the messages took at most so long' },
    yText: inMs,
  }
}

/** @returns how many nines a percentile has: 90 has one, 99 has two. */
function nines(percentile: number): number {
  return -Math.log10(1 - percentile / 100)
}

function ratesChart({ series, setting, bench }: BenchResult): Chart {
  const line = (name: string, color: string, key: 'sent' | 'received' | 'connected'): Curve => ({
    ...{ name, color },
    points: series.map((one) => ({ x: one.second, y: one[key] })),
  })
  const lines = [
    ...(setting.publishers > 0 ? [line('sent', BLUE, 'sent')] : []),
    ...(setting.subscribers > 0 ? [line('received', ORANGE, 'received')] : []),
    ...(bench === 'conn' ? [line('connected', BLUE, 'connected')] : []),
  ]
  const title = bench === 'conn' ? 'Connections' : 'Messages a second'
  const yText = (value: number) => Math.round(value).toLocaleString('en')
  return { title, lines, ...timeAxis(series), yText }
}

function p99Chart({ series, plotted }: BenchResult): Chart {
  const points = series.flatMap(({ second, p99Ms }) =>
    p99Ms === null ? [] : [{ x: second, y: p99Ms }],
  )
  return {
    title: `99th percentile of each second, ms (${plotted.name})`,
    lines: [{ name: '', color: BLUE, points }],
    ...timeAxis(series),
    yText: inMs,
  }
}

function timeAxis(series: BenchResult['series']): Pick<Chart, 'xTicks' | 'xMax' | 'xTitle'> {
  const xMax = Math.max(1, series.at(-1)?.second ?? 1)
  const xTicks = steps(xMax, 10).map((at) => ({ at, text: String(at) }))
  return { xTicks, xMax, xTitle: 'seconds' }
}

/** @returns round values from 0 up to `max`, about so many. */
function steps(max: number, about: number): number[] {
  const rough = max / about
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough)!
  const count = Math.floor(max / step + 1e-9)
  return Array.from({ length: count + 1 }, (_, at) => Number((at * step).toPrecision(6)))
}

function drawChart(chart: Chart, top: number): string {
  const { left, right } = MARGIN
  const bottom = CHART_HEIGHT - MARGIN.bottom
  const yTop = Math.max(1e-3, ...chart.lines.flatMap(({ points }) => points.map(({ y }) => y)))
  const yTicks = steps(yTop * 1.1, 5)
  const yMax = yTop * 1.1
  const x = (value: number) => left + (value / chart.xMax) * (WIDTH - left - right)
  const y = (value: number) => bottom - (value / yMax) * (bottom - MARGIN.top)
  const grid = yTicks.flatMap((value) => [
    `<path d="M${left} ${fixed(y(value))}H${WIDTH - right}" stroke="#ddd"/>`,
    caption(left - 8, y(value) + 4, chart.yText(value), 'text-anchor="end"'),
  ])
  const axis = chart.xTicks.flatMap(({ at, text: label }) => [
    `<path d="M${fixed(x(at))} ${bottom}v5" stroke="#888"/>`,
    caption(x(at), bottom + 19, label, 'text-anchor="middle"'),
  ])
  const legend = chart.lines
    .filter(({ name }) => name !== '')
    .map(({ name, color }, at) =>
      caption(WIDTH - right - at * 90, MARGIN.top - 16, name, `text-anchor="end" fill="${color}"`),
    )
  return [
    `<g transform="translate(0 ${top})">`,
    caption(left, MARGIN.top - 16, chart.title, 'font-weight="bold"'),
    ...grid,
    ...axis,
    caption(
      (left + WIDTH - right) / 2,
      bottom + 38,
      chart.xTitle,
      'text-anchor="middle" fill="#555"',
    ),
    ...legend,
    ...chart.lines.map(({ points, color }) => drawLine(points, color, x, y)),
    '</g>',
  ].join('\n')
}

type Scale = (value: number) => number

function drawLine(points: readonly Point[], color: string, x: Scale, y: Scale): string {
  const dots = points.map((point) => `${fixed(x(point.x))},${fixed(y(point.y))}`)
  const [only] = dots
  if (dots.length === 1) {
    const [cx, cy] = only!.split(',')
    return `<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`
  }
  return `<polyline points="${dots.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`
}

function caption(x: number, y: number, content: string, attributes = ''): string {
  const space = attributes === '' ? '' : ' '
  return `<text x="${fixed(x)}" y="${fixed(y)}"${space}${attributes}>${escapeXml(content)}</text>`
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}

/** Escapes markup, and drops the control characters that XML cannot have. */
function escapeXml(content: string): string {
  return content
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
