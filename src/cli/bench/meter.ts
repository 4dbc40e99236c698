/**
 * What happened in each second, and what did the bench itself use? The meter reads the tally, the
 * clock and the process, and makes the result at the end.
 */
import {
  type EventLoopUtilization,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
} from 'node:perf_hooks'
import type { BenchClient } from './bench-client.ts'
import type { Latency } from './latencies.ts'
import type { Plan } from './plan.ts'
import { inMs, wholeNumber } from './report-text.ts'
import { type BenchResult, type ProcessFigures, remarksOn, type Second } from './result.ts'
import { clockNow } from './stamp.ts'
import type { Tally } from './tally.ts'

/** The delay of the event loop is looked for so often, in ms. */
const DELAY_RESOLUTION_MS = 5

/** The rest of a second at the end is shown only if it is at least so long. */
const PART_MS_MIN = 250

interface Start {
  readonly at: number
  readonly cpu: NodeJS.CpuUsage
  readonly utilization: EventLoopUtilization
  readonly delays: IntervalHistogram
}

interface Measured {
  readonly seconds: number
  readonly figures: Omit<ProcessFigures, 'cpuMicrosecondsEach'>
}

/** Counts at the last second. */
interface Mark {
  readonly at: number
  readonly sent: number
  readonly acknowledged: number
  readonly received: number
}

export class Meter {
  readonly tally: Tally
  readonly #plan: Plan
  readonly #startedAt = new Date().toISOString()
  readonly #series: Second[] = []
  #start: Start | null = null
  #measured: Measured | null = null
  #mark: Mark = { at: 0, sent: 0, acknowledged: 0, received: 0 }
  /** Due and not sent when sending ended. */
  #unsent = 0

  constructor(plan: Plan, tally: Tally) {
    this.#plan = plan
    this.tally = tally
  }

  /** @returns how many messages the schedule has, those of the warm-up included. */
  scheduledCount(rate: number): number {
    const { warmUpMs, durationMs, messages } = this.#plan
    const measured = messages ?? (rate * durationMs!) / 1000
    return Math.round((rate * warmUpMs) / 1000) + Math.round(measured)
  }

  begin(at: number): void {
    const delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
    delays.enable()
    const utilization = performance.eventLoopUtilization()
    this.#start = { at, cpu: process.cpuUsage(), utilization, delays }
    this.#mark = { ...this.#mark, at }
  }

