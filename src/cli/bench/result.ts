/**
 * What did a bench find? The result is what `--json` writes: its names stay as they are, and new
 * ones are added behind. Remarks say in words what a reader of the figures has to know, and the
 * status says whether everything worked. Pure.
 */
import { FAILED, statusOf, TIMED_OUT } from '../exit-codes.ts'
import { counted } from '../fail.ts'
import type { LatencySummary, PercentilePoint } from './latencies.ts'
import { remedyFor } from './machine-limits.ts'
import type { BenchKind } from './plan.ts'
import type { ErrorCount } from './tally.ts'

export interface BenchResult {
  readonly format: 1
  readonly bench: BenchKind
  /** When the bench began, in ISO 8601. */
  readonly startedAt: string
  /** The server, without password. */
  readonly server: string
  readonly protocolVersion: number | null
  readonly ended: 'done' | 'interrupted' | 'timed-out'
  /** `open`: sent by a schedule. `closed`: sent as fast as the window allows. Null for `sub`. */
  readonly model: 'open' | 'closed' | null
  readonly setting: {
    readonly publishers: number
    readonly subscribers: number
    readonly qos: number
    readonly retain: boolean
    readonly sizeMin: number
    readonly sizeMax: number
    readonly topics: readonly string[]
    readonly warmUpSeconds: number
    /** The most publishes in flight for each publisher; the server may have lowered it. */
    readonly window: number
  }
  /** How long was measured. */
  readonly seconds: number
  readonly connections: {
    readonly wanted: number
    readonly connected: number
    readonly failed: number
    readonly lost: number
  }
  readonly messages: {
    /** How many the schedule demanded, or null in the closed model. */
    readonly due: number | null
    readonly sent: number
    /** Due and not sent. */
    readonly unsent: number
    readonly acknowledged: number
    readonly failed: number
    /** Sent, and without an outcome at the end. */
    readonly unanswered: number
    /** How many the subscribers should have received, or null if nobody knows. */
    readonly expected: number | null
    readonly received: number
    readonly lost: number
    readonly duplicates: number
    readonly outOfOrder: number
    /** Messages on the same topics that were not of this bench. */
    readonly foreign: number
  }
  readonly perSecond: {
    readonly connections: number
    /** Null in the closed model. */
    readonly wanted: number | null
    readonly sent: number
    readonly received: number
  }
  /** In ms; null if there was nothing to measure. */
  readonly latencyMs: {
    readonly connect: LatencySummary | null
    readonly acknowledgement: LatencySummary | null
    readonly acknowledgementFromSend: LatencySummary | null
    readonly endToEnd: LatencySummary | null
    readonly endToEndFromSend: LatencySummary | null
    readonly sendDelay: LatencySummary | null
  }
  readonly process: ProcessFigures
  readonly errors: readonly ErrorCount[]
  readonly limitsExceeded: readonly string[]
  readonly remarks: readonly string[]
  readonly series: readonly Second[]
  /** For the plot; not a part of the JSON. */
  readonly plotted: { readonly name: string; readonly points: readonly PercentilePoint[] }
}

/** What the bench itself used while it measured. */
export interface ProcessFigures {
  readonly cpuUserSeconds: number
  readonly cpuSystemSeconds: number
  /** CPU time by time: 1 is one core. */
  readonly cores: number
  /** CPU time for each message that was sent or received, or for each connection. */
  readonly cpuMicrosecondsEach: number | null
  readonly rssBytes: number
  /** The part of the time in which the event loop of Node was busy, 0 to 1. */
  readonly busy: number
  readonly eventLoopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number }
}

/** One second of the measured time, from 0. */
export interface Second {
  readonly second: number
  readonly connected: number
  readonly sent: number
  readonly acknowledged: number
  readonly received: number
  readonly p99Ms: number | null
}

/** A rate counts as reached if no more than this part is missing: it may be under way. */
const RATE_TOLERANCE = 0.01
const BUSY_MAX = 0.9
const LOOP_DELAY_MS_MAX = 50

type Findings = Omit<BenchResult, 'remarks' | 'format'>

function isRateReached({ messages: { due, unsent } }: Findings): boolean {
  return due === null || unsent <= due * RATE_TOLERANCE
}

/** @returns what a reader has to know beside the figures, the most important first. */
export function remarksOn(found: Findings): string[] {
  const { messages, perSecond, process, model, latencyMs } = found
  const whole = (value: number) => Math.round(value).toLocaleString('en')
  const remarks: string[] = []
  if (!isRateReached(found)) {
    remarks.push(
      `The rate was not reached: ${whole(perSecond.sent)} of ${whole(perSecond.wanted!)} a ` +
        `second. Due and not sent: ${counted(messages.unsent, 'message')}, which no latency ` +
        'contains.',
    )
  }
  if (process.busy > BUSY_MAX || process.eventLoopDelayMs.p99 > LOOP_DELAY_MS_MAX) {
    remarks.push(
      `This process was busy ${Math.round(process.busy * 100)} % of the time: the figures may ` +
        'show the limit of this bench and not that of the server. Run several of them, or lower ' +
        'the rate.',
    )
  }
  const measuresMessages = latencyMs.acknowledgement !== null || latencyMs.endToEnd !== null
  if (model === 'closed' && measuresMessages) {
    remarks.push(
      'This is a closed loop: a message is sent when the window has room, so a server that ' +
        'stalls is sent fewer messages, and a stall delays few of them. With --rate a latency ' +
        'counts from the time at which a message was due.',
    )
  }
  if (found.bench === 'pub' && found.setting.qos === 0) {
    remarks.push(
      'A publish at QoS 0 is not acknowledged: what is counted was handed to the system. ' +
        'bench pub-sub counts what arrives.',
    )
  }
  for (const { code } of found.errors) {
    const remedy = remedyFor(code)
    if (remedy !== null) remarks.push(`${code}: ${remedy}.`)
  }
  return remarks
}

/** @returns the exit status; `firstError` is the first error that ended a client. */
export function statusOfResult(found: Findings, firstError: unknown, signalStatus: number): number {
  const { connections, messages } = found
  if (signalStatus !== 0) return signalStatus
  if (found.ended === 'timed-out') return TIMED_OUT
  if (connections.connected === 0 && firstError !== undefined) return statusOf(firstError)
  const faults = [
    ...[connections.failed, connections.lost, connections.wanted - connections.connected],
    ...[messages.failed, messages.unanswered, messages.lost],
    ...[found.errors.length, found.limitsExceeded.length],
  ]
  return faults.some((count) => count > 0) || !isRateReached(found) ? FAILED : 0
}
