/**
 * How does a person read the result of a bench? Pure.
 */
import { counted } from '../fail.ts'
import type { LatencySummary } from './latencies.ts'
import type { BenchResult } from './result.ts'

const LABEL_WIDTH = 28
const FIGURE_WIDTH = 10
const COLUMNS = ['mean', 'p50', 'p90', 'p99', 'p999', 'max'] as const

/** @returns the report as text for a terminal. */
export function reportText(result: BenchResult): string {
  const { errors, limitsExceeded, remarks } = result
  const lines = [
    headline(result),
    '',
    line('connections', connectionsText(result)),
    ...messageLines(result),
    line('this process', processText(result)),
    '',
    ...latencyLines(result),
    ...errors.map(
      ({ during, code, count, message }) =>
        `${counted(count, 'error')} during ${during}: ${code}: ${message}`,
    ),
    ...limitsExceeded.map((one) => `Above the limit of --fail-above: ${one}`),
    ...remarks,
  ]
  return `${lines.join('\n')}\n`
}

/** @returns a latency in ms, with as many digits as mean something. */
export function inMs(ms: number): string {
  if (ms === 0) return '0'
  return ms >= 100 ? Math.round(ms).toLocaleString('en') : ms.toFixed(ms >= 10 ? 1 : 3)
}

/** @returns a number without its fraction, as people write it: `1,000`. */
export function wholeNumber(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function line(label: string, text: string): string {
  return `${label.padEnd(LABEL_WIDTH)}${text}`
}

function headline({ bench, server, protocolVersion, setting, seconds, ended, model }: BenchResult) {
  const { sizeMin, sizeMax, qos, warmUpSeconds } = setting
  const size = sizeMin === sizeMax ? `${sizeMin} bytes` : `${sizeMin} to ${sizeMax} bytes`
  const parts = [
    `bench ${bench}: ${server}`,
    ...(protocolVersion === null ? [] : [`MQTT ${VERSION_NAMES[protocolVersion]}`]),
    ...(bench === 'conn' ? [] : [`QoS ${qos}`]),
    ...(model === null ? [] : [size, `${model} loop`]),
    `${seconds.toFixed(1)} s measured`,
    ...(warmUpSeconds > 0 ? [`after ${warmUpSeconds.toFixed(1)} s of warm-up`] : []),
    ...(ended === 'done' ? [] : [ended]),
  ]
  return parts.join(', ')
}

const VERSION_NAMES: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5' }

function connectionsText({ connections, perSecond }: BenchResult): string {
  const { wanted, connected, failed, lost } = connections
  const rate = perSecond.connections > 0 ? ` (${wholeNumber(perSecond.connections)} a second)` : ''
  const worked = `${wholeNumber(connected)} of ${wholeNumber(wanted)}${rate}`
  return `${worked}, ${wholeNumber(failed)} failed, ${wholeNumber(lost)} lost`
}

function messageLines({ bench, messages, perSecond, setting, model }: BenchResult): string[] {
  if (bench === 'conn') return []
  const { sent, acknowledged, failed, unanswered, unsent, expected, received } = messages
  const lines: string[] = []
  if (model !== null) {
    const wanted = perSecond.wanted === null ? '' : ` of ${wholeNumber(perSecond.wanted)} wanted`
    const rest = [
      `${wholeNumber(sent)} (${wholeNumber(perSecond.sent)}${wanted} a second)`,
      ...(setting.qos > 0 ? [`${wholeNumber(acknowledged)} acknowledged`] : []),
      ...(failed > 0 ? [`${wholeNumber(failed)} failed`] : []),
      ...(unanswered > 0 ? [`${wholeNumber(unanswered)} unanswered`] : []),
      ...(unsent > 0 ? [`${wholeNumber(unsent)} not sent`] : []),
    ]
    lines.push(line('sent', rest.join(', ')))
  }
  if (bench !== 'pub') {
    const { lost, duplicates, outOfOrder, foreign } = messages
    const of = expected === null ? '' : ` of ${wholeNumber(expected)}`
    const rest = [
      `${wholeNumber(received)}${of} (${wholeNumber(perSecond.received)} a second)`,
      ...[
        `${wholeNumber(lost)} lost`,
        `${wholeNumber(duplicates)} repeated`,
        `${wholeNumber(outOfOrder)} late`,
      ],
      ...(foreign > 0 ? [`${wholeNumber(foreign)} of others`] : []),
    ]
    lines.push(line('received', rest.join(', ')))
  }
  return lines
}

function processText({ process }: BenchResult): string {
  const { cores, cpuUserSeconds, cpuSystemSeconds, cpuMicrosecondsEach, rssBytes } = process
  const { p99, max } = process.eventLoopDelayMs
  const each = cpuMicrosecondsEach === null ? '' : `, ${cpuMicrosecondsEach.toFixed(1)} µs each`
  return (
    `${Math.round(cores * 100)} % of a core (user ${cpuUserSeconds.toFixed(1)} s, system ` +
    `${cpuSystemSeconds.toFixed(1)} s)${each}, ${Math.round(rssBytes / 1e6)} MB, ` +
    `event loop late by p99 ${inMs(p99)} ms, max ${inMs(max)} ms`
  )
}

/** What each latency is called, and in which order they stand. */
const ROWS: readonly (readonly [key: keyof BenchResult['latencyMs'], name: string])[] = [
  ['endToEnd', 'end to end'],
  ['endToEndFromSend', 'end to end, from the send'],
  ['acknowledgement', 'acknowledgement'],
  ['acknowledgementFromSend', 'acknowl., from the send'],
  ['sendDelay', 'sent late by'],
  ['connect', 'connect'],
]

function latencyLines({ latencyMs }: BenchResult): string[] {
  const rows = ROWS.flatMap(([key, name]) => {
    const summary = latencyMs[key]
    return summary === null ? [] : [latencyLine(name, summary)]
  })
  if (rows.length === 0) return []
  const head = COLUMNS.map((name) => name.replace('p999', 'p99.9').padStart(FIGURE_WIDTH))
  return [line('latency in ms', head.join('')), ...rows, '']
}

function latencyLine(name: string, summary: LatencySummary): string {
  return line(name, COLUMNS.map((key) => inMs(summary[key]).padStart(FIGURE_WIDTH)).join(''))
}