  /** @param unsent how many messages were due and not sent. */
  end(at: number, clients: readonly BenchClient[], unsent = 0): void {
    const start = this.#start
    if (start === null || this.#measured !== null) return
    if (at - this.#mark.at > PART_MS_MIN || this.#series.length === 0) this.second(clients)
    this.#unsent = unsent
    const seconds = Math.max(0.001, (at - start.at) / 1000)
    const elapsed = Math.max(0.001, (clockNow() - start.at) / 1000)
    const { user, system } = process.cpuUsage(start.cpu)
    start.delays.disable()
    const late = (ns: number) =>
      Math.max(0, Math.round(ns / 1000 - DELAY_RESOLUTION_MS * 1000) / 1000)
    this.#measured = {
      seconds,
      figures: {
        cpuUserSeconds: user / 1e6,
        cpuSystemSeconds: system / 1e6,
        cores: (user + system) / 1e6 / elapsed,
        rssBytes: process.memoryUsage.rss(),
        busy: performance.eventLoopUtilization(start.utilization).utilization,
        eventLoopDelayMs: {
          p50: late(start.delays.percentile(50)),
          p99: late(start.delays.percentile(99)),
          max: late(start.delays.max),
        },
      },
    }
  }

  /** Ends a second. @returns what a person reads about it. */
  second(clients: readonly BenchClient[]): string {
    const connected = clients.filter(({ isConnected }) => isConnected).length
    const { sent, acknowledged, received, errors } = this.tally
    const connections = `${wholeNumber(connected)} of ${wholeNumber(clients.length)} connected`
    if (this.#start === null) return connections
    const p99Ms = this.#primary().latency.cut()
    const now = clockNow()
    const elapsed = Math.max(0.001, (now - this.#mark.at) / 1000)
    const rate = (count: number) => count / elapsed
    const second: Second = {
      second: Math.round(now - this.#start.at) / 1000,
      connected,
      sent: rate(sent - this.#mark.sent),
      acknowledged: rate(acknowledged - this.#mark.acknowledged),
      received: rate(received - this.#mark.received),
      p99Ms,
    }
    this.#mark = { at: now, sent, acknowledged, received }
    if (this.#measured === null) this.#series.push(second)
    const failed = errors.reduce((sum, { count }) => sum + count, 0)
    return [
      `${Math.round(second.second)} s`,
      ...(this.#plan.kind === 'conn' || connected < clients.length ? [connections] : []),
      ...(this.#plan.publishers > 0 ? [`sent ${wholeNumber(second.sent)}/s`] : []),
      ...(this.#plan.subscribers > 0 ? [`received ${wholeNumber(second.received)}/s`] : []),
      ...(p99Ms === null ? [] : [`p99 ${inMs(p99Ms)} ms`]),
      ...(failed > 0 ? [`${wholeNumber(failed)} errors`] : []),
    ].join(', ')
  }

  /** @returns how many messages the subscribers should receive, as far as it is known. */
  expectedCount(clients: readonly BenchClient[]): number {
    return this.#expected(clients)?.count ?? 0
  }

  result(
    clients: readonly BenchClient[],
    ended: BenchResult['ended'],
    protocolVersion: number | null,
  ): BenchResult {
    this.end(clockNow(), clients)
    const { tally } = this
    const plan = this.#plan
    const { name, latency } = this.#primary()
    const { seconds, figures } = this.#measured ?? NOTHING_MEASURED
    const wanted = clients.length
    const handled = plan.kind === 'conn' ? tally.connected : tally.sent + tally.received
    const cpuSeconds = figures.cpuUserSeconds + figures.cpuSystemSeconds
    const found: Omit<BenchResult, 'remarks' | 'format'> = {
      bench: plan.kind,
      startedAt: this.#startedAt,
      server: plan.server,
      protocolVersion,
      ended,
      model: plan.publishers === 0 ? null : plan.rate === null ? 'closed' : 'open',
      setting: settingOf(plan, clients),
      seconds,
      connections: {
        wanted,
        connected: tally.connected,
        failed: tally.failedToConnect,
        lost: tally.lostConnections,
      },
      messages: this.#messages(clients),
      perSecond: {
        connections: plan.kind === 'conn' ? tally.connected / seconds : 0,
        wanted: plan.rate,
        sent: tally.sent / seconds,
        received: tally.received / Math.max(seconds, (tally.receivedAt - tally.measureAt) / 1000),
      },
      latencyMs: {
        connect: tally.connect.summary(),
        acknowledgement: tally.acknowledgement.summary(),
        acknowledgementFromSend: tally.acknowledgementFromSend.summary(),
        endToEnd: tally.endToEnd.summary(),
        endToEndFromSend: tally.endToEndFromSend.summary(),
        sendDelay: tally.sendDelay.summary(),
      },
      process: {
        ...figures,
        cpuMicrosecondsEach: handled === 0 ? null : (cpuSeconds * 1e6) / handled,
      },
      errors: tally.errors,
      limitsExceeded: plan.thresholds.flatMap(({ text, percentile, ms }) => {
        const is = latency.at(percentile)
        return is > ms ? [`${text}, and it is ${inMs(is)} ms`] : []
      }),
      series: this.#series,
      plotted: { name, points: latency.distribution() },
    }
    return { format: 1, ...found, remarks: remarksOn(found) }
  }

  /** The latency that the bench is about. */
  #primary(): { readonly name: string; readonly latency: Latency } {
    const { kind } = this.#plan
    const { connect, acknowledgement, endToEnd, sendDelay } = this.tally
    if (kind === 'conn') return { name: 'connect', latency: connect }
    if (kind !== 'pub') return { name: 'end to end', latency: endToEnd }
    return this.#plan.qos > 0
      ? { name: 'acknowledgement', latency: acknowledgement }
      : { name: 'sent late by', latency: sendDelay }
  }

  #messages(clients: readonly BenchClient[]): BenchResult['messages'] {
    const { tally } = this
    const { kind, rate } = this.#plan
    const { sent, acknowledged, failed, received, duplicates, outOfOrder, foreign } = tally
    const inFlight = clients.reduce((sum, { feed }) => sum + (feed?.inFlight ?? 0), 0)
    const expected = this.#expected(clients)
    const gaps = clients.reduce((sum, { receiver }) => sum + (receiver?.gaps() ?? 0), 0)
    return {
      due: rate === null ? null : sent + this.#unsent,
      ...{ sent, acknowledged, failed, received, duplicates, outOfOrder, foreign },
      unsent: this.#unsent,
      unanswered: Math.min(inFlight, sent),
      expected: expected?.count ?? null,
      lost: expected?.lost() ?? (kind === 'sub' ? gaps : 0),
    }
  }

  /** What the subscribers should have received, as far as it is known: in pub-sub. */
  #expected(
    clients: readonly BenchClient[],
  ): { readonly count: number; readonly lost: () => number } | null {
    if (this.#plan.kind !== 'pub-sub') return null
    const byTopic = streamsByTopic(clients)
    const all = clients.flatMap(({ receiver, filters }) =>
      receiver === null
        ? []
        : filters.flatMap((filter) =>
            (byTopic.get(filter) ?? []).map((stream) => ({ receiver, ...stream })),
          ),
    )
    return {
      count: all.reduce((sum, { from, to, failures }) => sum + to - from - failures, 0),
      lost: () =>
        all.reduce((sum, { receiver, stream, from, to, failures }) => {
          const missing = receiver.missing(this.#plan.run, stream, from, to)
          return sum + Math.max(0, missing - failures)
        }, 0),
    }
  }
}

interface Stream {
  readonly stream: number
  readonly from: number
  readonly to: number
  readonly failures: number
}

function streamsByTopic(clients: readonly BenchClient[]): ReadonlyMap<string, readonly Stream[]> {
  const streams = new Map<string, Stream[]>()
  for (const { feed } of clients) {
    for (const stream of feed?.streams() ?? []) {
      const same = streams.get(stream.topic)
      if (same === undefined) streams.set(stream.topic, [stream])
      else same.push(stream)
    }
  }
  return streams
}

const NOTHING_MEASURED: Measured = {
  seconds: 0.001,
  figures: {
    ...{ cpuUserSeconds: 0, cpuSystemSeconds: 0, cores: 0, rssBytes: 0, busy: 0 },
    eventLoopDelayMs: { p50: 0, p99: 0, max: 0 },
  },
}

function settingOf(plan: Plan, clients: readonly BenchClient[]): BenchResult['setting'] {
  const { publishers, subscribers, qos, retain, size, content, topics, warmUpMs } = plan
  const windows = clients.flatMap(({ feed }) => (feed === null ? [] : [feed.window]))
  return {
    ...{ publishers, subscribers, qos, retain, topics },
    sizeMin: content?.length ?? size.min,
    sizeMax: content?.length ?? size.max,
    warmUpSeconds: warmUpMs / 1000,
    window: windows.length === 0 ? plan.window : Math.min(...windows.slice(0, 1000)),
  }
}
