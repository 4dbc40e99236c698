/** Round trips before it counts. */
export const WARM_UP = 2000

/** Prints the median and the 99th percentile in µs of what came after the warm-up. */
export function reportTimes(times: readonly number[], expected: number): void {
  if (times.length !== expected) throw new Error(`counted ${times.length} of ${expected}`)
  const sorted = times.slice(WARM_UP).sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.floor(sorted.length * share)]! * 1000)
  console.log(JSON.stringify({ p50: at(0.5), p99: at(0.99) }))
  process.exit(0)
}
