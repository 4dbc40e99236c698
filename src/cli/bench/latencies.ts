/**
 * How are latencies collected? In an HDR histogram of microseconds with three significant digits,
 * whose size does not depend on how many values it has. The values of a second are collected apart
 * from the others, for the plot over time.
 */
import type { Histogram } from 'hdr-histogram-js'

/** In milliseconds; the names of the JSON report. */
export interface LatencySummary {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** A point of the distribution: so many percent of the values are at most this. */
export interface PercentilePoint {
  readonly percentile: number
  readonly ms: number
}

/** One hour, in microseconds; a longer latency counts as one hour. */
const LONGEST_US = 3_600_000_000

export class Latency {
  readonly #total: Histogram
  /** What came since the last `cut`. */
  readonly #recent: Histogram

  constructor(build: () => Histogram) {
    this.#total = build()
    this.#recent = build()
  }

  record(ms: number): void {
    const us = Math.round(ms * 1000)
    this.#recent.recordValue(Math.max(0, Math.min(us, LONGEST_US)))
  }

  /** Ends an interval. @returns its 99th percentile in ms, or null if nothing came in it. */
  cut(): number | null {
    if (this.#recent.totalCount === 0) return null
    const p99 = this.#recent.getValueAtPercentile(99) / 1000
    this.#total.add(this.#recent)
    this.#recent.reset()
    return p99
  }

  /** @returns the figures of all intervals, or null if there is no value. */
  summary(): LatencySummary | null {
    this.cut()
    const all = this.#total
    if (all.totalCount === 0) return null
    const at = (percentile: number) => Math.min(all.getValueAtPercentile(percentile), all.maxValue)
    return {
      count: all.totalCount,
      mean: rounded(all.mean),
      p50: rounded(at(50)),
      p90: rounded(at(90)),
      p99: rounded(at(99)),
      p999: rounded(at(99.9)),
      max: rounded(all.maxValue),
    }
  }

  /** @returns the latency at a percentile, in ms. */
  at(percentile: number): number {
    this.cut()
    return Math.min(this.#total.getValueAtPercentile(percentile), this.#total.maxValue) / 1000
  }

  /** @returns points of the distribution, closer the nearer they are to 100 %. */
  distribution(): PercentilePoint[] {
    this.cut()
    const count = this.#total.totalCount
    const points: PercentilePoint[] = []
    if (count === 0) return points
    const STEPS_PER_DECADE = 20
    for (let step = 0; 10 ** (step / STEPS_PER_DECADE) <= count; step++) {
      const percentile = 100 * (1 - 10 ** (-step / STEPS_PER_DECADE))
      points.push({ percentile, ms: this.at(percentile) })
    }
    return points
  }
}

function rounded(us: number): number {
  return Math.round(us) / 1000
}

/** Loads the library. @returns a function that makes an empty collection. */
export async function latencyMaker(): Promise<() => Latency> {
  const { build } = await import('hdr-histogram-js')
  return () =>
    new Latency(() =>
      build({ highestTrackableValue: LONGEST_US, numberOfSignificantValueDigits: 3 }),
    )
}
